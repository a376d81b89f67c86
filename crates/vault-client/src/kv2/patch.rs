//! Changes that take more than one call: a patch where PATCH is not let through, the way back to a version, and a write
//! whose reply was lost.

use latchkey_transport::json;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Cas, Kv2, Metadata, PatchMethod, PatchSecret, Patched, Secret, WriteSecret};
use crate::{Error, Gone, Read, merge, reply};

impl Kv2<'_> {
    /// Changes fields of a secret and returns the version that has them: fields that are `null` are removed, objects
    /// are merged, everything else is replaced (RFC 7396).
    ///
    /// It is one HTTP PATCH. Where the server does not know that method, or something on the way does not let it
    /// through, as CORS rules do not in a browser, the secret is read, merged here and written with a check-and-set;
    /// [`Patched::method`] says which. A refusal by policy is never worked around.
    ///
    /// Fails with [`Error::NoSuchVersion`] where there is nothing to change, and [`Error::CasMismatch`].
    /// See [`PatchSecret`].
    pub async fn patch<T: Serialize + ?Sized>(
        &self,
        path: &str,
        changes: &T,
        cas: Cas,
    ) -> Result<Patched, Error> {
        // Written first, so that nothing of the caller's type lives on while the calls are under way.
        let prepared = PatchSecret::new(self.mount, path, changes, cas)
            .and_then(|patch| Ok((patch, reply::json(changes)?)));
        let (patch, changes) = prepared?;
        match self.vault.perform(patch).await {
            Ok(metadata) => Ok(Patched { metadata, method: PatchMethod::Patch }),
            Err(error) if is_the_method_refused(&error) => {
                // Opened to be merged.
                let changes =
                    std::str::from_utf8(changes.expose_secret()).map_err(|_| Error::UnwritableBody)?;
                self.read_and_write(path, changes, cas).await
            }
            Err(error) => Err(error),
        }
    }

    /// Writes an older version's data as the newest version, unless somebody else writes in between.
    ///
    /// Fails with [`Error::NoSuchVersion`] where that version is gone, and [`Error::CasMismatch`]. See [`WriteSecret`].
    pub async fn rollback(&self, path: &str, version: u64) -> Result<Metadata, Error> {
        let newest = match self.read(path).await? {
            Read::Found(secret) => secret.metadata().version,
            Read::Deleted(metadata) | Read::Destroyed(metadata) => metadata.version,
            Read::Missing => return Err(Error::NoSuchVersion(Gone::Missing)),
        };
        let secret = present(self.read_version(path, version).await?)?;
        let write = self.rewrite(path, secret.data().json(), Cas::Version(newest));
        self.vault.perform(write?).await
    }

    /// Finds out whether a write took place whose reply was lost, and writes if it did not. Without a check-and-set nobody
    /// can tell.
    pub(super) async fn settle(
        &self,
        path: &str,
        write: WriteSecret,
        cas: Cas,
        lost: latchkey_transport::Error,
    ) -> Result<Metadata, Error> {
        let Some(before) = cas.number() else { return Err(lost.into()) };
        let (newest, ours) = match self.read(path).await {
            Ok(Read::Found(secret)) => {
                let ours = write.writes(secret.data().json()).then(|| secret.metadata().clone());
                (secret.metadata().version, ours)
            }
            Ok(Read::Deleted(metadata) | Read::Destroyed(metadata)) => (metadata.version, None),
            Ok(Read::Missing) => (0, None),
            Err(_) => return Err(lost.into()),
        };
        match ours {
            Some(metadata) if newest == before.saturating_add(1) => Ok(metadata),
            _ if newest == before => self.vault.perform(write).await,
            _ => Err(lost.into()),
        }
    }

    async fn read_and_write(&self, path: &str, changes: &str, cas: Cas) -> Result<Patched, Error> {
        // Others write as well: four times in a row between two of our calls would be somebody in a loop.
        const ATTEMPTS: u32 = 4;
        let mut left = ATTEMPTS;
        loop {
            let secret = present(self.read(path).await?)?;
            let merged = merge::merge(secret.data().json(), changes).ok_or(Error::UnwritableBody)?;
            let follows = if cas == Cas::None { Cas::Version(secret.metadata().version) } else { cas };
            // The reply to a PATCH that ran may be what was lost. A second version that says the same is no use.
            if cas == Cas::None && merge::is_same(secret.data().json(), &merged) {
                let metadata = secret.metadata().clone();
                return Ok(Patched { metadata, method: PatchMethod::AlreadyThere });
            }
            left -= 1;
            let write = self.rewrite(path, &merged, follows);
            match self.vault.perform(write?).await {
                Err(Error::CasMismatch(_)) if cas == Cas::None && left > 0 => {}
                outcome => {
                    return outcome.map(|metadata| Patched { metadata, method: PatchMethod::ReadAndWrite });
                }
            }
        }
    }

    /// Writes a JSON text as it is, where `cas` holds.
    pub(crate) async fn write_json(&self, path: &str, json: &str, cas: Cas) -> Result<Metadata, Error> {
        let write = self.rewrite(path, json, cas);
        self.vault.perform(write?).await
    }

    /// Writes a JSON text as it is.
    fn rewrite(&self, path: &str, json: &str, cas: Cas) -> Result<WriteSecret, Error> {
        let data: &RawValue = json::from_str(json).map_err(|_| Error::UnwritableBody)?;
        WriteSecret::new(self.mount, path, data, cas)
    }
}

fn present(read: Read) -> Result<Secret, Error> {
    Err(Error::NoSuchVersion(match read {
        Read::Found(secret) => return Ok(secret),
        Read::Deleted(_) => Gone::Deleted,
        Read::Destroyed(_) => Gone::Destroyed,
        Read::Missing => Gone::Missing,
    }))
}

/// Returns whether it was the method that did not get through. A browser tells a preflight that was refused from a
/// broken connection by nothing; merging twice does no harm.
fn is_the_method_refused(error: &Error) -> bool {
    use latchkey_transport::Error as Transport;
    matches!(
        error,
        Error::UnsupportedOperation(_)
            | Error::UnsupportedMediaType(_)
            | Error::Transport(Transport::Lost { .. } | Transport::Unreachable { .. })
    )
}

#[cfg(test)]
mod tests {
    use latchkey_transport::{Method, Reply};
    use serde_json::json;

    use super::*;
    use crate::Vault;
    use crate::script::{Script, lost, script};

    const WRITTEN: &str =
        r#"{"request_id":"a","data":{"created_time":"x","deletion_time":"","destroyed":false,"version":4}}"#;

    fn found(version: u64, data: &str) -> Reply {
        let body = format!(
            r#"{{"request_id":"a","data":{{"data":{data},"metadata":{{"created_time":"x","version":{version}}}}}}}"#
        );
        Reply::new(200, body)
    }

    fn said(status: u16, error: &str) -> Reply {
        Reply::new(status, format!(r#"{{"errors":["{error}"]}}"#))
    }

    fn vault(script: &std::sync::Arc<Script>) -> Vault {
        Vault::new("https://vault".parse().unwrap(), script.clone())
    }

    fn sent(script: &Script) -> Vec<(Method, String)> {
        let body = |request: &latchkey_transport::Request| {
            request.body().map(|body| String::from_utf8(body.expose_secret().to_vec()).unwrap())
        };
        script.sent().iter().map(|request| (request.method(), body(request).unwrap_or_default())).collect()
    }

    const MISMATCH: &str = "check-and-set parameter did not match the current version";

    #[tokio::test(flavor = "current_thread")]
    async fn where_the_method_is_refused_the_secret_is_read_and_written_back_with_its_numbers() {
        for refused in [Ok(said(405, "unsupported operation")), Ok(said(415, "")), lost()] {
            let script =
                script([refused, Ok(found(3, r#"{"n":1.10,"old":1}"#)), Ok(Reply::new(200, WRITTEN))]);
            let changes = json!({"old": null, "new": 2});
            let patched = vault(&script).kv2("kv").patch("a", &changes, Cas::None).await.unwrap();
            assert_eq!((patched.method, patched.metadata.version), (PatchMethod::ReadAndWrite, 4));
            let sent = sent(&script);
            assert_eq!(
                sent.iter().map(|(method, _)| *method).collect::<Vec<_>>(),
                [Method::Patch, Method::Get, Method::Post]
            );
            assert_eq!(sent[2].1, r#"{"options":{"cas":3},"data":{"n":1.10,"new":2}}"#);
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_refusal_by_policy_is_not_worked_around() {
        let script = script([Ok(said(403, "permission denied"))]);
        let error = vault(&script).kv2("kv").patch("a", &json!({}), Cas::None).await.unwrap_err();
        assert_eq!((error.code(), sent(&script).len()), ("vault_permission_denied", 1));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_patch_that_ran_although_its_reply_was_lost_makes_no_second_version() {
        let script = script([lost(), Ok(found(4, r#"{"new":2,"n":1}"#))]);
        let patched = vault(&script).kv2("kv").patch("a", &json!({"new": 2}), Cas::None).await.unwrap();
        assert_eq!((patched.method, patched.metadata.version), (PatchMethod::AlreadyThere, 4));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_another_writer_wrote_in_between_is_kept() {
        let script = script([
            Ok(said(405, "")),
            Ok(found(3, r#"{"a":1}"#)),
            Ok(said(400, MISMATCH)),
            Ok(found(4, r#"{"a":1,"theirs":2}"#)),
            Ok(Reply::new(200, WRITTEN)),
        ]);
        vault(&script).kv2("kv").patch("a", &json!({"mine": 3}), Cas::None).await.unwrap();
        assert_eq!(sent(&script)[4].1, r#"{"options":{"cas":4},"data":{"a":1,"theirs":2,"mine":3}}"#);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn writers_that_never_stop_are_told_after_four_attempts() {
        let mut outcomes = vec![Ok(said(405, ""))];
        for _ in 0..4 {
            outcomes.extend([Ok(found(3, "{}")), Ok(said(400, MISMATCH))]);
        }
        let script = script(outcomes);
        let error = vault(&script).kv2("kv").patch("a", &json!({"b": 1}), Cas::None).await.unwrap_err();
        assert_eq!((error.code(), sent(&script).len()), ("vault_cas_mismatch", 9));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_version_that_was_named_is_the_only_one_that_is_changed() {
        let script = script([Ok(said(405, "")), Ok(found(4, r#"{"b":1}"#)), Ok(said(400, MISMATCH))]);
        let error = vault(&script).kv2("kv").patch("a", &json!({"b": 1}), Cas::Version(3)).await.unwrap_err();
        assert_eq!(error.code(), "vault_cas_mismatch");
        assert_eq!(sent(&script)[2].1, r#"{"options":{"cas":3},"data":{"b":1}}"#);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_rollback_writes_the_old_data_after_the_newest_version() {
        let script = script([Ok(found(5, "{}")), Ok(found(2, r#"{"n":1.0}"#)), Ok(Reply::new(200, WRITTEN))]);
        vault(&script).kv2("kv").rollback("a", 2).await.unwrap();
        assert_eq!(script.sent()[1].query(), Some("version=2"));
        assert_eq!(sent(&script)[2].1, r#"{"options":{"cas":5},"data":{"n":1.0}}"#);
    }

    fn version(number: u64, json: &str) -> Reply {
        let body = format!(
            r#"{{"data":{{"data":{json},"metadata":{{"version":{number},"created_time":"","deletion_time":"","destroyed":false}}}}}}"#
        );
        Reply::new(200, body)
    }

    async fn written(outcomes: Vec<Result<Reply, latchkey_transport::Error>>, cas: Cas) -> (String, usize) {
        let script = script(outcomes);
        let vault = Vault::new("https://vault".parse().unwrap(), script.clone());
        let outcome = vault.kv2("secret").write("a", &json!({"a": "b", "n": [1]}), cas).await;
        let told =
            outcome.map_or_else(|error| error.code().to_owned(), |metadata| metadata.version.to_string());
        (told, script.sent().len())
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_checked_write_whose_reply_was_lost_is_settled_by_a_read() {
        let data = r#"{"n": [1], "a": "b"}"#;
        let told = |text: &str, sent| (text.to_owned(), sent);
        // It took place.
        let ran = vec![lost(), Ok(version(4, data))];
        assert_eq!(written(ran, Cas::Version(3)).await, told("4", 2));
        // It did not.
        let (old, new) = (version(3, r#"{"a":"old"}"#), r#"{"data":{"version":4,"created_time":""}}"#);
        let did_not = vec![lost(), Ok(old), Ok(Reply::new(200, new))];
        assert_eq!(written(did_not, Cas::Version(3)).await, told("4", 3));
        let (missing, new) =
            (Reply::new(404, r#"{"errors":[]}"#), r#"{"data":{"version":1,"created_time":""}}"#);
        assert_eq!(
            written(vec![lost(), Ok(missing), Ok(Reply::new(200, new))], Cas::Create).await,
            told("1", 3)
        );
        // Somebody else wrote, or nobody can tell.
        for read in [version(4, r#"{"a":"other"}"#), version(5, data), Reply::new(403, "")] {
            assert_eq!(written(vec![lost(), Ok(read)], Cas::Version(3)).await, told("transport_lost", 2));
        }
        assert_eq!(written(vec![lost()], Cas::None).await, told("transport_lost", 1));
    }
}
