//! A Vault that is sealed, or not the one whose turn it is.

use super::*;

fn send(bench: &Bench, method: &str, path: &str) -> Response {
    let url = format!("{}/v1/{path}", bench.world.vault_address());
    bench.world.handle(Request::new(method, &url).with_token("root")).unwrap()
}

#[test]
fn a_sealed_vault_says_so_to_everybody_and_still_tells_its_status() {
    let bench = Bench::new(Voice::OpenBao);
    bench.world.vault().seal();
    assert_error(&bench.read("secret/data/a"), 503, "Vault is sealed");
    assert_error(&bench.ask("", "POST", "auth/userpass/login/a", &json!({})), 503, "Vault is sealed");
    let health = send(&bench, "GET", "sys/health");
    assert_eq!((health.status, &health.json()["sealed"]), (503, &json!(true)));
    assert_eq!((&health.json()["standby"], health.json().get("cluster_id")), (&json!(true), None));
    assert_eq!(send(&bench, "GET", "sys/seal-status").json()["sealed"], true);
    bench.world.vault().unseal();
    assert_eq!(send(&bench, "GET", "sys/health").status, 200);
}

#[test]
fn an_operator_seals_and_unseals_through_the_api() {
    let bench = Bench::new(Voice::OpenBao);
    assert_eq!(bench.root("PUT", "sys/seal", &Value::Null).0, 204);
    let (status, reply) = bench.ask("", "PUT", "sys/unseal", &json!({"key": "any"}));
    assert_eq!((status, &reply["sealed"]), (200, &json!(false)));
    let weak = client_token(&bench.token(&json!({"policies": ["default"]})));
    assert_error(&bench.ask(&weak, "PUT", "sys/seal", &Value::Null), 403, POLICY_DENIES);
}

#[test]
fn a_standby_sends_every_call_to_its_leader_with_the_query() {
    let bench = Bench::new(Voice::OpenBao);
    bench.world.vault().standby(Some("http://leader:8200/"));
    let moved = send(&bench, "GET", "secret/data/a?version=2");
    let expected = "http://leader:8200/v1/secret/data/a?version=2";
    assert_eq!((moved.status, moved.header("Location")), (307, Some(expected)));
    bench.world.vault().standby(None);
    assert_error(&bench.read("secret/data/a"), 503, "no active Vault instance found");
}

#[test]
fn health_answers_with_the_status_that_was_asked_for() {
    let bench = Bench::new(Voice::OpenBao);
    assert_eq!(send(&bench, "GET", "sys/health?activecode=204").status, 204);
    bench.world.vault().standby(None);
    for (query, status) in
        [("", 429), ("?standbyok=true", 200), ("?standbyok", 200), ("?standbycode=299", 299)]
    {
        assert_eq!(send(&bench, "GET", &format!("sys/health{query}")).status, status, "{query}");
    }
    bench.world.vault().seal();
    assert_eq!(send(&bench, "GET", "sys/health?sealedcode=298").status, 298);
}

#[test]
fn the_fields_of_health_come_in_the_servers_order() {
    let bench = Bench::new(Voice::OpenBao);
    let health = send(&bench, "GET", "sys/health").json();
    let keys: Vec<&str> = health.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "initialized",
        "sealed",
        "standby",
        "replication_performance_mode",
        "replication_dr_mode",
        "server_time_utc",
        "version",
        "cluster_name",
        "cluster_id",
    ];
    assert_eq!(keys, expected);
}
