//! Reading secrets.

use latchkey_testbed::{Fault, Response, Target};
use latchkey_tests::{Backend, Place, behaviours};
use latchkey_transport::Method;
use latchkey_vault_client::{Error, MountProblem, Read, Token};
use serde_json::{Value, json};

use crate::support::{root, token, vault};

behaviours! {
    a_secret_is_found_with_its_metadata,
    an_older_version_is_found,
    a_deleted_secret_says_when,
    a_destroyed_secret_says_so,
    a_missing_secret_is_missing,
    a_version_that_never_was_is_missing,
    a_version_without_data_has_no_fields,
    numbers_come_as_the_server_sends_them,
    a_field_that_is_not_there_names_those_that_are,
    names_that_need_encoding_are_found,
    a_path_with_dots_is_refused_before_it_is_sent,
    a_secret_that_no_policy_allows_is_denied,
    a_dead_token_is_denied,
    a_mount_that_is_not_there_is_no_missing_secret,
    a_store_without_versions_is_explained,
    a_namespace_that_is_not_there_is_told,
    #[not_on(Place::Real, "the real server is not broken on request")]
    any_broken_reply_is_a_typed_error,
    #[not_on(Place::Real, "the real server's replies are not lost on request")]
    a_lost_reply_is_asked_for_again,
    #[not_on(Place::Real, "the real server's replies are not lost on request")]
    #[not_on(Place::Loopback, "a server that listens cannot refuse a connection")]
    a_write_is_sent_again_only_if_it_never_arrived,
}

async fn kv(backend: &Backend) -> String {
    let kv = backend.unique("kv");
    let options = json!({"type": "kv", "options": {"version": "2"}});
    backend.admin(Method::Post, &format!("sys/mounts/{kv}"), options).await.unwrap();
    kv
}

async fn read(backend: &Backend, kv: &str, path: &str) -> Read {
    root(backend).kv2(kv).read(path).await.unwrap()
}

async fn a_secret_is_found_with_its_metadata(backend: Backend) {
    let kv = kv(&backend).await;
    backend.put_secret(&kv, "team/app", json!({"user": "app", "port": 5432})).await.unwrap();
    let custom = json!({"custom_metadata": {"owner": "team"}});
    backend.admin(Method::Post, &format!("{kv}/metadata/team/app"), custom).await.unwrap();
    let Read::Found(secret) = read(&backend, &kv, "team/app").await else { panic!("not found") };
    assert_eq!(secret.data().fields().collect::<Vec<_>>(), ["port", "user"]);
    assert_eq!(secret.data().text("user").unwrap(), "app");
    let metadata = secret.metadata();
    assert_eq!((metadata.version, metadata.destroyed, &metadata.deletion_time), (1, false, &None));
    assert!(metadata.created_time.ends_with('Z'), "{}", metadata.created_time);
    assert_eq!(metadata.custom_metadata.get("owner").map(String::as_str), Some("team"));
}

async fn an_older_version_is_found(backend: Backend) {
    let kv = kv(&backend).await;
    for version in ["one", "two"] {
        backend.put_secret(&kv, "app", json!({"v": version})).await.unwrap();
    }
    let Read::Found(old) = root(&backend).kv2(&kv).read_version("app", 1).await.unwrap() else {
        panic!("not found")
    };
    assert_eq!((old.data().text("v").unwrap(), old.metadata().version), ("one", 1));
    let Read::Found(new) = read(&backend, &kv, "app").await else { panic!("not found") };
    assert_eq!((new.data().text("v").unwrap(), new.metadata().version), ("two", 2));
}

async fn a_deleted_secret_says_when(backend: Backend) {
    let kv = kv(&backend).await;
    backend.put_secret(&kv, "app", json!({"v": "1"})).await.unwrap();
    backend.admin(Method::Delete, &format!("{kv}/data/app"), Value::Null).await.unwrap();
    let Read::Deleted(metadata) = read(&backend, &kv, "app").await else { panic!("not deleted") };
    assert!(metadata.deletion_time.is_some_and(|time| time.ends_with('Z')));
    assert_eq!((metadata.version, metadata.destroyed), (1, false));
}

async fn a_destroyed_secret_says_so(backend: Backend) {
    let kv = kv(&backend).await;
    backend.put_secret(&kv, "app", json!({"v": "1"})).await.unwrap();
    backend.admin(Method::Put, &format!("{kv}/destroy/app"), json!({"versions": [1]})).await.unwrap();
    let Read::Destroyed(metadata) = read(&backend, &kv, "app").await else { panic!("not destroyed") };
    assert_eq!((metadata.deletion_time, metadata.destroyed), (None, true));
}

async fn a_missing_secret_is_missing(backend: Backend) {
    let kv = kv(&backend).await;
    backend.put_secret(&kv, "app", json!({"v": "1"})).await.unwrap();
    assert!(matches!(read(&backend, &kv, "other").await, Read::Missing));
}

async fn a_version_that_never_was_is_missing(backend: Backend) {
    let kv = kv(&backend).await;
    backend.put_secret(&kv, "app", json!({"v": "1"})).await.unwrap();
    assert!(matches!(root(&backend).kv2(&kv).read_version("app", 7).await.unwrap(), Read::Missing));
}

async fn a_version_without_data_has_no_fields(backend: Backend) {
    let kv = kv(&backend).await;
    backend.put_secret(&kv, "app", Value::Null).await.unwrap();
    let Read::Found(secret) = read(&backend, &kv, "app").await else { panic!("not found") };
    assert!(secret.data().is_empty());
}

async fn numbers_come_as_the_server_sends_them(backend: Backend) {
    let kv = kv(&backend).await;
    let data: Value = serde_json::from_str(r#"{"big": 9007199254740993, "price": 1.10}"#).unwrap();
    backend.put_secret(&kv, "app", data).await.unwrap();
    let Read::Found(secret) = read(&backend, &kv, "app").await else { panic!("not found") };
    assert_eq!(
        secret.data().raw("big").unwrap(),
        "9007199254740992",
        "the server rounds, the client does not"
    );
    assert_eq!(secret.data().raw("price").unwrap(), "1.1");
}

async fn a_field_that_is_not_there_names_those_that_are(backend: Backend) {
    let kv = kv(&backend).await;
    backend.put_secret(&kv, "app", json!({"user": "app", "password": "hush"})).await.unwrap();
    let Read::Found(secret) = read(&backend, &kv, "app").await else { panic!("not found") };
    let error = secret.data().text("pasword").unwrap_err();
    let Error::FieldMissing { .. } = &error else { panic!("{error:?}") };
    let told = error.to_string();
    assert!(told.contains("user") && told.contains("password") && !told.contains("hush"), "{told}");
}

async fn names_that_need_encoding_are_found(backend: Backend) {
    let kv = kv(&backend).await;
    for (path, encoded) in
        [("a b/ü", "a%20b/%C3%BC"), ("50%", "50%25"), ("q?x=1", "q%3Fx=1"), ("a#b", "a%23b")]
    {
        backend.put_secret(&kv, encoded, json!({"v": path})).await.unwrap();
        let Read::Found(secret) = read(&backend, &kv, path).await else { panic!("{path} is not found") };
        assert_eq!(secret.data().text("v").unwrap(), path);
    }
}

async fn a_path_with_dots_is_refused_before_it_is_sent(backend: Backend) {
    let vault = root(&backend);
    for path in ["../sys/mounts", "a/../b", "a/./b", "a//b", ""] {
        let outcome = vault.kv2("secret").read(path).await;
        assert!(matches!(outcome, Err(Error::InvalidPath { .. })), "{path}: {outcome:?}");
    }
}

/// A token that may read `kv/data/mine/*` and nothing else.
async fn limited(backend: &Backend, kv: &str) -> Token {
    let policy = format!("path \"{kv}/data/mine/*\" {{ capabilities = [\"read\"] }}");
    backend.admin(Method::Put, &format!("sys/policies/acl/{kv}"), json!({"policy": policy})).await.unwrap();
    let made = json!({"policies": [kv], "no_default_policy": true});
    let made = backend.admin(Method::Post, "auth/token/create", made).await.unwrap();
    token(&made["auth"]["client_token"].as_str().unwrap().into())
}

async fn a_secret_that_no_policy_allows_is_denied(backend: Backend) {
    let kv = kv(&backend).await;
    backend.put_secret(&kv, "mine/app", json!({"v": "1"})).await.unwrap();
    backend.put_secret(&kv, "yours/app", json!({"v": "1"})).await.unwrap();
    let vault = vault(&backend).with_token(&limited(&backend, &kv).await);
    assert!(matches!(vault.kv2(&kv).read("mine/app").await.unwrap(), Read::Found(_)));
    let error = vault.kv2(&kv).read("yours/app").await.unwrap_err();
    assert!(matches!(error, Error::PermissionDenied(_)), "{error:?}");
    assert_eq!(error.status(), Some(403));
}

async fn a_dead_token_is_denied(backend: Backend) {
    let dead = Token::new("hvs.dead").unwrap();
    let error = vault(&backend).with_token(&dead).kv2("secret").read("app").await.unwrap_err();
    match (backend.place, &error) {
        // Only HashiCorp's words tell a dead token from a policy that does not allow it.
        (Place::MemoryVault, Error::TokenInvalid(_)) => assert_eq!(error.is_token_dead(), Some(true)),
        (Place::MemoryVault, _) => panic!("{error:?}"),
        (_, Error::PermissionDenied(_)) => assert_eq!(error.is_token_dead(), None),
        _ => panic!("{error:?}"),
    }
}

async fn a_mount_that_is_not_there_is_no_missing_secret(backend: Backend) {
    let error = root(&backend).kv2("nowhere").read("app").await.unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error:?}");
}

async fn a_store_without_versions_is_explained(backend: Backend) {
    let kv = kv(&backend).await;
    backend.put_secret(&kv, "app", json!({"v": "1"})).await.unwrap();
    let error = root(&backend).logical().read(&format!("{kv}/app")).await.unwrap_err();
    assert!(matches!(error, Error::WrongMount { problem: MountProblem::Versioned, .. }), "{error:?}");
}

async fn a_namespace_that_is_not_there_is_told(backend: Backend) {
    let error = root(&backend).with_namespace("nope").unwrap().kv2("secret").read("app").await.unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error:?}");
}

async fn any_broken_reply_is_a_typed_error(backend: Backend) {
    let html = "<html><body><h1>502 Bad Gateway</h1> hush </body></html>";
    for (status, body, code) in [
        (502, html, "vault_server_fault"),
        (503, r#"{"errors":["Vault is sealed"]}"#, "vault_sealed"),
        (503, "", "vault_server_fault"),
        (500, r#"{"message":"hush"}"#, "vault_server_fault"),
        (429, r#"{"errors":["rate limit quota exceeded"]}"#, "vault_rate_limited"),
        (412, "", "vault_precondition_failed"),
        (307, "", "vault_not_active"),
        (302, "", "vault_redirected"),
        (200, html, "vault_malformed_reply"),
        (200, r#"{"data":{"data":[1],"metadata":7}}"#, "vault_wrong_mount"),
        (200, "", "vault_malformed_reply"),
    ] {
        let response =
            Response::new(status).with_body(body).with_header("Location", "http://leader.example/v1/x");
        backend.world().faults().inject(Target::vault("/v1/secret/*"), 1, Fault::Answer(response));
        let error = root(&backend).kv2("secret").read("app").await.unwrap_err();
        assert_eq!(error.code(), code, "{status} {body}: {error}");
        assert!(!format!("{error:?} {error}").contains("hush"), "a body is not repeated: {error}");
    }
}

async fn a_lost_reply_is_asked_for_again(backend: Backend) {
    backend.put_secret("secret", "app", json!({"v": "1"})).await.unwrap();
    for fault in [Fault::Drop, Fault::Refuse] {
        backend.world().faults().inject(Target::vault("/v1/secret/*"), 1, fault);
        assert!(matches!(read(&backend, "secret", "app").await, Read::Found(_)));
    }
}

async fn a_write_is_sent_again_only_if_it_never_arrived(backend: Backend) {
    let vault = root(&backend);
    let body = json!({"data": {"v": "1"}});
    let logical = vault.logical();
    let write = || logical.write("secret/data/app", &body);
    let faults = backend.world().faults();
    faults.inject(Target::vault("/v1/secret/*"), 1, Fault::Refuse);
    assert!(write().await.is_ok());
    faults.inject(Target::vault("/v1/secret/*"), 1, Fault::Drop);
    let error = write().await.unwrap_err();
    assert!(matches!(&error, Error::Transport(latchkey_transport::Error::Lost { .. })), "{error:?}");
    let Read::Found(secret) = read(&backend, "secret", "app").await else { panic!("not found") };
    assert_eq!(secret.metadata().version, 2, "the lost one was written, and once");
}
