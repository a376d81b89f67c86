//! The doubles may not drift from the servers: the same bare requests on both, and the same answers, word for word.
//!
//! What the crates under test rely on stands here. A row is what the real server was seen to answer; HashiCorp's
//! answers were recorded by hand and are checked on the double only, since that server is not installed here.

use latchkey_tests::{Backend, Browser, Place, READER, behaviours};
use latchkey_transport::{Method, Reply, Request, Secret, Transport};
use serde_json::{Value, json};
use url::Url;

use crate::support::tokens;

behaviours! {
    tokens_answer_alike,
    logins_answer_alike,
    secrets_answer_alike,
    set_ups_answer_alike,
    identities_answer_alike,
    providers_answer_alike,
    id_tokens_have_the_same_claims,
}

/// Asks the Vault with that token and returns status and errors.
async fn ask(backend: &Backend, token: &str, method: Method, path: &str, body: Value) -> (u16, Value) {
    let mut request = Request::new(method, format!("/v1/{path}")).at(&backend.vault_address);
    if !token.is_empty() {
        request = request.with_secret_header("X-Vault-Token", Secret::new(token));
    }
    if !body.is_null() {
        request = request.with_body("application/json", body.to_string());
    }
    let reply = backend.transport.send(request).await.unwrap();
    (reply.status(), json_of(&reply))
}

fn json_of(reply: &Reply) -> Value {
    serde_json::from_slice(reply.body()).unwrap_or(Value::Null)
}

/// What OpenBao says, or what HashiCorp's Vault says in its place.
fn voice<'a>(backend: &Backend, openbao: &'a str, vault: &'a str) -> &'a str {
    if backend.place == Place::MemoryVault { vault } else { openbao }
}

const DEAD: &str = "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n";
const DENIED: &str = "1 error occurred:\n\t* permission denied\n\n";

fn errors(message: &str) -> Value {
    json!({"errors": [message]})
}

async fn tokens_answer_alike(backend: Backend) {
    let dead = errors(voice(&backend, "permission denied", DEAD));
    let get = Method::Get;
    assert_eq!(
        ask(&backend, "hvs.dead", get, "auth/token/lookup-self", Value::Null).await,
        (403, dead.clone())
    );
    assert_eq!(ask(&backend, "hvs.dead", get, "secret/data/x", Value::Null).await, (403, dead));
    let made = json!({"policies": ["default"], "ttl": "1h"});
    let (status, reply) = ask(&backend, "root", Method::Post, "auth/token/create", made).await;
    assert_eq!(status, 200);
    let auth = &reply["auth"];
    let token = auth["client_token"].as_str().unwrap().to_owned();
    assert!(token.starts_with(voice(&backend, "s.", "hvs.")), "the beginning of a token tells the voice");
    assert_eq!(auth["policies"], json!(["default"]));
    assert_eq!((&auth["lease_duration"], &auth["renewable"]), (&json!(3600), &json!(true)));
    assert_eq!((&auth["token_type"], &auth["orphan"]), (&json!("service"), &json!(false)));
    assert_eq!(reply.get("mount_type").is_some(), backend.place == Place::MemoryVault);
    assert_eq!(ask(&backend, &token, get, "secret/data/x", Value::Null).await, (403, errors(DENIED)));
    let accessor = json!({"accessor": auth["accessor"]});
    let revoked = ask(&backend, &token, Method::Post, "auth/token/revoke-self", Value::Null).await;
    assert_eq!(revoked, (204, Value::Null));
    let (status, reply) = ask(&backend, "root", Method::Post, "auth/token/lookup-accessor", accessor).await;
    assert_eq!((status, reply), (400, errors("1 error occurred:\n\t* invalid accessor\n\n")));
}

async fn logins_answer_alike(backend: Backend) {
    let site = backend.site().await.unwrap();
    let product = voice(&backend, "OpenBao", "Vault");
    let (login, auth_url, callback) = (
        format!("auth/{}/login", site.jwt),
        format!("auth/{}/oidc/auth_url", site.oidc),
        format!("auth/{}/oidc/callback", site.oidc),
    );
    let post = Method::Post;
    for (path, body, expected) in [
        (&login, json!({"role": "nobody", "jwt": "x"}), r#"role "nobody" could not be found"#),
        (&login, json!({"role": "default", "jwt": null}), "missing token"),
        (&login, json!({"jwt": "x"}), "missing role"),
        (
            &auth_url,
            json!({"role": "nobody", "redirect_uri": site.redirect_uri}),
            r#"role "nobody" could not be found"#,
        ),
        (&auth_url, json!({"role": "default"}), "missing redirect_uri"),
    ] {
        assert_eq!(
            ask(&backend, "", post, path, body.clone()).await,
            (400, errors(expected)),
            "{path} {body}"
        );
    }
    let tokens = tokens(&backend, READER).await;
    let jwt = tokens.id_token.as_secret().expose_secret();
    let (status, reply) = ask(&backend, "", post, &login, json!({"role": "default", "jwt": jwt})).await;
    assert_eq!(
        (status, &reply["auth"]["orphan"], &reply["auth"]["token_type"]),
        (200, &json!(true), &json!("service"))
    );
    let metadata = json!({"email": "reader@example.com", "role": "default"});
    assert_eq!(reply["auth"]["metadata"], metadata);
    let (signed, signature) = jwt.rsplit_once('.').unwrap();
    let broken =
        format!("{signed}.{}{}", if signature.starts_with('A') { "B" } else { "A" }, &signature[1..]);
    let (status, reply) = ask(&backend, "", post, &login, json!({"role": "default", "jwt": broken})).await;
    let expected =
        "error validating token: error verifying token signature: failed to verify id token signature";
    assert_eq!((status, reply), (400, errors(expected)));
    let elsewhere = json!({"role": "default", "redirect_uri": "https://evil.example/"});
    let (status, reply) = ask(&backend, "", post, &auth_url, elsewhere).await;
    assert_eq!((status, &reply["data"]), (200, &json!({"auth_url": ""})));
    let lost = format!("{callback}?state=st_nobody&code=x");
    let expected = format!("{product} login failed. Expired or missing OAuth state.");
    assert_eq!(ask(&backend, "", Method::Get, &lost, Value::Null).await, (400, errors(&expected)));
}

async fn secrets_answer_alike(backend: Backend) {
    let site = backend.site().await.unwrap();
    let kv = &site.kv;
    let (get, post) = (Method::Get, Method::Post);
    let path = |below: &str| format!("{kv}/{below}");
    let cas = json!({"data": {"a": "1"}, "options": {"cas": 7}});
    let mismatch = errors("check-and-set parameter did not match the current version");
    for (method, below, body, expected) in [
        (get, "data/none", Value::Null, (404, json!({"errors": []}))),
        (get, "data/team/app?version=9", Value::Null, (404, json!({"errors": []}))),
        (post, "data/team/app", cas, (400, mismatch)),
        (post, "data/team/app", json!({}), (400, errors("no data provided"))),
        (Method::List, "metadata/none", Value::Null, (404, json!({"errors": []}))),
        (Method::Delete, "data/none", Value::Null, (204, Value::Null)),
    ] {
        assert_eq!(ask(&backend, "root", method, &path(below), body).await, expected, "{below}");
    }
    ask(&backend, "root", Method::Delete, &path("data/team/app"), Value::Null).await;
    let (status, reply) = ask(&backend, "root", get, &path("data/team/app"), Value::Null).await;
    assert_eq!((status, &reply["data"]["data"]), (404, &Value::Null));
    assert_ne!(reply["data"]["metadata"]["deletion_time"], "");
    ask(&backend, "root", post, &path("destroy/team/app"), json!({"versions": [1]})).await;
    let (status, reply) = ask(&backend, "root", get, &path("data/team/app"), Value::Null).await;
    assert_eq!((status, &reply["data"]["metadata"]["destroyed"]), (404, &json!(true)));
    let (status, reply) = ask(&backend, "root", get, &path("team/app"), Value::Null).await;
    assert_eq!(status, 404);
    let warning = reply["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("Invalid path for a versioned K/V secrets engine."), "{warning}");
    let (status, _) = ask(&backend, "root", get, "nowhere/x", Value::Null).await;
    assert_eq!(status, 404);
    let (status, _) = ask(&backend, "hvs.dead", get, "nowhere/x", Value::Null).await;
    assert_eq!(status, 403);
}

async fn set_ups_answer_alike(backend: Backend) {
    let (jwt, kubernetes) = (backend.unique("jwt"), backend.unique("kubernetes"));
    let (get, post, list, delete) = (Method::Get, Method::Post, Method::List, Method::Delete);
    for (mount, kind) in [(&jwt, "jwt"), (&kubernetes, "kubernetes")] {
        backend.admin(post, &format!("sys/auth/{mount}"), json!({"type": kind})).await.unwrap();
    }
    let unsupported = "1 error occurred:\n\t* unsupported operation\n\n";
    let nothing = || (404, json!({"errors": []}));
    for (method, path, body, expected) in [
        (
            get,
            "sys/auth/nope/tune",
            Value::Null,
            (400, errors("cannot fetch sysview for path \"auth/nope/\"")),
        ),
        (get, "sys/mounts/nope/tune", Value::Null, (400, errors("cannot fetch sysview for path \"nope/\""))),
        (
            post,
            "sys/auth/nope/tune",
            json!({"description": "x"}),
            (400, errors("tune of path \"auth/nope/\" failed: no mount entry found")),
        ),
        (
            post,
            "sys/auth/JWT/tune",
            json!({"token_type": "x"}),
            (400, errors("invalid value for 'token_type'")),
        ),
        (
            post,
            "sys/auth/JWT/tune",
            json!({"listing_visibility": "x"}),
            (400, errors("invalid listing_visibility x")),
        ),
        (post, "sys/auth/JWT/tune", json!({"max_lease_ttl": "24h"}), (204, Value::Null)),
        (
            post,
            "sys/auth/JWT/tune",
            json!({"default_lease_ttl": "48h"}),
            (
                400,
                errors(
                    "backend max lease TTL of 86400 would be less than backend default lease TTL of 172800",
                ),
            ),
        ),
        (get, "auth/JWT/config", Value::Null, nothing()),
        (delete, "auth/JWT/config", Value::Null, (405, errors(unsupported))),
        (get, "auth/JWT/role", Value::Null, (405, errors(unsupported))),
        (list, "auth/JWT/role", Value::Null, nothing()),
        (get, "auth/JWT/role/a", Value::Null, nothing()),
        (delete, "auth/JWT/role/a", Value::Null, (204, Value::Null)),
        (
            post,
            "auth/JWT/role/a",
            json!({"role_type": "jwt", "user_claim": "sub"}),
            (400, errors("must have at least one bound constraint when creating/updating a role")),
        ),
        (
            post,
            "auth/JWT/role/a",
            json!({"role_type": "jwt", "user_claim": "sub", "bound_subject": "s"}),
            (204, Value::Null),
        ),
        // A type that is not said is not the one that the role has.
        (
            post,
            "auth/JWT/role/a",
            json!({"bound_subject": "t"}),
            (400, errors("'allowed_redirect_uris' must be set if 'role_type' is 'oidc' or unspecified.")),
        ),
        (get, "auth/KUBERNETES/config", Value::Null, nothing()),
        (get, "auth/KUBERNETES/role/a", Value::Null, nothing()),
    ] {
        let path = path.replace("JWT", &jwt).replace("KUBERNETES", &kubernetes);
        assert_eq!(ask(&backend, "root", method, &path, body).await, expected, "{path}");
    }
}

async fn identities_answer_alike(backend: Backend) {
    let (post, name, group) = (Method::Post, backend.unique("person"), backend.unique("group"));
    let jwt = backend.unique("jwt");
    backend.admin(post, &format!("sys/auth/{jwt}"), json!({"type": "jwt"})).await.unwrap();
    let mounts = backend.admin(Method::Get, "sys/auth", Value::Null).await.unwrap();
    let accessor = mounts["data"][format!("{jwt}/")]["accessor"].clone();
    let made = backend.admin(post, "identity/entity", json!({"name": name})).await.unwrap();
    assert_eq!(made["data"]["aliases"], Value::Null);
    let id = made["data"]["id"].clone();
    let made =
        backend.admin(post, "identity/group", json!({"name": group, "type": "external"})).await.unwrap();
    let group_id = made["data"]["id"].clone();
    let alias = |name: &str, accessor: &Value, id: &Value| json!({"name": name, "mount_accessor": accessor, "canonical_id": id});
    let bad = |message: &str| (400, errors(message));
    let nobody = json!("nobody");
    for (path, body, expected) in [
        ("identity/entity-alias", alias("a", &json!("no"), &id), bad("invalid mount accessor \"no\"")),
        ("identity/entity-alias", alias("a", &accessor, &nobody), bad("invalid canonical ID")),
        ("identity/group-alias", alias("a", &json!("no"), &group_id), bad("invalid mount accessor \"no\"")),
        (
            "identity/lookup/entity",
            json!({"alias_name": "a", "alias_mount_accessor": accessor}),
            (204, Value::Null),
        ),
        ("identity/lookup/group", json!({"name": "nobody"}), (204, Value::Null)),
        ("identity/group/name/GROUP", json!({"type": "internal"}), bad("group type cannot be changed")),
        (
            "identity/group/name/GROUP",
            json!({"member_entity_ids": [id]}),
            bad("member entities can't be set manually for external groups"),
        ),
        (
            "identity/group/name/OTHER",
            json!({"member_entity_ids": ["nobody"]}),
            (500, errors("1 error occurred:\n\t* invalid entity ID \"nobody\"\n\n")),
        ),
        (
            "identity/group/name/OTHER",
            json!({"member_group_ids": ["nobody"]}),
            (500, errors("1 error occurred:\n\t* invalid member group ID \"nobody\"\n\n")),
        ),
    ] {
        let path = path.replace("GROUP", &group).replace("OTHER", &backend.unique("other"));
        assert_eq!(ask(&backend, "root", post, &path, body).await, expected, "{path}");
    }
    let (status, _) = ask(&backend, "root", post, "identity/entity-alias", alias("a", &accessor, &id)).await;
    assert_eq!(status, 200);
    for (path, body, expected) in [
        ("identity/entity-alias", alias("a", &accessor, &id), (204, Value::Null)),
        (
            "identity/entity-alias",
            alias("b", &accessor, &id),
            bad("Alias already exists for requested entity and mount accessor"),
        ),
        (
            "identity/entity-alias",
            alias("a", &accessor, &nobody),
            bad("given 'canonical_id' is not associated with an entity"),
        ),
    ] {
        assert_eq!(ask(&backend, "root", post, path, body).await, expected, "{path}");
    }
    let reader = alias("reader", &accessor, &group_id);
    let (status, _) = ask(&backend, "root", post, "identity/group-alias", reader.clone()).await;
    assert_eq!(status, 200);
    let taken = bad("combination of mount and group alias name is already in use");
    assert_eq!(ask(&backend, "root", post, "identity/group-alias", reader).await, taken);
    // The trap: a second alias takes the first one's place without a word.
    let writer = alias("writer", &accessor, &group_id);
    assert_eq!(ask(&backend, "root", post, "identity/group-alias", writer).await.0, 200);
    let read =
        backend.admin(Method::Get, &format!("identity/group/name/{group}"), Value::Null).await.unwrap();
    assert_eq!(read["data"]["alias"]["name"], "writer");
    assert_eq!(read["data"]["policies"], Value::Null);
}

async fn providers_answer_alike(backend: Backend) {
    let base = format!("{}/protocol/openid-connect", backend.issuer);
    let browser = Browser::new(backend.transport.clone());
    let open = async |query: &str| {
        let address = Url::parse(&format!("{base}/auth?{query}")).unwrap();
        browser.open(&address, Some("http://localhost:8250/")).await.unwrap()
    };
    // A client or a redirect address that it does not know: a page, never a redirect.
    for query in [
        "response_type=code&client_id=nobody&redirect_uri=http%3A%2F%2Flocalhost%3A8250%2Foidc%2Fcallback",
        "response_type=code&client_id=vault-oidc&redirect_uri=https%3A%2F%2Fevil.example%2F",
    ] {
        let page = open(query).await;
        assert_eq!((page.status, page.parameter("error")), (400, None), "{query}");
    }
    let token = async |form: &'static str, secret: &str| {
        let request = Request::new(Method::Post, format!("{base}/token")).with_body(
            "application/x-www-form-urlencoded",
            format!("{form}&client_id=vault-oidc&client_secret={secret}"),
        );
        let reply = backend.transport.send(request).await.unwrap();
        (reply.status(), json_of(&reply)["error"].as_str().unwrap_or_default().to_owned())
    };
    let redeem = "grant_type=authorization_code&code=made-up&redirect_uri=http%3A%2F%2Flocalhost%3A8250%2Foidc%2Fcallback";
    assert_eq!(token(redeem, "s3cr3t").await, (400, "invalid_grant".to_owned()));
    assert_eq!(token(redeem, "wrong").await, (401, "unauthorized_client".to_owned()));
    assert_eq!(
        token("grant_type=refresh_token&refresh_token=made-up", "s3cr3t").await,
        (400, "invalid_grant".to_owned())
    );
    assert_eq!(token("grant_type=made-up", "s3cr3t").await, (400, "unsupported_grant_type".to_owned()));
}

async fn id_tokens_have_the_same_claims(backend: Backend) {
    let tokens = tokens(&backend, READER).await;
    let claims: serde_json::Map<String, Value> = tokens.id_token.claims().unwrap();
    for name in [
        "exp",
        "iat",
        "jti",
        "iss",
        "aud",
        "sub",
        "typ",
        "azp",
        "sid",
        "at_hash",
        "acr",
        "resource_access",
        "email_verified",
        "name",
        "preferred_username",
        "given_name",
        "family_name",
        "email",
        "nonce",
    ] {
        assert!(claims.contains_key(name), "{name}");
    }
    assert_eq!(claims["typ"], "ID");
    assert_eq!(claims["aud"], "vault-oidc");
    assert_eq!(claims["azp"], "vault-oidc");
}
