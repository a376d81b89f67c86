//! Token roles. The texts were observed on OpenBao 2.7.2.

use super::*;

fn with_role(role: &Value) -> Bench {
    let bench = Bench::new(Voice::OpenBao);
    assert_eq!(bench.root("POST", "auth/token/roles/r", role).0, 204);
    bench
}

fn create(bench: &Bench, body: &Value) -> (u16, Value) {
    bench.root("POST", "auth/token/create/r", body)
}

#[test]
fn a_role_decides_what_its_tokens_are() {
    let bench = with_role(&json!({
        "allowed_policies": ["x", "y"], "orphan": true, "token_period": "1h", "path_suffix": "suf",
    }));
    let (status, reply) = create(&bench, &json!({}));
    let auth = &reply["auth"];
    assert_eq!((status, &auth["policies"]), (200, &json!(["default", "x", "y"])));
    assert_eq!((&auth["orphan"], &auth["lease_duration"]), (&json!(true), &json!(3600)));
    let (_, looked_up) =
        bench.ask("root", "POST", "auth/token/lookup", &json!({ "token": auth["client_token"] }));
    let data = &looked_up["data"];
    assert_eq!((&data["role"], &data["path"]), (&json!("r"), &json!("auth/token/create/r/suf")));
}

#[test]
fn a_policy_that_a_role_does_not_allow_is_refused() {
    let bench = with_role(&json!({"allowed_policies": ["x", "y"]}));
    let text = "token policies ([\"default\" \"z\"]) must be subset of the role's allowed policies \
                ([\"default\" \"x\" \"y\"]) or glob policies ([])";
    assert_error(&create(&bench, &json!({"policies": ["z"]})), 400, text);
    assert_eq!(create(&bench, &json!({"policies": ["x"]})).1["auth"]["policies"], json!(["default", "x"]));

    let globs = with_role(&json!({"allowed_policies_glob": ["app-*"]}));
    assert_eq!(create(&globs, &json!({"policies": ["app-1"]})).0, 200);
    assert_eq!(create(&globs, &json!({"policies": ["other"]})).0, 400);

    let but = with_role(&json!({"disallowed_policies": ["bad"]}));
    let text = "token policy \"bad\" is disallowed by this role";
    assert_error(&create(&but, &json!({"policies": ["bad"]})), 400, text);
    assert_eq!(create(&but, &json!({"policies": ["ok"]})).0, 200);
}

#[test]
fn a_role_bounds_the_life_of_its_tokens() {
    let bench = with_role(&json!({
        "renewable": false, "token_explicit_max_ttl": "10m", "token_num_uses": 3,
    }));
    let (_, reply) = create(&bench, &json!({"policies": ["ok"], "ttl": "1h"}));
    let auth = &reply["auth"];
    assert_eq!((&auth["lease_duration"], &auth["renewable"]), (&json!(600), &json!(false)));
    assert_eq!(auth["num_uses"], 3);
    let warning = "TTL of \"1h\" exceeded the effective max_ttl of \"10m\"; TTL value is capped accordingly";
    assert_eq!(reply["warnings"], json!([warning, "Policy \"ok\" does not exist"]));
}

#[test]
fn batch_tokens_of_a_role_have_no_parent_and_are_not_renewed() {
    let bench = Bench::new(Voice::OpenBao);
    let kind = json!({"token_type": "batch"});
    let text = "'token_type' cannot be 'batch' when role is set to generate non-orphan tokens";
    assert_error(&bench.root("POST", "auth/token/roles/r", &kind), 400, text);
    let kind = json!({"token_type": "batch", "orphan": true, "renewable": false});
    assert_eq!(bench.root("POST", "auth/token/roles/r", &kind).0, 204);
    let (_, reply) = create(&bench, &json!({"policies": ["p"]}));
    assert_eq!((&reply["auth"]["token_type"], &reply["auth"]["accessor"]), (&json!("batch"), &json!("")));
}

#[test]
fn a_role_is_read_listed_and_deleted() {
    let bench = with_role(&json!({"allowed_policies": "x"}));
    let (_, role) = bench.read("auth/token/roles/r");
    assert_eq!(
        (&role["data"]["name"], &role["data"]["token_type"]),
        (&json!("r"), &json!("default-service"))
    );
    assert_eq!(bench.root("LIST", "auth/token/roles", &Value::Null).1["data"]["keys"], json!(["r"]));
    assert_eq!(bench.root("DELETE", "auth/token/roles/r", &Value::Null).0, 204);
    assert_error(&create(&bench, &json!({})), 400, "unknown role r");
    assert_eq!(bench.read("auth/token/roles/r"), (404, json!({"errors": []})));
}

#[test]
fn tidying_up_is_only_started() {
    let bench = Bench::new(Voice::OpenBao);
    assert_eq!(bench.root("POST", "auth/token/tidy", &json!({})).0, 202);
}
