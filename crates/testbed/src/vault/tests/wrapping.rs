//! Response wrapping. The texts were observed on OpenBao 2.7.2.

use super::*;

const GONE: &str = "wrapping token is not valid or does not exist";

/// Asks as root for a wrapped answer.
fn wrapped(bench: &Bench, method: &str, path: &str, body: &Value, ttl: &str) -> (u16, Value) {
    let url = format!("{}/v1/{path}", bench.world.vault_address());
    let request = Request::new(method, &url).with_token("root").with_header("X-Vault-Wrap-TTL", ttl);
    let request = if body.is_null() { request } else { request.with_json(body) };
    let response = bench.world.handle(request).unwrap();
    (response.status, response.json())
}

fn wrapping_token(bench: &Bench) -> String {
    bench.put("w", &json!({"data": {"a": "b"}}));
    let (_, reply) = wrapped(bench, "GET", "secret/data/w", &Value::Null, "60");
    reply["wrap_info"]["token"].as_str().unwrap().to_owned()
}

#[test]
fn a_wrapped_answer_is_a_token_and_nothing_else() {
    let bench = Bench::new(Voice::OpenBao);
    bench.put("w", &json!({"data": {"a": "b"}}));
    let (status, reply) = wrapped(&bench, "GET", "secret/data/w", &Value::Null, "5m");
    assert_eq!((status, &reply["data"], &reply["request_id"]), (200, &Value::Null, &json!("")));
    let info = &reply["wrap_info"];
    assert_eq!((&info["ttl"], &info["creation_path"]), (&json!(300), &json!("secret/data/w")));
    assert!(info.get("wrapped_accessor").is_none());

    let (_, reply) = wrapped(&bench, "POST", "auth/token/create", &json!({}), "60");
    assert_eq!(reply["auth"], Value::Null);
    assert_eq!(reply["wrap_info"]["wrapped_accessor"].as_str().unwrap().len(), 24);
}

#[test]
fn errors_and_answers_without_a_body_are_not_wrapped() {
    let bench = Bench::new(Voice::OpenBao);
    assert_eq!(wrapped(&bench, "GET", "secret/data/none", &Value::Null, "60").0, 404);
    assert_eq!(wrapped(&bench, "DELETE", "secret/data/none", &Value::Null, "60").0, 204);
    bench.put("w", &json!({"data": {"a": "b"}}));
    assert_eq!(wrapped(&bench, "GET", "secret/data/w", &Value::Null, "0").1["data"]["data"]["a"], "b");
    for (ttl, why) in [
        ("nope", "time: invalid duration \"nope\""),
        ("-5", "requested wrap ttl cannot be negative"),
        ("1.5", "time: missing unit in duration \"1.5\""),
    ] {
        let text = format!("error parsing X-Vault-Wrap-TTL header: {why}");
        assert_error(&wrapped(&bench, "GET", "secret/data/w", &Value::Null, ttl), 400, &text);
    }
}

#[test]
fn a_wrapping_token_unwraps_once_by_itself_or_in_somebody_elses_body() {
    let bench = Bench::new(Voice::OpenBao);
    let token = wrapping_token(&bench);
    let (_, reply) = bench.ask(&token, "POST", "sys/wrapping/unwrap", &Value::Null);
    assert_eq!(reply["data"]["data"]["a"], "b");
    assert_error(&bench.ask(&token, "POST", "sys/wrapping/unwrap", &Value::Null), 400, GONE);

    let body = json!({ "token": wrapping_token(&bench) });
    assert_error(&bench.ask("", "POST", "sys/wrapping/unwrap", &body), 403, "permission denied");
    assert_error(&bench.ask("nonsense", "POST", "sys/wrapping/unwrap", &body), 403, "permission denied");
    assert_eq!(bench.root("POST", "sys/wrapping/unwrap", &body).1["data"]["data"]["a"], "b");
    assert_error(&bench.root("POST", "sys/wrapping/unwrap", &body), 400, GONE);
    let empty = bench.ask("", "POST", "sys/wrapping/unwrap", &json!({}));
    assert_error(&empty, 403, "error validating wrapping token: token is empty");
}

#[test]
fn an_unwrapped_token_is_dead_as_a_token_too() {
    let bench = Bench::new(Voice::OpenBao);
    let token = wrapping_token(&bench);
    assert_eq!(bench.ask(&token, "POST", "sys/wrapping/unwrap", &Value::Null).0, 200);
    let looked_up = bench.root("POST", "auth/token/lookup", &json!({ "token": token }));
    assert_error(&looked_up, 403, "bad token");
}

#[test]
fn anybody_may_look_a_wrapping_token_up_and_it_is_not_spent_by_that() {
    let bench = Bench::new(Voice::OpenBao);
    let token = wrapping_token(&bench);
    for (bearer, body) in [("", json!({ "token": token })), (token.as_str(), Value::Null)] {
        let method = if body.is_null() { "GET" } else { "POST" };
        let (status, reply) = bench.ask(bearer, method, "sys/wrapping/lookup", &body);
        assert_eq!((status, &reply["data"]["creation_path"]), (200, &json!("secret/data/w")));
        assert_eq!(reply["data"]["creation_ttl"], 60);
    }
    assert_eq!(bench.ask(&token, "POST", "sys/wrapping/unwrap", &Value::Null).0, 200);
}

#[test]
fn a_wrapping_token_that_is_used_for_something_else_is_refused_and_spent() {
    let bench = Bench::new(Voice::OpenBao);
    for path in ["secret/data/w", "auth/token/lookup-self"] {
        let token = wrapping_token(&bench);
        assert_error(&bench.ask(&token, "GET", path, &Value::Null), 403, POLICY_DENIES);
        assert_error(&bench.root("POST", "sys/wrapping/unwrap", &json!({ "token": token })), 400, GONE);
    }
}

#[test]
fn a_wrapping_token_ends_with_its_time() {
    let bench = Bench::new(Voice::OpenBao);
    let token = wrapping_token(&bench);
    bench.pass(60);
    assert_error(&bench.ask(&token, "POST", "sys/wrapping/unwrap", &Value::Null), 400, GONE);
}

#[test]
fn rewrapping_gives_another_token_and_keeps_where_it_came_from() {
    let bench = Bench::new(Voice::OpenBao);
    let token = wrapping_token(&bench);
    let (_, reply) = bench.root("POST", "sys/wrapping/rewrap", &json!({ "token": token }));
    let info = &reply["wrap_info"];
    assert_eq!((&info["ttl"], &info["creation_path"]), (&json!(60), &json!("secret/data/w")));
    assert_error(&bench.root("POST", "sys/wrapping/unwrap", &json!({ "token": token })), 400, GONE);
    let (_, reply) = bench.root("POST", "sys/wrapping/unwrap", &json!({ "token": info["token"] }));
    assert_eq!(reply["data"]["data"]["a"], "b");
}

#[test]
fn anything_may_be_wrapped_by_itself() {
    let bench = Bench::new(Voice::OpenBao);
    let needs = "endpoint requires response wrapping to be used";
    assert_error(&bench.root("POST", "sys/wrapping/wrap", &json!({"x": "y"})), 400, needs);
    let (_, reply) = wrapped(&bench, "POST", "sys/wrapping/wrap", &json!({"x": "y"}), "60");
    assert_eq!(reply["wrap_info"]["creation_path"], "sys/wrapping/wrap");
    let token = json!({ "token": reply["wrap_info"]["token"] });
    assert_eq!(bench.root("POST", "sys/wrapping/unwrap", &token).1["data"], json!({"x": "y"}));
}

#[test]
fn a_wrapping_token_looks_up_as_a_token_with_one_use() {
    let bench = Bench::new(Voice::OpenBao);
    let (_, reply) = bench.root("POST", "auth/token/lookup", &json!({ "token": wrapping_token(&bench) }));
    let data = &reply["data"];
    assert_eq!((&data["policies"], &data["num_uses"]), (&json!(["response-wrapping"]), &json!(1)));
    assert_eq!((&data["orphan"], &data["explicit_max_ttl"]), (&json!(true), &json!(60)));
}

#[test]
fn each_token_has_a_cubbyhole_to_itself() {
    let bench = Bench::new(Voice::OpenBao);
    let other = client_token(&bench.token(&json!({"policies": ["default"]})));
    assert_eq!(bench.root("POST", "cubbyhole/x", &json!({"a": "b"})).0, 204);
    assert_eq!(bench.read("cubbyhole/x").1["data"], json!({"a": "b"}));
    assert_eq!(bench.root("LIST", "cubbyhole", &Value::Null).1["data"]["keys"], json!(["x"]));
    assert_eq!(bench.ask(&other, "GET", "cubbyhole/x", &Value::Null).0, 404);
}
