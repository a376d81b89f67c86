//! The fields of a secret: writing them, and telling two versions apart.

use latchkey_transport::json;
use latchkey_vault_client::{Data, Error as VaultError, ValueKind};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// A value to write.
pub enum Input {
    /// A text.
    Text(Zeroizing<String>),
    /// JSON text, kept to the letter.
    Json(Zeroizing<String>),
}

/// The JSON object of a secret that is to be written, in memory that is wiped.
#[derive(Default)]
pub struct Document(Zeroizing<Vec<u8>>);

impl Document {
    /// Begins an object with room for a secret of usual size.
    pub fn new() -> Self {
        // Room, so that no copy is left behind when it grows.
        Self(Zeroizing::new(Vec::with_capacity(16 * 1024)))
    }

    /// Adds a field.
    ///
    /// Fails with [`Failure::InvalidArgument`] where the JSON of a value is none.
    pub fn push(&mut self, name: &str, value: &Input) -> Result<(), Failure> {
        match value {
            Input::Text(text) => {
                self.name(name)?;
                self.text(text)
            }
            Input::Json(json) => {
                let raw: &RawValue = json::from_str(json).map_err(|_| NOT_JSON)?;
                self.push_raw(name, raw.get())
            }
        }
    }

    /// Adds a field whose JSON is known to be some.
    pub fn push_raw(&mut self, name: &str, json: &str) -> Result<(), Failure> {
        self.name(name)?;
        self.0.extend_from_slice(json.as_bytes());
        Ok(())
    }

    fn name(&mut self, name: &str) -> Result<(), Failure> {
        let separator = if self.0.is_empty() { b'{' } else { b',' };
        self.0.push(separator);
        self.text(name)?;
        self.0.push(b':');
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Failure> {
        serde_json::to_writer(&mut *self.0, text).map_err(|_| NOT_JSON)
    }

    /// Returns the object as one piece of JSON.
    pub fn finish(mut self) -> Result<Finished, Failure> {
        if self.0.is_empty() {
            self.0.push(b'{');
        }
        self.0.push(b'}');
        Ok(Finished(self.0))
    }
}

/// A whole JSON object.
pub struct Finished(Zeroizing<Vec<u8>>);

impl Finished {
    /// Returns it, ready to be sent.
    pub fn raw(&self) -> Result<&RawValue, Failure> {
        json::from_slice(&self.0).map_err(|_| NOT_JSON)
    }
}

const NOT_JSON: Failure = Failure::InvalidArgument { name: "json", problem: "is not JSON" };

/// Returns the word for what a field is.
pub fn kind(data: &Data, field: &str) -> &'static str {
    match data.text(field) {
        Ok(_) => "text",
        Err(VaultError::FieldNotText { kind, .. }) => match kind {
            ValueKind::Null => "null",
            ValueKind::Boolean => "boolean",
            ValueKind::Number => "number",
            ValueKind::List => "list",
            ValueKind::BrokenText => "broken-text",
            _ => "object",
        },
        Err(_) => "object",
    }
}

/// Returns the value of a field for a person: the text, or the JSON text of what is none.
pub fn value<'a>(data: &'a Data, field: &str) -> Result<&'a str, Failure> {
    match data.text(field) {
        Err(VaultError::FieldNotText { .. }) => Ok(data.raw(field)?),
        outcome => Ok(outcome?),
    }
}

/// Returns what was done to each field to come from an older version to a newer one.
pub fn diff<'a>(older: &'a Data, newer: &'a Data) -> Vec<(&'a str, &'static str)> {
    let change = |field| match (older.raw(field), newer.raw(field)) {
        (Err(_), _) => "added",
        (_, Err(_)) => "removed",
        (Ok(old), Ok(new)) if old == new => "same",
        // Two spellings of one text.
        _ => match (older.text(field), newer.text(field)) {
            (Ok(old), Ok(new)) if old == new => "same",
            _ => "changed",
        },
    };
    let gone = older.fields().filter(|&field| newer.raw(field).is_err());
    newer.fields().chain(gone).map(|field| (field, change(field))).collect()
}

#[cfg(test)]
mod tests {
    use latchkey_transport::{Exchange as _, Reply};
    use latchkey_vault_client::Read;
    use latchkey_vault_client::kv2::{ReadSecret, Secret};

    use super::*;

    fn secret(data: &str) -> Secret {
        let body = format!(r#"{{"data":{{"data":{data},"metadata":{{"version":1,"created_time":""}}}}}}"#);
        match ReadSecret::new("kv", "x").unwrap().receive(Reply::new(200, body)) {
            Ok(Read::Found(secret)) => secret,
            other => panic!("{other:?}"),
        }
    }

    fn written(fields: &[(&str, Input)]) -> Result<String, Failure> {
        let mut document = Document::new();
        for (name, value) in fields {
            document.push(name, value)?;
        }
        document.finish()?.raw().map(|raw| raw.get().to_owned())
    }

    fn text(text: &str) -> Input {
        Input::Text(Zeroizing::new(text.to_owned()))
    }

    fn json(text: &str) -> Input {
        Input::Json(Zeroizing::new(text.to_owned()))
    }

    #[test]
    fn numbers_are_written_to_the_letter_and_texts_escaped() {
        let fields = [
            ("a\"b", text("x\n\"y\"")),
            ("n", json(" 12345678901234567890.50 ")),
            ("o", json("{\"k\":[1]}")),
        ];
        assert_eq!(
            written(&fields).unwrap(),
            r#"{"a\"b":"x\n\"y\"","n":12345678901234567890.50,"o":{"k":[1]}}"#
        );
        assert_eq!(written(&[]).unwrap(), "{}");
    }

    #[test]
    fn what_is_not_json_is_not_written() {
        for bad in ["", "{", "1 2", "\"a\",\"b\":1", "nope"] {
            let failure = written(&[("a", json(bad))]).unwrap_err();
            assert_eq!(failure.code(), "engine_invalid_argument", "{bad}");
        }
    }

    #[test]
    fn a_field_tells_its_kind_and_its_value() {
        let secret = secret(r#"{"t":"x\u0041","n":1.50,"b":true,"z":null,"l":[1],"o":{"a":1},"s":"\ud800"}"#);
        let told: Vec<_> = secret
            .data()
            .fields()
            .map(|field| (kind(secret.data(), field), value(secret.data(), field).unwrap()))
            .collect();
        assert_eq!(
            told,
            [
                ("text", "xA"),
                ("number", "1.50"),
                ("boolean", "true"),
                ("null", "null"),
                ("list", "[1]"),
                ("object", r#"{"a":1}"#),
                ("broken-text", r#""\ud800""#)
            ]
        );
        assert_eq!(value(secret.data(), "none").unwrap_err().code(), "vault_field_missing");
    }

    #[test]
    fn a_diff_names_every_field_once() {
        let older = secret(r#"{"same":"A","gone":1,"other":"x","number":1}"#);
        let newer = secret(r#"{"new":1,"same":"\u0041","other":"y","number":"1"}"#);
        assert_eq!(
            diff(older.data(), newer.data()),
            [
                ("new", "added"),
                ("same", "same"),
                ("other", "changed"),
                ("number", "changed"),
                ("gone", "removed")
            ]
        );
    }
}
