//! What operators ask for and set up. The texts were observed on OpenBao 2.7.2.

use super::*;

#[test]
fn what_another_token_may_do_is_told_by_token_and_by_accessor() {
    let bench = Bench::new(Voice::OpenBao);
    let token = bench.token(&json!({"policies": ["default"]}))["auth"].clone();
    let paths = json!(["sys/mounts", "auth/token/lookup-self"]);
    let body = json!({"token": token["client_token"], "paths": paths});
    let (_, reply) = bench.root("POST", "sys/capabilities", &body);
    assert_eq!(reply["data"], json!({"auth/token/lookup-self": ["read"], "sys/mounts": ["deny"]}));
    let body = json!({"accessor": token["accessor"], "paths": ["sys/mounts"]});
    let (_, reply) = bench.root("POST", "sys/capabilities-accessor", &body);
    assert_eq!(reply["capabilities"], json!(["deny"]));
    for (path, body, text) in [
        ("capabilities", json!({"token": "x", "paths": ["y"]}), "1 error occurred:\n\t* invalid token\n\n"),
        (
            "capabilities-accessor",
            json!({"accessor": "x", "paths": ["y"]}),
            "1 error occurred:\n\t* invalid accessor\n\n",
        ),
        ("capabilities-self", json!({}), "paths must be supplied"),
    ] {
        assert_error(&bench.root("POST", &format!("sys/{path}"), &body), 400, text);
    }
}

#[test]
fn a_mount_moves_with_everything_in_it() {
    let bench = Bench::new(Voice::OpenBao);
    bench.put("a", &json!({"data": {"x": "y"}}));
    let (status, reply) = bench.root("POST", "sys/remount", &json!({"from": "secret", "to": "moved"}));
    assert_eq!((status, &reply["migration_id"]), (200, &reply["data"]["migration_id"]));
    let id = reply["migration_id"].as_str().unwrap();
    let (_, progress) = bench.read(&format!("sys/remount/status/{id}"));
    let info = json!({"source_mount": "secret/", "target_mount": "moved/", "status": "success"});
    assert_eq!(progress["data"]["migration_info"], info);
    assert_eq!(bench.read("moved/data/a").1["data"]["data"]["x"], "y");
    for (body, text) in [
        (json!({"from": "none", "to": "m"}), "no matching mount at \"none/\""),
        (json!({"from": "moved", "to": "moved"}), "path already in use at \"moved/\""),
        (json!({}), "both 'from' and 'to' path must be specified as a string"),
    ] {
        assert_error(&bench.root("POST", "sys/remount", &body), 400, text);
    }
}

#[test]
fn there_are_no_audit_devices_and_none_can_be_made_here() {
    let bench = Bench::new(Voice::OpenBao);
    assert_eq!(bench.read("sys/audit").1["data"], json!({}));
    assert_eq!(bench.root("PUT", "sys/audit/f", &json!({"type": "file"})).0, 400);
}

/// A person of userpass, signed in: its token and its entity.
fn person(bench: &Bench) -> (String, String) {
    bench.root("POST", "sys/auth/userpass", &json!({"type": "userpass"}));
    bench.root("POST", "auth/userpass/users/anna", &json!({"password": "pass-of-anna"}));
    let (_, reply) = bench.ask("", "POST", "auth/userpass/login/anna", &json!({"password": "pass-of-anna"}));
    (client_token(&reply), reply["auth"]["entity_id"].as_str().unwrap().to_owned())
}

#[test]
fn an_entity_has_policies_of_its_own_and_may_be_disabled() {
    let bench = Bench::new(Voice::OpenBao);
    let (token, entity) = person(&bench);
    let policy = json!({"policy": "path \"secret/*\" { capabilities = [\"read\"] }"});
    bench.root("PUT", "sys/policies/acl/of-entities", &policy);
    bench.put("a", &json!({"data": {"x": 1}}));
    assert_eq!(bench.ask(&token, "GET", "secret/data/a", &Value::Null).0, 403);
    let path = format!("identity/entity/id/{entity}");
    assert_eq!(bench.root("POST", &path, &json!({"policies": ["of-entities"]})).0, 204);
    assert_eq!(bench.ask(&token, "GET", "secret/data/a", &Value::Null).0, 200);
    bench.root("POST", &path, &json!({"disabled": true}));
    assert_error(&bench.ask(&token, "GET", "secret/data/a", &Value::Null), 403, "permission denied");
    let login = bench.ask("", "POST", "auth/userpass/login/anna", &json!({"password": "pass-of-anna"}));
    assert_error(&login, 403, "permission denied");
}

#[test]
fn an_alias_joins_the_same_person_of_two_mounts() {
    let bench = Bench::new(Voice::OpenBao);
    let (_, entity) = person(&bench);
    bench.root("POST", "sys/auth/other", &json!({"type": "userpass"}));
    bench.root("POST", "auth/other/users/anna2", &json!({"password": "pass-of-anna"}));
    let accessor = bench.read("sys/auth").1["data"]["other/"]["accessor"].clone();
    let alias = json!({"name": "anna2", "canonical_id": entity, "mount_accessor": accessor});
    let (_, made) = bench.root("POST", "identity/entity-alias", &alias);
    assert_eq!(made["data"]["canonical_id"], entity.as_str());
    assert_eq!(bench.root("POST", "identity/entity-alias", &alias).0, 204);
    let (_, reply) = bench.ask("", "POST", "auth/other/login/anna2", &json!({"password": "pass-of-anna"}));
    assert_eq!(reply["auth"]["entity_id"], entity.as_str());

    let lookup = json!({"alias_name": "anna2", "alias_mount_accessor": accessor});
    assert_eq!(bench.root("POST", "identity/lookup/entity", &lookup).1["data"]["id"], entity.as_str());
    assert_eq!(bench.root("POST", "identity/lookup/entity", &json!({"name": "nobody"})).0, 204);
    let second = json!({"name": "x", "canonical_id": entity, "mount_accessor": accessor});
    let text = "Alias already exists for requested entity and mount accessor";
    assert_error(&bench.root("POST", "identity/entity-alias", &second), 400, text);
    let nobody = json!({"name": "x", "canonical_id": "none", "mount_accessor": accessor});
    assert_error(&bench.root("POST", "identity/entity-alias", &nobody), 400, "invalid canonical ID");
    let nobody = json!({"name": "anna2", "canonical_id": "none", "mount_accessor": accessor});
    let text = "given 'canonical_id' is not associated with an entity";
    assert_error(&bench.root("POST", "identity/entity-alias", &nobody), 400, text);
}

#[test]
fn an_entity_is_written_by_name_and_deleted() {
    let bench = Bench::new(Voice::OpenBao);
    let body = json!({"name": "ent", "policies": ["p"], "metadata": {"a": "b"}});
    let (_, made) = bench.root("POST", "identity/entity", &body);
    let id = made["data"]["id"].as_str().unwrap().to_owned();
    assert_eq!(bench.root("POST", "identity/entity", &json!({"name": "ent", "metadata": {"c": "d"}})).0, 204);
    let (_, read) = bench.read("identity/entity/name/ent");
    assert_eq!((&read["data"]["metadata"], &read["data"]["policies"]), (&json!({"c": "d"}), &json!(["p"])));
    assert_eq!(bench.root("DELETE", &format!("identity/entity/id/{id}"), &Value::Null).0, 204);
    assert_eq!(bench.read(&format!("identity/entity/id/{id}")).0, 404);
}

#[test]
fn openbaos_lists_have_pages_and_hashicorps_do_not() {
    let bench = Bench::new(Voice::OpenBao);
    for key in ["pg/a", "pg/b", "pg/c", "pg/d/x"] {
        bench.put(key, &json!({"data": {"x": 1}}));
    }
    let keys =
        |query: &str| bench.read(&format!("secret/metadata/pg?list=true&{query}")).1["data"]["keys"].clone();
    assert_eq!(keys("limit=2"), json!(["a", "b"]));
    assert_eq!(keys("after=a&limit=1"), json!(["b"]));
    assert_eq!(keys("after=b&limit=9"), json!(["c", "d/"]));
    assert_eq!(keys("limit=-1"), json!(["a", "b", "c", "d/"]));
    let end = bench.read("secret/metadata/pg?list=true&after=zzz");
    assert_eq!(end, (404, json!({"errors": []})));
    assert_eq!(bench.read("secret/metadata/pg?list=true&limit=x").0, 400);

    let other = Bench::new(Voice::Vault);
    other.put("pg/a", &json!({"data": {"x": 1}}));
    other.put("pg/b", &json!({"data": {"x": 1}}));
    let (_, all) = other.read("secret/metadata/pg?list=true&limit=1");
    assert_eq!(all["data"]["keys"], json!(["a", "b"]));
}
