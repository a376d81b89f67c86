//! What OpenBao and Vault answer. The texts were observed on OpenBao 2.7.2 and Vault 1.21.4.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::provider::{Misbehaviour, Span};

mod conditions;
mod cors;
mod kv2;
mod login;
mod logins;
mod operators;
mod polling;
mod token_roles;
mod wrapping;

/// A world and somebody who asks its Vault.
struct Bench {
    world: World,
}

impl Bench {
    fn new(voice: Voice) -> Self {
        Self { world: World::builder().voice(voice).build() }
    }

    fn ask(&self, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = Request::new(method, &format!("{}/v1/{path}", self.world.vault_address()));
        let request = if token.is_empty() { request } else { request.with_token(token) };
        let request = if body.is_null() { request } else { request.with_json(body) };
        let response = self.world.handle(request).unwrap();
        (response.status, response.json())
    }

    /// As root.
    fn root(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.ask("root", method, path, body)
    }

    fn read(&self, path: &str) -> (u16, Value) {
        self.root("GET", path, &Value::Null)
    }

    /// A new token; its whole answer.
    fn token(&self, body: &Value) -> Value {
        let (status, reply) = self.root("POST", "auth/token/create", body);
        assert_eq!(status, 200, "{reply}");
        reply
    }

    fn token_with_policy(&self, policy: &str) -> String {
        let (status, _) = self.root("PUT", "sys/policies/acl/under-test", &json!({ "policy": policy }));
        assert_eq!(status, 204);
        client_token(&self.token(&json!({"policies": ["under-test"]})))
    }

    fn put(&self, key: &str, body: &Value) -> (u16, Value) {
        self.root("POST", &format!("secret/data/{key}"), body)
    }

    fn pass(&self, seconds: u64) {
        self.world.clock().advance(Duration::from_secs(seconds));
    }
}

fn client_token(reply: &Value) -> String {
    reply["auth"]["client_token"].as_str().unwrap().to_owned()
}

#[track_caller]
fn assert_error((status, body): &(u16, Value), expected: u16, text: &str) {
    assert_eq!((*status, body), (expected, &json!({ "errors": [text] })));
}

const POLICY_DENIES: &str = "1 error occurred:\n\t* permission denied\n\n";
const BOTH: [Voice; 2] = [Voice::OpenBao, Voice::Vault];

// The frame.

#[test]
fn the_envelope_is_whole_and_hashicorps_names_the_mount_type() {
    for voice in BOTH {
        let bench = Bench::new(voice);
        bench.put("a", &json!({"data": {"x": 1}}));
        let (_, reply) = bench.read("secret/data/a");
        let mut keys: Vec<&str> = reply.as_object().unwrap().keys().map(String::as_str).collect();
        let expected_type = (voice == Voice::Vault).then_some("kv");
        assert_eq!(reply.get("mount_type").and_then(Value::as_str), expected_type);
        keys.retain(|key| *key != "mount_type");
        assert_eq!(
            keys,
            [
                "request_id",
                "lease_id",
                "renewable",
                "lease_duration",
                "data",
                "wrap_info",
                "warnings",
                "auth"
            ]
        );
        assert_eq!(reply["request_id"].as_str().unwrap().len(), 36);
    }
}

#[test]
fn an_answer_without_a_body_is_204_and_never_stored() {
    let bench = Bench::new(Voice::OpenBao);
    let url = format!("{}/v1/secret/data/a", bench.world.vault_address());
    let response = bench.world.handle(Request::new("DELETE", &url).with_token("root")).unwrap();
    assert_eq!((response.status, response.body.len()), (204, 0));
    assert_eq!(response.header("cache-control"), Some("no-store"));
}

#[test]
fn broken_json_and_bodies_too_large_are_refused_in_each_voice() {
    for (voice, status, prefix) in
        [(Voice::OpenBao, 400, "failed to decode JSON input: "), (Voice::Vault, 500, "")]
    {
        let bench = Bench::new(voice);
        let url = format!("{}/v1/secret/data/a", bench.world.vault_address());
        let send = |body: Vec<u8>| {
            let response =
                bench.world.handle(Request::post(&url).with_token("root").with_body(body)).unwrap();
            (response.status, response.json())
        };
        let array =
            format!("{prefix}json: cannot unmarshal array into Go value of type map[string]interface {{}}");
        assert_error(&send(b"[1]".to_vec()), status, &array);
        let large = send(vec![b' '; crate::world::BODY_LIMIT + 1]);
        match voice {
            Voice::OpenBao => assert_error(&large, 413, "http: request body too large"),
            Voice::Vault => assert_error(&large, 500, "JSON string value exceeds allowed length"),
        }
    }
}

#[test]
fn a_dead_token_is_told_in_each_voice() {
    for (voice, text) in [
        (Voice::OpenBao, "permission denied"),
        (Voice::Vault, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"),
    ] {
        let bench = Bench::new(voice);
        assert_error(&bench.ask("dead", "GET", "auth/token/lookup-self", &Value::Null), 403, text);
        assert_error(&bench.ask("", "GET", "auth/token/lookup-self", &Value::Null), 403, "permission denied");
    }
}

#[test]
fn tokens_look_like_those_of_their_server() {
    for (voice, service, batch) in [(Voice::OpenBao, "s.", "b."), (Voice::Vault, "hvs.", "hvb.")] {
        let bench = Bench::new(voice);
        let made = client_token(&bench.token(&json!({})));
        assert!(made.starts_with(service), "{made}");
        assert!(if voice == Voice::OpenBao { made.len() == 26 } else { made.len() >= 90 }, "{made}");
        let made = client_token(&bench.token(&json!({"type": "batch", "policies": ["default"]})));
        assert!(made.starts_with(batch), "{made}");
    }
}

#[test]
fn openbao_knows_no_other_namespace_and_hashicorps_ignores_the_header() {
    for (voice, status) in [(Voice::OpenBao, 404), (Voice::Vault, 200)] {
        let bench = Bench::new(voice);
        let ask = |path: &str, namespace: &str| {
            let url = format!("{}/v1/{path}", bench.world.vault_address());
            let request = Request::get(&url).with_token("root").with_header("X-Vault-Namespace", namespace);
            bench.world.handle(request).unwrap()
        };
        assert_eq!(ask("auth/token/lookup-self", "nope").status, status);
        assert_eq!(ask("auth/token/lookup-self", "root").status, 200);
        if voice == Voice::OpenBao {
            assert_eq!(
                ask("auth/token/lookup-self", "nope").json(),
                json!({"errors": ["namespace not found"]})
            );
            let health = ask("sys/health", "nope");
            assert_eq!(health.json(), json!({"errors": ["operation unavailable in namespaces"]}));
        }
    }
}

#[test]
fn what_nobody_serves_is_404_with_a_token_and_403_without() {
    let bench = Bench::new(Voice::OpenBao);
    let text = "no handler for route \"nothere/x\". route entry not found.";
    assert_error(&bench.read("nothere/x"), 404, text);
    assert_error(&bench.ask("", "GET", "nothere/x", &Value::Null), 403, "permission denied");
    assert_error(&bench.read("auth/token/nothere"), 404, "1 error occurred:\n\t* unsupported path\n\n");
    assert_error(
        &bench.read("auth/token/renew-self"),
        405,
        "1 error occurred:\n\t* unsupported operation\n\n",
    );
}

#[test]
fn odd_paths_are_redirected_to_their_clean_form() {
    let world = World::new();
    let url = format!("{}/v1/secret//data/a/../b", world.vault_address());
    let response = world.handle(Request::get(&url).with_token("root")).unwrap();
    assert_eq!((response.status, response.header("Location")), (307, Some("/v1/secret/data/b")));
}

#[test]
fn health_needs_no_token() {
    for (voice, version) in [(Voice::OpenBao, "2.7.2"), (Voice::Vault, "1.21.4")] {
        let bench = Bench::new(voice);
        let (status, health) = bench.ask("", "GET", "sys/health", &Value::Null);
        assert_eq!((status, &health["version"], &health["sealed"]), (200, &version.into(), &false.into()));
        let (_, leader) = bench.ask("", "GET", "sys/leader", &Value::Null);
        assert_eq!(leader.as_object().unwrap().len() == 1, voice == Voice::OpenBao);
    }
}

// Tokens.

#[test]
fn under_a_cap_each_renewal_ends_at_the_same_time() {
    let bench = Bench::new(Voice::OpenBao);
    let token =
        client_token(&bench.token(&json!({"ttl": "4s", "explicit_max_ttl": "8s", "policies": ["default"]})));
    let renew = || {
        bench.pass(2);
        bench.ask(&token, "POST", "auth/token/renew-self", &json!({"increment": "4s"}))
    };
    for (lease, warning) in [
        (4, Value::Null),
        (4, Value::Null),
        (
            2,
            json!([
                "TTL of \"4s\" exceeded the effective max_ttl of \"2s\"; TTL value is capped accordingly"
            ]),
        ),
    ] {
        let (status, reply) = renew();
        assert_eq!(
            (status, &reply["auth"]["lease_duration"], &reply["warnings"]),
            (200, &lease.into(), &warning)
        );
    }
    assert_error(&renew(), 403, "permission denied");
}

#[test]
fn the_longest_lease_is_768_hours() {
    let bench = Bench::new(Voice::OpenBao);
    let reply = bench.token(&json!({"ttl": "800h", "policies": ["default"]}));
    assert_eq!(reply["auth"]["lease_duration"], 768 * 3600);
    let text = "TTL of \"800h\" exceeded the effective max_ttl of \"768h\"; TTL value is capped accordingly";
    assert_eq!(reply["warnings"], json!([text]));
}

#[test]
fn a_renewal_that_asks_for_nothing_gets_what_was_granted_last() {
    let bench = Bench::new(Voice::OpenBao);
    let token = client_token(&bench.token(&json!({"ttl": "2h", "policies": ["default"]})));
    let renew = |body: Value| {
        bench.ask(&token, "POST", "auth/token/renew-self", &body).1["auth"]["lease_duration"].clone()
    };
    assert_eq!(renew(json!({})), 7200);
    assert_eq!(renew(json!({"increment": "10m"})), 600);
    assert_eq!(renew(json!({})), 600);
}

#[test]
fn a_period_is_given_again_and_again() {
    let bench = Bench::new(Voice::OpenBao);
    let token = client_token(&bench.token(&json!({"period": "1h", "policies": ["default"]})));
    for _ in 0..1000 {
        bench.pass(3599);
        let (status, reply) = bench.ask(&token, "POST", "auth/token/renew-self", &json!({"increment": "5h"}));
        assert_eq!((status, &reply["auth"]["lease_duration"]), (200, &3600.into()));
    }
}

#[test]
fn a_token_with_two_uses_is_gone_after_two_calls() {
    let bench = Bench::new(Voice::OpenBao);
    let token = client_token(&bench.token(&json!({"num_uses": 2, "policies": ["default"]})));
    let look = || bench.ask(&token, "GET", "auth/token/lookup-self", &Value::Null);
    assert_eq!(look().1["data"]["num_uses"], 1);
    assert_eq!(look().1["data"]["num_uses"], -1);
    assert_eq!(look().0, 403);
}

#[test]
fn batch_tokens_can_neither_be_renewed_nor_revoked() {
    let bench = Bench::new(Voice::OpenBao);
    let token = client_token(&bench.token(&json!({"type": "batch", "policies": ["default"], "ttl": "10m"})));
    let post = |path: &str| bench.ask(&token, "POST", path, &json!({}));
    assert_error(&post("auth/token/renew-self"), 400, "batch tokens cannot be renewed");
    assert_error(&post("auth/token/revoke-self"), 400, "batch tokens cannot be revoked");
    let create = |body: Value| bench.root("POST", "auth/token/create", &body);
    assert_error(&create(json!({"type": "batch"})), 400, "batch tokens cannot be root tokens");
    let with_uses = create(json!({"type": "batch", "num_uses": 3}));
    assert_error(&with_uses, 400, "batch tokens cannot have \"num_uses\" set");
}

#[test]
fn revoking_a_token_revokes_its_children_but_no_orphans() {
    let bench = Bench::new(Voice::OpenBao);
    let parent = client_token(&bench.token(&json!({"ttl": "1h"})));
    let make =
        |path: &str| client_token(&bench.ask(&parent, "POST", path, &json!({"policies": ["default"]})).1);
    let (child, orphan) = (make("auth/token/create"), make("auth/token/create-orphan"));
    bench.root("POST", "auth/token/revoke", &json!({ "token": parent }));
    let status = |token: &str| bench.ask(token, "GET", "auth/token/lookup-self", &Value::Null).0;
    assert_eq!((status(&child), status(&orphan)), (403, 200));
}

#[test]
fn the_errors_of_the_token_calls_are_the_servers() {
    let bench = Bench::new(Voice::OpenBao);
    let dead = json!({"token": "nope"});
    for (path, body, status, text) in [
        ("lookup", &dead, 403, "bad token"),
        ("renew", &dead, 400, "token not found"),
        ("renew", &json!({}), 400, "missing token ID"),
        ("renew-self", &json!({}), 400, "lease is not renewable"),
        ("lookup-accessor", &json!({"accessor": "nope"}), 400, "1 error occurred:\n\t* invalid accessor\n\n"),
        ("create", &json!({"ttl": "nope"}), 400, "time: invalid duration \"nope\""),
        ("create", &json!({"type": "nope"}), 400, "invalid 'token_type' value"),
        ("create/nope", &json!({}), 400, "unknown role nope"),
    ] {
        assert_error(&bench.root("POST", &format!("auth/token/{path}"), body), status, text);
    }
    let (status, reply) = bench.root("POST", "auth/token/revoke-accessor", &json!({"accessor": "nope"}));
    assert_eq!((status, &reply["warnings"]), (200, &json!(["No token found with this accessor"])));
}

#[test]
fn a_child_has_no_more_policies_than_its_parent() {
    let bench = Bench::new(Voice::OpenBao);
    let maker = bench.token_with_policy(r#"path "auth/token/create" { capabilities = ["update"] }"#);
    let create = |body: Value| bench.ask(&maker, "POST", "auth/token/create", &body);
    assert_error(&create(json!({"policies": ["other"]})), 400, "child policies must be subset of parent");
    let (_, reply) = create(json!({}));
    assert_eq!(reply["auth"]["policies"], json!(["default", "under-test"]));
    let (_, reply) = create(json!({"no_default_policy": true}));
    assert_eq!(reply["auth"]["policies"], json!(["under-test"]));
    let periodic = create(json!({"period": "1h"}));
    assert_error(&periodic, 400, "root or sudo privileges required to create periodic token");
}

#[test]
fn unknown_fields_and_unknown_policies_are_warned_of() {
    let bench = Bench::new(Voice::OpenBao);
    let reply = bench.token(&json!({"policies": ["nope"], "foo": 1, "bar": 2}));
    let unknown = "Endpoint ignored these unrecognized parameters: [bar foo]";
    assert_eq!(reply["warnings"], json!(["Policy \"nope\" does not exist", unknown]));
}

// Policies.

#[test]
fn a_policy_decides_over_every_call() {
    let bench = Bench::new(Voice::OpenBao);
    bench.put("mine/a", &json!({"data": {}}));
    let token = bench.token_with_policy(
        r#"path "secret/data/mine/*" { capabilities = ["create", "read"] }
           path "secret/metadata/mine/*" { capabilities = ["list"] }"#,
    );
    let ask = |method: &str, path: &str, body: &Value| bench.ask(&token, method, path, body);
    assert_eq!(ask("GET", "secret/data/mine/a", &Value::Null).0, 200);
    assert_eq!(
        ask("LIST", "secret/metadata/mine", &Value::Null).0,
        200,
        "the folder is asked for with its slash"
    );
    assert_eq!(ask("GET", "secret/metadata/mine?list=true", &Value::Null).0, 200);
    assert_eq!(ask("POST", "secret/data/mine/new", &json!({"data": {}})).0, 200, "create");
    assert_error(&ask("POST", "secret/data/mine/new", &json!({"data": {}})), 403, POLICY_DENIES);
    assert_error(&ask("GET", "secret/data/other", &Value::Null), 403, POLICY_DENIES);
    assert_error(&ask("GET", "nothere/x", &Value::Null), 403, POLICY_DENIES);
}

#[test]
fn auth_methods_are_enabled_only_with_sudo() {
    let bench = Bench::new(Voice::OpenBao);
    let enable = |token: &str, path: &str| bench.ask(token, "POST", path, &json!({"type": "jwt"})).0;
    let plain = bench.token_with_policy(r#"path "sys/auth/*" { capabilities = ["create", "update"] }"#);
    assert_eq!(enable(&plain, "sys/auth/a"), 403);
    let sudo = bench.token_with_policy(r#"path "sys/auth/*" { capabilities = ["update", "sudo"] }"#);
    assert_eq!(enable(&sudo, "sys/auth/a"), 204);
}

#[test]
fn policy_names_are_in_lower_case_and_the_built_in_ones_are_kept() {
    let bench = Bench::new(Voice::OpenBao);
    let text = json!({"policy": "path \"a\" { capabilities = [\"read\"] }"});
    assert_eq!(bench.root("POST", "sys/policies/acl/Own", &text).0, 204);
    assert_eq!(bench.read("sys/policies/acl/OWN").1["data"]["name"], "own");
    let list = bench.root("LIST", "sys/policies/acl", &Value::Null);
    assert_eq!(list.1["data"]["keys"], json!(["default", "own", "root"]));
    assert_eq!(bench.read("sys/policies/acl/nope"), (404, json!({"errors": []})));
    assert_error(&bench.root("POST", "sys/policies/acl/root", &text), 400, "cannot update \"root\" policy");
    let delete = bench.root("DELETE", "sys/policies/acl/default", &Value::Null);
    assert_error(&delete, 400, "cannot delete default policy");
    let empty = bench.root("POST", "sys/policies/acl/x", &json!({}));
    assert_error(&empty, 400, "'policy' parameter not supplied or empty");
}

#[test]
fn a_template_stands_for_whoever_asks() {
    let bench = Bench::new(Voice::OpenBao);
    let token =
        bench.token_with_policy(r#"path "secret/data/{{identity.entity.id}}/*" { capabilities = ["read"] }"#);
    assert_eq!(bench.ask(&token, "GET", "secret/data//a", &Value::Null).0, 307);
    assert_eq!(bench.ask(&token, "GET", "secret/data/x/a", &Value::Null).0, 403, "a token without an entity");
}

// Mounts.

#[test]
fn mounts_are_made_and_removed_through_the_api() {
    let bench = Bench::new(Voice::OpenBao);
    let mount = |path: &str, body: Value| bench.root("POST", &format!("sys/mounts/{path}"), &body);
    assert_eq!(mount("kv2", json!({"type": "kv", "options": {"version": "2"}})).0, 204);
    assert_error(&mount("kv2/sub", json!({"type": "kv-v2"})), 400, "path is already in use at kv2/");
    assert_error(&mount("x", json!({"type": "nope"})), 400, "plugin not found in the catalog: nope");
    assert_error(&mount("x", json!({})), 400, "backend type must be specified as a string");
    let (_, all) = bench.read("sys/mounts");
    assert_eq!(all["data"]["kv2/"], all["kv2/"], "what sys/ answers stands beside the envelope, too");
    assert_eq!(all["kv2/"]["options"]["version"], "2");
    assert_eq!(bench.read("sys/mounts/kv2/tune").1["data"]["max_lease_ttl"], 768 * 3600);
    assert_eq!(bench.root("POST", "kv2/data/a", &json!({"data": {}})).0, 200);
    assert_eq!(bench.root("DELETE", "sys/mounts/kv2", &Value::Null).0, 204);
    assert_eq!(bench.read("kv2/data/a").0, 404);
    assert_error(&bench.read("sys/mounts/kv2"), 400, "No secret engine mount at kv2/");
}
