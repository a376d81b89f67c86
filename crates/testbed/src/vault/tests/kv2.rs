//! KV version 2 (and 1, in short). The texts were observed on OpenBao 2.7.2 and Vault 1.21.4.

use super::*;

#[test]
fn the_four_outcomes_of_a_read() {
    let bench = Bench::new(Voice::OpenBao);
    assert_eq!(bench.read("secret/data/a"), (404, json!({"errors": []})));
    bench.put("a", &json!({"data": {"x": "one"}}));
    bench.put("a", &json!({"data": {"x": "two"}}));
    assert_eq!(bench.read("secret/data/a").1["data"]["data"], json!({"x": "two"}));
    assert_eq!(bench.read("secret/data/a?version=1").1["data"]["data"], json!({"x": "one"}));
    assert_eq!(bench.read("secret/data/a?version=9"), (404, json!({"errors": []})));

    bench.root("DELETE", "secret/data/a", &Value::Null);
    let (status, deleted) = bench.read("secret/data/a");
    assert_eq!((status, &deleted["data"]["data"]), (404, &Value::Null));
    let metadata = &deleted["data"]["metadata"];
    assert_eq!(
        (&metadata["destroyed"], &metadata["deletion_time"]),
        (&false.into(), &"2026-06-01T12:00:00Z".into())
    );

    bench.root("POST", "secret/destroy/a", &json!({"versions": [1]}));
    let (status, destroyed) = bench.read("secret/data/a?version=1");
    let metadata = &destroyed["data"]["metadata"];
    assert_eq!(status, 404);
    assert_eq!((&metadata["destroyed"], &metadata["deletion_time"]), (&true.into(), &"".into()));

    assert_eq!(bench.root("POST", "secret/undelete/a", &json!({"versions": [1, 2]})).0, 204);
    assert_eq!(bench.read("secret/data/a").0, 200);
    assert_eq!(bench.read("secret/data/a?version=1").0, 404, "what is destroyed stays so");
}

#[test]
fn what_is_done_to_a_destroyed_version_changes_nothing() {
    let bench = Bench::new(Voice::OpenBao);
    bench.put("a", &json!({"data": {}}));
    let versions = json!({"versions": [1]});
    let about = || bench.read("secret/metadata/a").1["data"]["versions"]["1"].clone();
    bench.root("POST", "secret/delete/a", &versions);
    bench.root("POST", "secret/destroy/a", &versions);
    let before = about();
    assert_eq!(before["deletion_time"], "2026-06-01T12:00:00Z");
    bench.pass(1);
    assert_eq!(bench.root("POST", "secret/undelete/a", &versions).0, 204);
    assert_eq!(bench.root("POST", "secret/delete/a", &versions).0, 204);
    assert_eq!(about(), before);
}

#[test]
fn check_and_set() {
    let bench = Bench::new(Voice::OpenBao);
    let put = |cas: Value| bench.put("a", &json!({"data": {}, "options": {"cas": cas}}));
    let mismatch = "check-and-set parameter did not match the current version";
    assert_error(&put(json!(1)), 400, mismatch);
    assert_eq!(put(json!(0)).1["data"]["version"], 1);
    assert_error(&put(json!(0)), 400, mismatch);
    assert_error(&put(json!("x")), 400, "error parsing check-and-set parameter");
    assert_eq!(put(json!(1)).1["data"]["version"], 2);
    bench.root("POST", "secret/metadata/a", &json!({"cas_required": true}));
    let without = bench.put("a", &json!({"data": {}}));
    assert_error(&without, 400, "check-and-set parameter required for this call");
    assert_error(&bench.put("b", &json!({})), 400, "no data provided");
    assert_eq!(bench.put("b", &json!({"data": null})).0, 200);
}

#[test]
fn ten_versions_are_kept_where_nobody_says_otherwise() {
    let bench = Bench::new(Voice::OpenBao);
    for _ in 0..12 {
        bench.put("a", &json!({"data": {}}));
    }
    let metadata = bench.read("secret/metadata/a").1["data"].clone();
    assert_eq!((&metadata["current_version"], &metadata["oldest_version"]), (&12.into(), &3.into()));
    assert_eq!(metadata["versions"].as_object().unwrap().len(), 10);
    assert_eq!(bench.read("secret/data/a?version=2").0, 404);
}

#[test]
fn a_version_with_a_time_to_live_is_there_until_then() {
    let bench = Bench::new(Voice::OpenBao);
    bench.root("POST", "secret/metadata/a", &json!({"delete_version_after": "1h"}));
    bench.put("a", &json!({"data": {}}));
    bench.pass(3599);
    assert_eq!(bench.read("secret/data/a").0, 200);
    bench.pass(1);
    assert_eq!(bench.read("secret/data/a").0, 404);
    assert_eq!(bench.read("secret/metadata/a").1["data"]["delete_version_after"], "1h0m0s");
}

#[test]
fn lists_have_folders_with_a_slash_and_are_never_empty() {
    let bench = Bench::new(Voice::OpenBao);
    let list = |path: &str| bench.root("LIST", path, &Value::Null);
    assert_eq!(list("secret/metadata"), (404, json!({"errors": []})));
    bench.put("b", &json!({"data": {}}));
    bench.put("a/b/c", &json!({"data": {}}));
    assert_eq!(list("secret/metadata/").1["data"]["keys"], json!(["a/", "b"]));
    assert_eq!(bench.read("secret/metadata/a?list=true").1["data"]["keys"], json!(["b/"]));
}

#[test]
fn a_path_of_version_one_is_warned_of_in_each_voice() {
    for (voice, command) in
        [(Voice::OpenBao, "OpenBao CLI, use 'bao kv get'"), (Voice::Vault, "Vault CLI, use 'vault kv get'")]
    {
        let (status, reply) = Bench::new(voice).read("secret/a");
        let warning = reply["warnings"][0].as_str().unwrap();
        assert_eq!(status, 404);
        assert!(warning.starts_with("Invalid path for a versioned K/V secrets engine."), "{warning}");
        assert!(warning.ends_with(&format!("If using the {command} for this operation.")), "{warning}");
    }
}

#[test]
fn the_metadata_of_each_voice_has_its_own_fields() {
    for (voice, there, absent) in [
        (Voice::OpenBao, "current_metadata_version", "last_updated_by"),
        (Voice::Vault, "last_updated_by", "metadata_cas_required"),
    ] {
        let bench = Bench::new(voice);
        bench.put("a", &json!({"data": {}}));
        let data = bench.read("secret/metadata/a").1["data"].clone();
        assert!(data.get(there).is_some() && data.get(absent).is_none(), "{data}");
        assert_eq!(data["versions"]["1"].get("created_by").is_some(), voice == Voice::Vault);
    }
}

#[test]
fn a_patch_is_a_merge_patch() {
    let bench = Bench::new(Voice::OpenBao);
    let patch = |key: &str, kind: Option<&str>| {
        let url = format!("{}/v1/secret/data/{key}", bench.world.vault_address());
        let request =
            Request::new("PATCH", &url).with_token("root").with_body(r#"{"data":{"x":null,"z":1}}"#);
        let request =
            kind.into_iter().fold(request, |request, kind| request.with_header("Content-Type", kind));
        bench.world.handle(request).unwrap()
    };
    let merge = Some("application/merge-patch+json");
    let missing = patch("a", merge);
    assert_eq!((missing.status, missing.body.len()), (404, 0));
    bench.put("a", &json!({"data": {"x": 1, "y": 2}}));
    assert_eq!(patch("a", Some("application/json")).status, 415);
    assert_eq!(patch("a", merge).status, 200);
    assert_eq!(bench.read("secret/data/a").1["data"]["data"], json!({"y": 2, "z": 1}));
    bench.root("DELETE", "secret/data/a", &Value::Null);
    let deleted = patch("a", merge);
    assert_eq!((deleted.status, &deleted.json()["data"]["version"]), (404, &2.into()), "flat metadata");
}

#[test]
fn custom_metadata_has_limits() {
    let bench = Bench::new(Voice::OpenBao);
    let write =
        |custom: Value| bench.root("POST", "secret/metadata/a", &json!({"custom_metadata": custom})).0;
    let of_size = |key: usize, value: usize| json!({ "k".repeat(key): "v".repeat(value) });
    assert_eq!((write(of_size(128, 512)), write(of_size(129, 1)), write(of_size(1, 513))), (204, 400, 400));
    let many =
        |count: usize| (0..count).map(|n| (n.to_string(), "v".into())).collect::<serde_json::Map<_, _>>();
    assert_eq!((write(many(64).into()), write(many(65).into())), (204, 400));
}

/// Each of these was shown to OpenBao 2.7.2; the words are its own.
#[test]
fn custom_metadata_holds_what_can_be_shown() {
    let bench = Bench::new(Voice::OpenBao);
    let write =
        |custom: Value| bench.root("POST", "secret/metadata/a", &json!({ "custom_metadata": custom }));
    for shown in ["é", "e\u{301}", "юзер", "😀", "a b", "it's \"quoted\" \\"] {
        assert_eq!(write(json!({ "k": shown })).0, 204, "{shown:?}");
    }
    for hidden in
        ["\u{1b}[2J", "a\tb", "a\nb", "\u{200b}", "\u{a0}", "\u{feff}", "\u{2028}", "\u{ad}", "\u{378}"]
    {
        let (status, reply) = write(json!({ "k": hidden }));
        let told = "1 error occurred:\n\t* custom_metadata validation failed: value for key \"k\" contains unprintable \
                    characters\n\n";
        assert_eq!((status, &reply["errors"][0]), (400, &json!(told)), "{hidden:?}");
    }
    let told = "2 errors occurred:\n\t* custom_metadata validation failed: key \"k\\x1b\" (k\u{1b}) contains unprintable \
                characters\n\t* custom_metadata validation failed: length of value for key \"k\\x1b\" is 0 but must be 0 < \
                len(value) <= 512\n\n";
    assert_eq!(write(json!({ "k\u{1b}": "" })).1["errors"][0], told);
}

#[test]
fn what_was_written_is_remembered_as_a_secret() {
    let bench = Bench::new(Voice::OpenBao);
    bench.put("a", &json!({"data": {"deep": [{"in": "hush-hush"}]}}));
    assert_eq!(bench.world.canary().find_in("a hush-hush in a log"), Some(Kind::Secret));
    let token = client_token(&bench.token(&json!({})));
    assert_eq!(bench.world.canary().find_in(&token), Some(Kind::Token));
}
