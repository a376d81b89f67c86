//! What a page in a browser is told. Observed on OpenBao 2.7.2 and Vault 1.21.4.

use super::*;

const PAGE: &str = "http://lab.example.com";

fn ask(bench: &Bench, method: &str, origin: &str, wanted: Option<&str>) -> Response {
    let url = format!("{}/v1/secret/data/w", bench.world.vault_address());
    let request = Request::new(method, &url).with_token("root").with_header("Origin", origin);
    let request = match wanted {
        Some(wanted) => request.with_header("Access-Control-Request-Method", wanted),
        None => request,
    };
    bench.world.handle(request).unwrap()
}

fn configured(voice: Voice) -> Bench {
    let bench = Bench::new(voice);
    let config = json!({"allowed_origins": [PAGE], "allowed_headers": ["X-Custom"]});
    assert_eq!(bench.root("POST", "sys/config/cors", &config).0, 204);
    bench
}

#[test]
fn without_a_configuration_pages_are_told_nothing() {
    let bench = Bench::new(Voice::OpenBao);
    assert_eq!(bench.read("sys/config/cors").1["data"], json!({"enabled": false}));
    let plain = ask(&bench, "GET", PAGE, None);
    assert_eq!((plain.status, plain.header("Access-Control-Allow-Origin")), (404, None));
    assert_eq!(ask(&bench, "OPTIONS", PAGE, Some("GET")).status, 400);
}

#[test]
fn a_preflight_is_answered_in_each_voice() {
    for (voice, patch, scan) in [(Voice::OpenBao, 405, 200), (Voice::Vault, 200, 405)] {
        let bench = configured(voice);
        for (method, status) in [("GET", 200), ("LIST", 200), ("PATCH", patch), ("SCAN", scan), ("HEAD", 405)]
        {
            let response = ask(&bench, "OPTIONS", PAGE, Some(method));
            assert_eq!(response.status, status, "{voice:?} {method}");
            let allowed = (status == 200).then_some(PAGE);
            assert_eq!(response.header("Access-Control-Allow-Origin"), allowed, "{voice:?} {method}");
        }
        assert_eq!(ask(&bench, "OPTIONS", PAGE, None).status, 405);
    }
}

#[test]
fn the_allowed_headers_are_the_standard_ones_and_those_of_the_operator() {
    let bench = configured(Voice::OpenBao);
    let response = ask(&bench, "OPTIONS", PAGE, Some("GET"));
    let headers = response.header("Access-Control-Allow-Headers").unwrap();
    assert!(headers.contains("X-Vault-Token") && headers.ends_with(",X-Custom"));
    // The client must do without them.
    assert!(!headers.contains("X-Vault-Request") && !headers.contains("X-Vault-Namespace"));
    assert_eq!(response.header("Access-Control-Max-Age"), Some("300"));
}

#[test]
fn a_foreign_origin_is_refused_and_an_allowed_one_may_read() {
    let bench = configured(Voice::OpenBao);
    for method in ["GET", "OPTIONS"] {
        let foreign = ask(&bench, method, "http://evil.example.com", Some("GET"));
        assert_eq!((foreign.status, foreign.header("Access-Control-Allow-Origin")), (403, None));
        assert_eq!(foreign.json(), json!({"errors": ["origin not allowed"]}));
    }
    let own = ask(&bench, "GET", PAGE, None);
    assert_eq!((own.status, own.header("Access-Control-Allow-Origin")), (404, Some(PAGE)));
    assert_eq!((own.header("Vary"), own.header("Access-Control-Expose-Headers")), (Some("Origin"), None));
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused() {
    let bench = Bench::new(Voice::OpenBao);
    let none = "1 error occurred:\n\t* at least one origin or the wildcard must be provided\n\n";
    assert_error(&bench.root("POST", "sys/config/cors", &json!({"enabled": true})), 500, none);
    let both = json!({"allowed_origins": ["*", PAGE]});
    let only =
        "1 error occurred:\n\t* to allow all origins the '*' must be the only value for allowed_origins\n\n";
    assert_error(&bench.root("POST", "sys/config/cors", &both), 500, only);
    assert_eq!(bench.root("POST", "sys/config/cors", &json!({"allowed_origins": "*"})).0, 204);
    assert_eq!(ask(&bench, "GET", PAGE, None).header("Access-Control-Allow-Origin"), Some(PAGE));
    assert_eq!(bench.root("DELETE", "sys/config/cors", &Value::Null).0, 204);
    assert_eq!(ask(&bench, "GET", PAGE, None).header("Access-Control-Allow-Origin"), None);
}

#[test]
fn a_page_lists_the_stores_that_a_policy_touches() {
    let bench = Bench::new(Voice::OpenBao);
    bench.root("POST", "sys/mounts/kv", &json!({"type": "kv", "options": {"version": "2"}}));
    bench.root("POST", "sys/mounts/other", &json!({"type": "kv"}));
    bench.root(
        "POST",
        "sys/policies/acl/one",
        &json!({"policy": r#"path "kv/data/x" { capabilities = ["read"] }"#}),
    );
    let made = bench.root("POST", "auth/token/create", &json!({"policies": ["one"]})).1;
    let token = made["auth"]["client_token"].as_str().unwrap();
    let (status, reply) = bench.ask(token, "GET", "sys/internal/ui/mounts", &json!(null));
    assert_eq!(status, 200, "{reply}");
    let secret = reply["data"]["secret"].as_object().unwrap();
    assert_eq!((&secret["kv/"]["type"], &secret["kv/"]["options"]), (&json!("kv"), &json!({"version": "2"})));
    assert!(!secret.contains_key("other/"), "{reply}");
    let all = bench.read("sys/internal/ui/mounts").1;
    assert!(all["data"]["secret"].as_object().unwrap().contains_key("other/"));
}
