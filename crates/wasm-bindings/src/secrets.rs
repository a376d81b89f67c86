//! Secrets in versioned stores.

use std::rc::Rc;

use js_sys::Promise;
use latchkey_transport::{Exchange, json};
use latchkey_vault_client::kv2::{
    Cas, ChangeVersions, DeleteLatest, DeleteMetadata, ListSecrets, MetadataSettings, ReadMetadata,
    ReadSecret, SecretMetadata, WriteMetadata,
};
use latchkey_vault_client::logical::ReadPath;
use latchkey_vault_client::sys::ReadCapabilities;
use latchkey_vault_client::{Error, Read, Vault};
use serde_json::Value;
use wasm_bindgen::prelude::*;
use zeroize::Zeroizing;

use crate::capabilities;
use crate::failure::Failure;
use crate::fields::{Document, Finished, Input};
use crate::object::{list, notes, number, object, optional};
use crate::options::{Options, entries, versions, whole};
use crate::promise::promise;
use crate::session::Inner;
use crate::version::{Found, SecretVersion, version};

/// `Secrets` of `types.d.ts`.
#[wasm_bindgen(skip_typescript)]
#[derive(Clone)]
pub struct Secrets(pub(crate) Rc<Inner>);

/// What lists the mounts that the token may see, for any token.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/system/internal-ui-mounts>
const VISIBLE_MOUNTS: &str = "sys/internal/ui/mounts";

impl Secrets {
    fn vault(&self) -> Result<Vault, Failure> {
        self.0.vault()
    }

    fn heard<T>(&self, outcome: Result<T, Error>) -> Result<T, Failure> {
        outcome.map_err(|error| self.0.heard(error))
    }

    /// A refusal by policy is an answer here, not an error.
    fn or_denied(&self, outcome: Result<JsValue, Error>) -> Result<JsValue, JsValue> {
        match outcome {
            Err(Error::PermissionDenied(_)) => Ok(outcome_of("denied", [])),
            outcome => Ok(self.heard(outcome)?),
        }
    }
}

fn outcome_of<const N: usize>(word: &str, members: [(&str, JsValue); N]) -> JsValue {
    match members.into_iter().next() {
        Some((name, value)) => object([("outcome", word.into()), (name, value)]),
        None => object([("outcome", word.into())]),
    }
}

#[wasm_bindgen]
impl Secrets {
    /// See `types.d.ts`; so it is for all that follows.
    pub fn mounts(&self) -> Promise {
        self.ask(ReadPath::new(VISIBLE_MOUNTS), |this, answer| {
            let answer = this.heard(answer)?;
            let read = json::from_str(answer.as_ref().map_or("{}", |answer| answer.data.json()));
            let json::Any(visible) = this.heard(read.map_err(|_| Error::WrongType { line: 1, column: 1 }))?;
            let text = |value: &Value, name: &str| match value.get(name) {
                Some(Value::String(text)) => text.clone(),
                _ => String::new(),
            };
            let is_versioned = |mount: &Value| {
                let is_store = matches!(text(mount, "type").as_str(), "kv" | "generic");
                is_store && mount.get("options").is_some_and(|options| text(options, "version") == "2")
            };
            let mounts = visible.get("secret").and_then(Value::as_object).into_iter().flatten();
            Ok(list(mounts.filter(|(_, mount)| is_versioned(mount)).map(|(path, mount)| {
                object([
                    ("path", path.trim_matches('/').into()),
                    ("description", text(mount, "description").into()),
                ])
            })))
        })
    }

    pub fn list(&self, mount: &str, path: &str) -> Promise {
        self.ask(ListSecrets::new(mount, path), |this, names| {
            this.or_denied(names.map(|names| {
                if names.is_empty() {
                    return outcome_of("empty", []);
                }
                outcome_of("listed", [("names", list(names))])
            }))
        })
    }

    pub fn read(&self, mount: String, path: String, number: &JsValue) -> Promise {
        self.ask(read(&mount, &path, number), move |this, read| {
            this.or_denied(read.map(|read| match read {
                Read::Found(secret) => {
                    let found = SecretVersion(Rc::new(Found { mount, path, secret }));
                    outcome_of("found", [("secret", found.into())])
                }
                Read::Deleted(metadata) => outcome_of("deleted", [("version", version(&metadata))]),
                Read::Destroyed(metadata) => outcome_of("destroyed", [("version", version(&metadata))]),
                Read::Missing => outcome_of("missing", []),
            }))
        })
    }

    pub fn metadata(&self, mount: &str, path: &str) -> Promise {
        self.ask(ReadMetadata::new(mount, path), |this, metadata| {
            this.or_denied(metadata.map(|metadata| match metadata {
                Some(metadata) => outcome_of("found", [("metadata", describe(&metadata))]),
                None => outcome_of("missing", []),
            }))
        })
    }

    pub fn capabilities(&self, mount: String, path: String) -> Promise {
        let paths = capabilities::paths(&mount, &path);
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        self.ask(ReadCapabilities::new(&paths), move |this, told| {
            let told = told.map_err(|error| match error {
                // Advice that is not given says nothing of the token: nobody has to find out whether it is dead.
                Error::PermissionDenied(_) => error.into(),
                error => this.0.heard(error),
            })?;
            let members = js_sys::Object::new();
            for (button, may) in capabilities::buttons(&mount, &path, &told) {
                crate::object::set(&members, button, &may.into());
            }
            Ok(members.into())
        })
    }

    pub fn write(&self, mount: String, path: String, fields: JsValue, cas: JsValue) -> Promise {
        let this = self.clone();
        promise(async move {
            let cas = match (cas.as_string().as_deref(), cas.as_f64()) {
                (Some("create"), _) => Cas::Create,
                (Some("none"), _) => Cas::None,
                (None, Some(version)) => Cas::Version(whole("cas", Some(version))?),
                _ => {
                    let problem = "is neither a version nor 'create' nor 'none'";
                    return Err(Failure::InvalidArgument { name: "cas", problem }.into());
                }
            };
            let mut document = Document::new();
            for (name, value) in entries("fields", &fields)? {
                document.push(&name, &input(&value)?)?;
            }
            this.put(&mount, &path, document.finish()?, cas).await
        })
    }

    pub fn change(&self, base: &SecretVersion, changes: JsValue) -> Promise {
        let base = Rc::clone(&base.0);
        let this = self.clone();
        promise(async move {
            let mut changes = entries("changes", &changes)?;
            let data = base.secret.data();
            let mut document = Document::new();
            for field in data.fields() {
                match changes.iter().position(|(name, _)| name == field) {
                    None => document.push_raw(field, data.raw(field).map_err(Failure::from)?)?,
                    Some(index) => {
                        let (_, value) = changes.remove(index);
                        if !value.is_null() {
                            document.push(field, &input(&value)?)?;
                        }
                    }
                }
            }
            for (name, value) in changes.iter().filter(|(_, value)| !value.is_null()) {
                document.push(name, &input(value)?)?;
            }
            let cas = Cas::Version(base.secret.metadata().version);
            this.put(&base.mount, &base.path, document.finish()?, cas).await
        })
    }

    pub fn delete(&self, mount: &str, path: &str, numbers: &JsValue) -> Promise {
        if numbers.is_undefined() || numbers.is_null() {
            return self.tell(DeleteLatest::new(mount, path));
        }
        self.change_versions(ChangeVersions::delete, mount, path, numbers)
    }

    pub fn undelete(&self, mount: &str, path: &str, numbers: &JsValue) -> Promise {
        self.change_versions(ChangeVersions::undelete, mount, path, numbers)
    }

    pub fn destroy(&self, mount: &str, path: &str, numbers: &JsValue) -> Promise {
        self.change_versions(ChangeVersions::destroy, mount, path, numbers)
    }

    #[wasm_bindgen(js_name = deleteAll)]
    pub fn delete_all(&self, mount: &str, path: &str) -> Promise {
        self.tell(DeleteMetadata::new(mount, path))
    }

    #[wasm_bindgen(js_name = writeNotes)]
    pub fn write_notes(&self, mount: &str, path: &str, notes: &JsValue) -> Promise {
        self.tell(settings(notes).and_then(|settings| Ok(WriteMetadata::new(mount, path, &settings)?)))
    }
}

impl Secrets {
    /// Performs a call with the session's token, and gives the page what `answer` makes of it.
    fn ask<E: Exchange<Error = Error> + Clone + 'static>(
        &self,
        call: Result<E, impl Into<Failure>>,
        answer: impl FnOnce(&Self, Result<E::Output, Error>) -> Result<JsValue, JsValue> + 'static,
    ) -> Promise {
        let (this, call) = (self.clone(), call.map_err(Into::into));
        promise(async move {
            let vault = this.vault()?;
            answer(&this, vault.perform(call?).await)
        })
    }

    /// The same where there is nothing to answer.
    fn tell<E: Exchange<Error = Error, Output = ()> + Clone + 'static>(
        &self,
        call: Result<E, impl Into<Failure>>,
    ) -> Promise {
        self.ask(call, |this, done| {
            this.heard(done)?;
            Ok(JsValue::UNDEFINED)
        })
    }

    fn change_versions(
        &self,
        change: fn(&str, &str, &[u64]) -> Result<ChangeVersions, Error>,
        mount: &str,
        path: &str,
        numbers: &JsValue,
    ) -> Promise {
        self.tell(versions(numbers).and_then(|numbers| Ok(change(mount, path, &numbers)?)))
    }

    async fn put(&self, mount: &str, path: &str, data: Finished, cas: Cas) -> Result<JsValue, JsValue> {
        let vault = self.vault()?;
        let written = vault.kv2(mount).write(path, data.raw()?, cas).await;
        Ok(version(&self.heard(written)?))
    }
}

/// Reads the newest version, or a certain one.
fn read(mount: &str, path: &str, number: &JsValue) -> Result<ReadSecret, Failure> {
    let newest = ReadSecret::new(mount, path)?;
    if number.is_undefined() || number.is_null() {
        return Ok(newest);
    }
    Ok(newest.with_version(whole("version", number.as_f64())?))
}

/// Notes to write.
fn settings(notes: &JsValue) -> Result<MetadataSettings, Failure> {
    let mut settings = MetadataSettings::default();
    for (name, text) in entries("notes", notes)? {
        let wrong = Failure::InvalidArgument { name: "notes", problem: "has a value that is not a string" };
        settings = settings.with_note(name, text.as_string().ok_or(wrong)?);
    }
    Ok(settings)
}

/// A value to write: a text, or `{ json }`.
fn input(value: &JsValue) -> Result<Input, Failure> {
    match value.as_string() {
        Some(text) => Ok(Input::Text(Zeroizing::new(text))),
        None => Ok(Input::Json(Zeroizing::new(Options(value).text("json")?))),
    }
}

/// `SecretMetadata` of `types.d.ts`.
fn describe(metadata: &SecretMetadata) -> JsValue {
    let versions = metadata.versions.iter().rev().map(|(number_, state)| {
        object([
            ("number", number(*number_)),
            ("createdTime", state.created_time.as_str().into()),
            ("deletionTime", optional(state.deletion_time.as_deref())),
            ("destroyed", state.destroyed.into()),
        ])
    });
    object([
        ("currentVersion", number(metadata.current_version)),
        ("versions", list(versions)),
        ("createdTime", metadata.created_time.as_str().into()),
        ("updatedTime", metadata.updated_time.as_str().into()),
        ("maxVersions", number(metadata.max_versions)),
        ("casRequired", metadata.cas_required.into()),
        ("notes", notes(&metadata.custom_metadata)),
    ])
}
