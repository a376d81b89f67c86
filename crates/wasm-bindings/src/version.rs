//! A version of a secret whose values stay here until they are asked for.

use std::rc::Rc;

use latchkey_vault_client::kv2::{Metadata, Secret};
use wasm_bindgen::prelude::*;

use crate::fields::{diff, kind, value};
use crate::object::{list, number, object, optional};

/// `SecretVersion` of `types.d.ts`. Its memory is wiped when it is freed.
#[wasm_bindgen(skip_typescript)]
pub struct SecretVersion(pub(crate) Rc<Found>);

pub(crate) struct Found {
    pub(crate) mount: String,
    pub(crate) path: String,
    pub(crate) secret: Secret,
}

#[wasm_bindgen]
impl SecretVersion {
    #[wasm_bindgen(getter)]
    pub fn mount(&self) -> String {
        self.0.mount.clone()
    }

    #[wasm_bindgen(getter)]
    pub fn path(&self) -> String {
        self.0.path.clone()
    }

    #[wasm_bindgen(getter)]
    pub fn version(&self) -> JsValue {
        version(self.0.secret.metadata())
    }

    #[wasm_bindgen(getter)]
    pub fn fields(&self) -> JsValue {
        let data = self.0.secret.data();
        list(data.fields().map(|field| object([("name", field.into()), ("kind", kind(data, field).into())])))
    }

    pub fn value(&self, field: &str) -> Result<String, JsValue> {
        Ok(value(self.0.secret.data(), field)?.to_owned())
    }

    pub fn json(&self) -> String {
        self.0.secret.data().json().to_owned()
    }

    pub fn diff(&self, older: &SecretVersion) -> JsValue {
        let changes = diff(older.0.secret.data(), self.0.secret.data());
        list(
            changes
                .into_iter()
                .map(|(field, change)| object([("field", field.into()), ("change", change.into())])),
        )
    }
}

/// `Version` of `types.d.ts`.
pub(crate) fn version(metadata: &Metadata) -> JsValue {
    object([
        ("number", number(metadata.version)),
        ("createdTime", metadata.created_time.as_str().into()),
        ("deletionTime", optional(metadata.deletion_time.as_deref())),
        ("destroyed", metadata.destroyed.into()),
    ])
}
