//! Writing secrets, changing them, and taking them away.

use std::time::Duration;

use latchkey_tests::{Backend, behaviours};
use latchkey_transport::Method;
use latchkey_vault_client::kv2::{Cas, MetadataSettings, PatchMethod, StoreSettings};
use latchkey_vault_client::{Error, Gone, MountProblem, Read, Vault};
use serde::Deserialize;
use serde_json::json;

use crate::support::{root, token, vault as anonymous};

behaviours! {
    a_secret_is_created_once,
    a_version_is_followed_by_one_writer_only,
    a_store_can_insist_on_check_and_set,
    a_secret_is_read_as_a_type,
    a_patch_changes_only_what_it_names,
    a_patch_follows_the_version_that_it_names,
    a_patch_of_what_is_not_there_says_why,
    a_deleted_version_comes_back,
    versions_are_deleted_and_destroyed_one_by_one,
    a_destroyed_version_does_not_come_back,
    deleting_what_is_not_there_is_no_error,
    no_versions_are_a_mistake,
    metadata_tell_of_every_version,
    settings_and_notes_are_written,
    notes_are_changed_one_by_one,
    metadata_of_what_is_not_there_are_none,
    a_secret_is_removed_with_all_its_versions,
    names_are_listed_level_by_level,
    a_list_tells_empty_from_denied,
    a_list_is_read_page_by_page,
    names_in_a_secret_come_without_values,
    a_store_is_configured,
    a_rollback_writes_the_old_data_anew,
    a_rollback_to_what_is_gone_says_why,
    a_write_to_a_store_without_versions_is_explained,
}

/// A store of one's own, once it takes writes.
async fn store(backend: &Backend) -> (Vault, String) {
    let kv = backend.unique("kv");
    let options = json!({"type": "kv", "options": {"version": "2"}});
    backend.admin(Method::Post, &format!("sys/mounts/{kv}"), options).await.unwrap();
    backend.put_secret(&kv, "ready", json!({})).await.unwrap();
    (root(backend), kv)
}

async fn a_secret_is_created_once(backend: Backend) {
    let (vault, kv) = store(&backend).await;
    let kv = vault.kv2(&kv);
    let first = kv.write("app", &json!({"a": 1}), Cas::Create).await.unwrap();
    assert_eq!((first.version, first.destroyed, first.deletion_time), (1, false, None));
    let again = kv.write("app", &json!({"a": 2}), Cas::Create).await.unwrap_err();
    assert!(matches!(again, Error::CasMismatch(_)), "{again:?}");
    assert_eq!(kv.read("app").await.unwrap().found().unwrap().data().raw("a").unwrap(), "1");
}

async fn a_version_is_followed_by_one_writer_only(backend: Backend) {
    let (vault, kv) = store(&backend).await;
    let kv = vault.kv2(&kv);
    let first = kv.write("app", &json!({}), Cas::None).await.unwrap().version;
    assert_eq!(kv.write("app", &json!({"by": "a"}), Cas::Version(first)).await.unwrap().version, first + 1);
    let other = kv.write("app", &json!({"by": "b"}), Cas::Version(first)).await.unwrap_err();
    assert!(matches!(other, Error::CasMismatch(_)), "{other:?}");
}

async fn a_store_can_insist_on_check_and_set(backend: Backend) {
    let (vault, kv) = store(&backend).await;
    let kv = vault.kv2(&kv);
    kv.write_metadata("app", &MetadataSettings::default().with_cas_required(true)).await.unwrap();
    let careless = kv.write("app", &json!({}), Cas::None).await.unwrap_err();
    assert!(matches!(careless, Error::CasRequired(_)), "{careless:?}");
    kv.write("app", &json!({}), Cas::Create).await.unwrap();
}

async fn a_secret_is_read_as_a_type(backend: Backend) {
    #[derive(Deserialize)]
    struct Database {
        user: String,
        port: u16,
    }
    let (vault, kv) = store(&backend).await;
    let kv = vault.kv2(&kv);
    kv.write("db", &json!({"user": "app", "port": 5432}), Cas::Create).await.unwrap();
    let secret = kv.read("db").await.unwrap().found().unwrap();
    let database: Database = secret.data().to().unwrap();
    assert_eq!((database.user.as_str(), database.port), ("app", 5432));
}

async fn a_patch_changes_only_what_it_names(backend: Backend) {
    let (vault, kv) = store(&backend).await;
    let kv = vault.kv2(&kv);
    kv.write("app", &json!({"keep": "1", "drop": "2", "deep": {"a": 1, "b": 2}}), Cas::None).await.unwrap();
    let changes = json!({"drop": null, "new": "3", "deep": {"b": 3}});
    let patched = kv.patch("app", &changes, Cas::None).await.unwrap();
    assert_eq!((patched.method, patched.metadata.version), (PatchMethod::Patch, 2));
    let secret = kv.read("app").await.unwrap().found().unwrap();
    assert_eq!(secret.data().fields().collect::<Vec<_>>(), ["deep", "keep", "new"]);
    assert_eq!(secret.data().raw("deep").unwrap(), r#"{"a":1,"b":3}"#);
}

async fn a_patch_follows_the_version_that_it_names(backend: Backend) {
    let (vault, kv) = store(&backend).await;
    let kv = vault.kv2(&kv);
    kv.write("app", &json!({"a": 1}), Cas::None).await.unwrap();
    kv.patch("app", &json!({"a": 2}), Cas::Version(1)).await.unwrap();
    let late = kv.patch("app", &json!({"a": 3}), Cas::Version(1)).await.unwrap_err();
    assert!(matches!(late, Error::CasMismatch(_)), "{late:?}");
}

async fn a_patch_of_what_is_not_there_says_why(backend: Backend) {
    let (vault, kv) = store(&backend).await;
    let kv = vault.kv2(&kv);
    for (path, expected) in
        [("never", Gone::Missing), ("deleted", Gone::Deleted), ("destroyed", Gone::Destroyed)]
    {
        if expected != Gone::Missing {
            kv.write(path, &json!({"a": 1}), Cas::Create).await.unwrap();
        }
        match expected {
            Gone::Deleted => kv.delete(path).await.unwrap(),
            Gone::Destroyed => kv.destroy_versions(path, &[1]).await.unwrap(),
            _ => {}
        }
        let error = kv.patch(path, &json!({"a": 2}), Cas::None).await.unwrap_err();
        assert!(matches!(error, Error::NoSuchVersion(gone) if gone == expected), "{path}: {error:?}");
    }
}

async fn a_deleted_version_comes_back(backend: Backend) {
    let (vault, kv) = store(&backend).await;
    let kv = vault.kv2(&kv);
    kv.write("app", &json!({"a": "1"}), Cas::None).await.unwrap();
    kv.delete("app").await.unwrap();
    assert!(matches!(kv.read("app").await.unwrap(), Read::Deleted(_)));
    kv.undelete_versions("app", &[1]).await.unwrap();
    assert!(kv.read("app").await.unwrap().found().is_some());
}

async fn versions_are_deleted_and_destroyed_one_by_one(backend: Backend) {
    let (vault, kv) = store(&backend).await;
    let kv = vault.kv2(&kv);
    for version in 1..=3 {
        kv.write("app", &json!({"v": version}), Cas::None).await.unwrap();
    }
    kv.delete_versions("app", &[1]).await.unwrap();
    kv.destroy_versions("app", &[2]).await.unwrap();
    assert!(matches!(kv.read_version("app", 1).await.unwrap(), Read::Deleted(_)));
    assert!(matches!(kv.read_version("app", 2).await.unwrap(), Read::Destroyed(_)));
    assert!(matches!(kv.read("app").await.unwrap(), Read::Found(secret) if secret.metadata().version == 3));
}

async fn a_destroyed_version_does_not_come_back(backend: Backend) {
    let (vault, kv) = store(&backend).await;
    let kv = vault.kv2(&kv);
    kv.write("app", &json!({}), Cas::None).await.unwrap();
    kv.destroy_versions("app", &[1]).await.unwrap();
    kv.undelete_versions("app", &[1]).await.unwrap();
    assert!(matches!(kv.read("app").await.unwrap(), Read::Destroyed(_)));
}

async fn deleting_what_is_not_there_is_no_error(backend: Backend) {
    let (vault, kv) = store(&backend).await;
    let kv = vault.kv2(&kv);
    kv.delete("never").await.unwrap();
    kv.delete_versions("never", &[1]).await.unwrap();
    kv.delete_metadata("never").await.unwrap();
}

async fn no_versions_are_a_mistake(backend: Backend) {
    let (vault, kv) = store(&backend).await;
    let error = vault.kv2(&kv).destroy_versions("ready", &[]).await.unwrap_err();
    assert!(matches!(error, Error::InvalidRequest(_)), "{error:?}");
}

async fn metadata_tell_of_every_version(backend: Backend) {
    let (vault, kv) = store(&backend).await;
    let kv = vault.kv2(&kv);
    for version in 1..=3 {
        kv.write("app", &json!({"v": version}), Cas::None).await.unwrap();
    }
    kv.delete_versions("app", &[1]).await.unwrap();
    kv.destroy_versions("app", &[2]).await.unwrap();
    let metadata = kv.metadata("app").await.unwrap().unwrap();
    assert_eq!((metadata.current_version, metadata.cas_required), (3, false));
    assert_eq!(metadata.versions.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    assert!(metadata.versions[&1].deletion_time.is_some() && !metadata.versions[&1].destroyed);
    assert!(metadata.versions[&2].destroyed && !metadata.versions[&3].destroyed);
}

async fn settings_and_notes_are_written(backend: Backend) {
    let (vault, kv) = store(&backend).await;
    let kv = vault.kv2(&kv);
    kv.write("app", &json!({}), Cas::None).await.unwrap();
    let settings = MetadataSettings::default()
        .with_max_versions(4)
        .with_delete_version_after(Duration::from_secs(90 * 60))
        .with_note("owner", "ops");
    kv.write_metadata("app", &settings).await.unwrap();
    kv.write_metadata("app", &MetadataSettings::default().with_note("only", "this")).await.unwrap();
    let metadata = kv.metadata("app").await.unwrap().unwrap();
    assert_eq!(metadata.max_versions, 4, "what is not named stays");
    assert_eq!(metadata.delete_version_after, Some(Duration::from_secs(5400)));
    assert_eq!(metadata.custom_metadata.keys().collect::<Vec<_>>(), ["only"], "notes are replaced");
}

async fn notes_are_changed_one_by_one(backend: Backend) {
    let (vault, kv) = store(&backend).await;
    let kv = vault.kv2(&kv);
    let settings =
        MetadataSettings::default().with_max_versions(4).with_note("owner", "ops").with_note("old", "x");
    kv.write_metadata("app", &settings).await.unwrap();
    let changes = MetadataSettings::default().with_note("tier", "1").without_note("old");
    kv.patch_metadata("app", &changes).await.unwrap();
    let metadata = kv.metadata("app").await.unwrap().unwrap();
    assert_eq!(metadata.max_versions, 4);
    let notes: Vec<_> =
        metadata.custom_metadata.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert_eq!(notes, [("owner", "ops"), ("tier", "1")]);
}

async fn metadata_of_what_is_not_there_are_none(backend: Backend) {
    let (vault, kv) = store(&backend).await;
    let kv = vault.kv2(&kv);
    assert!(kv.metadata("never").await.unwrap().is_none());
    let error =
        kv.patch_metadata("never", &MetadataSettings::default().with_note("a", "b")).await.unwrap_err();
    assert!(matches!(error, Error::NoSuchVersion(Gone::Missing)), "{error:?}");
}

async fn a_secret_is_removed_with_all_its_versions(backend: Backend) {
    let (vault, kv) = store(&backend).await;
    let kv = vault.kv2(&kv);
    kv.write("app", &json!({}), Cas::None).await.unwrap();
    kv.delete_metadata("app").await.unwrap();
    assert!(matches!(kv.read("app").await.unwrap(), Read::Missing));
    assert!(kv.metadata("app").await.unwrap().is_none());
}

async fn names_are_listed_level_by_level(backend: Backend) {
    let (vault, kv) = store(&backend).await;
    let kv = vault.kv2(&kv);
    for path in ["a", "team/x", "team/deep/y"] {
        kv.write(path, &json!({}), Cas::None).await.unwrap();
    }
    assert_eq!(kv.list("").await.unwrap(), ["a", "ready", "team/"]);
    assert_eq!(kv.list("team").await.unwrap(), ["deep/", "x"]);
}

async fn a_list_tells_empty_from_denied(backend: Backend) {
    let (vault, kv) = store(&backend).await;
    assert!(vault.kv2(&kv).list("nothing/here").await.unwrap().is_empty());
    let made = json!({"policies": ["default"]});
    let made = backend.admin(Method::Post, "auth/token/create", made).await.unwrap();
    let other = token(&made["auth"]["client_token"].as_str().unwrap().into());
    let error = anonymous(&backend).with_token(&other).kv2(&kv).list("").await.unwrap_err();
    assert!(matches!(error, Error::PermissionDenied(_)), "{error:?}");
}

async fn a_list_is_read_page_by_page(backend: Backend) {
    let (vault, kv) = store(&backend).await;
    let kv = vault.kv2(&kv);
    let names = ["a", "b", "c", "d", "e/"];
    for name in names {
        let path = if name == "e/" { "many/e/x".to_owned() } else { format!("many/{name}") };
        kv.write(&path, &json!({}), Cas::None).await.unwrap();
    }
    let mut pages = kv.pages("many", 2).unwrap();
    let mut read = Vec::new();
    while let Some(page) = pages.next().await.unwrap() {
        read.extend(page);
    }
    assert_eq!(read, names);
}

async fn names_in_a_secret_come_without_values(backend: Backend) {
    let (vault, kv) = store(&backend).await;
    let kv = vault.kv2(&kv);
    kv.write("app", &json!({"db": {"user": "hush", "port": 1}, "key": "hush"}), Cas::None).await.unwrap();
    let subkeys = kv.subkeys("app").await.unwrap().found().unwrap();
    assert_eq!(subkeys.names().raw("db").unwrap().matches(":null").count(), 2);
    assert_eq!((subkeys.names().raw("key").unwrap(), subkeys.metadata().version), ("null", 1));
    kv.delete("app").await.unwrap();
    assert!(matches!(kv.subkeys("app").await.unwrap(), Read::Deleted(_)));
    assert!(matches!(kv.subkeys("never").await.unwrap(), Read::Missing));
}

async fn a_store_is_configured(backend: Backend) {
    let (vault, kv) = store(&backend).await;
    let kv = vault.kv2(&kv);
    let settings =
        StoreSettings::default().with_max_versions(2).with_delete_version_after(Duration::from_secs(3600));
    kv.write_config(&settings).await.unwrap();
    kv.write_config(&StoreSettings::default().with_cas_required(true)).await.unwrap();
    let config = kv.config().await.unwrap();
    assert_eq!((config.max_versions, config.cas_required), (2, true));
    assert_eq!(config.delete_version_after, Some(Duration::from_secs(3600)));
    for cas in [Cas::Create, Cas::Version(1), Cas::Version(2)] {
        kv.write("app", &json!({}), cas).await.unwrap();
    }
    assert!(matches!(kv.read_version("app", 1).await.unwrap(), Read::Missing), "only two are kept");
}

async fn a_rollback_writes_the_old_data_anew(backend: Backend) {
    let (vault, kv) = store(&backend).await;
    let kv = vault.kv2(&kv);
    for text in ["one", "two"] {
        kv.write("app", &json!({"v": text, "n": 1.5}), Cas::None).await.unwrap();
    }
    kv.delete("app").await.unwrap();
    assert_eq!(kv.rollback("app", 1).await.unwrap().version, 3);
    let secret = kv.read("app").await.unwrap().found().unwrap();
    assert_eq!((secret.data().text("v").unwrap(), secret.data().raw("n").unwrap()), ("one", "1.5"));
}

async fn a_rollback_to_what_is_gone_says_why(backend: Backend) {
    let (vault, kv) = store(&backend).await;
    let kv = vault.kv2(&kv);
    for _ in 1..=2 {
        kv.write("app", &json!({}), Cas::None).await.unwrap();
    }
    kv.destroy_versions("app", &[1]).await.unwrap();
    for (path, version, expected) in
        [("app", 1, Gone::Destroyed), ("app", 9, Gone::Missing), ("no", 1, Gone::Missing)]
    {
        let error = kv.rollback(path, version).await.unwrap_err();
        assert!(
            matches!(error, Error::NoSuchVersion(gone) if gone == expected),
            "{path} {version}: {error:?}"
        );
    }
}

async fn a_write_to_a_store_without_versions_is_explained(backend: Backend) {
    let plain = backend.unique("plain");
    let options = json!({"type": "kv", "options": {"version": "1"}});
    backend.admin(Method::Post, &format!("sys/mounts/{plain}"), options).await.unwrap();
    let error = root(&backend).kv2(&plain).write("app", &json!({"a": 1}), Cas::None).await.unwrap_err();
    assert!(matches!(error, Error::WrongMount { problem: MountProblem::NotVersioned, .. }), "{error:?}");
}
