//! JSON in which every name stands once; but for the one exception of [`Object::read_answer`].

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use latchkey_transport::json;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Why a text is not the JSON that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// It is not JSON, is nested too deeply, or is no object.
    Malformed,
    /// A name stands twice in one object. RFC 7519, 4: "The Claim Names within a JWT Claims Set MUST be unique";
    /// two readers that each take another one of the two would disagree on what was signed.
    DuplicateName,
}

/// An object in which every name stands once, at any depth.
///
/// The members that are always needed are built at once, the others when somebody asks: building all claims of a token
/// would cost a tenth of checking its signature.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    text: Vec<u8>,
    eager: Vec<(&'static str, Value)>,
    eager_names: &'static [&'static str],
    whole: OnceLock<Map<String, Value>>,
}

impl Object {
    /// Reads an object, whole and to its end. Nesting is limited by `serde_json` to 128 levels.
    pub(crate) fn read(text: Vec<u8>, eager: &'static [&'static str]) -> Result<Self, Problem> {
        let members = outermost(&text, Members { eager })?;
        Ok(Self { text, eager: members, eager_names: eager, whole: OnceLock::new() })
    }

    /// The same for the claims of a signed answer: a member of the object itself may stand twice, where both say the same
    /// text.
    ///
    /// Keycloak 26 writes `iss` twice there, once for JARM and once for RFC 9207. RFC 7519, 4 lets a parser refuse that or
    /// take the last; two that are equal are read alike by everybody, so that nothing is lost by taking them.
    pub(crate) fn read_answer(text: Vec<u8>, eager: &'static [&'static str]) -> Result<Self, Problem> {
        let members = outermost(&text, Repeated)?;
        let built = eager.iter().filter_map(|name| Some((*name, members.get(*name)?.clone()))).collect();
        Ok(Self { text, eager: built, eager_names: eager, whole: members.into() })
    }

    /// Returns a member.
    pub(crate) fn member(&self, name: &str) -> Option<&Value> {
        if self.eager_names.contains(&name) {
            return self.eager.iter().find(|(this, _)| *this == name).map(|(_, value)| value);
        }
        self.whole().get(name)
    }

    /// Returns all members.
    pub(crate) fn whole(&self) -> &Map<String, Value> {
        // It was read to its end before, so it can be read again.
        self.whole.get_or_init(|| match json::from_slice(&self.text) {
            Ok(json::Any(Value::Object(members))) => members,
            _ => Map::new(),
        })
    }
}

/// Reads a text to its end. The only data errors that the readers here can give are the duplicate name and, for a text
/// that is no object, the wrong type.
fn outermost<'de, S: DeserializeSeed<'de>>(text: &'de [u8], seed: S) -> Result<S::Value, Problem> {
    json::seed_from_slice(text, seed).map_err(|problem| match problem {
        json::Problem::Kind if text.trim_ascii_start().starts_with(b"{") => Problem::DuplicateName,
        _ => Problem::Malformed,
    })
}

/// Reads the members of the outermost object, each of which stands once.
struct Members {
    eager: &'static [&'static str],
}

impl<'de> DeserializeSeed<'de> for Members {
    type Value = Vec<(&'static str, Value)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(&'static str, Value)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut built = Vec::with_capacity(self.eager.len());
        let mut names = Vec::with_capacity(32);
        while let Some(Name(name)) = entries.next_key()? {
            let eager = self.eager.iter().find(|eager| **eager == name);
            let value = entries.next_value_seed(Reader { keeps: eager.is_some() })?;
            built.extend(eager.map(|eager| (*eager, value)));
            names.push(name);
        }
        all_different(names)?;
        Ok(built)
    }
}

/// Reads the members of the outermost object, which may repeat a text.
struct Repeated;

impl<'de> DeserializeSeed<'de> for Repeated {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Repeated {
    type Value = Map<String, Value>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut members = Map::new();
        while let Some(Name(name)) = entries.next_key()? {
            let value = entries.next_value_seed(Reader { keeps: true })?;
            match members.get(&*name) {
                None => drop(members.insert(name.into_owned(), value)),
                Some(before) if before.is_string() && *before == value => {}
                Some(_) => return Err(stands_twice()),
            }
        }
        Ok(members)
    }
}

fn stands_twice<E: serde::de::Error>() -> E {
    E::custom("a name stands twice")
}

fn all_different<E: serde::de::Error>(mut names: Vec<Cow<'_, str>>) -> Result<(), E> {
    // By length first, which decides most comparisons.
    names.sort_unstable_by(|one, other| one.len().cmp(&other.len()).then_with(|| one.cmp(other)));
    let is_different = |pair: &[Cow<'_, str>]| pair.first() != pair.last();
    if names.windows(2).all(is_different) { Ok(()) } else { Err(stands_twice()) }
}

/// A name, borrowed where it has no escapes.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}

/// Reads a value of any kind, and builds it only if it is kept; else what comes back is null.
#[derive(Clone, Copy)]
struct Reader {
    keeps: bool,
}

impl Reader {
    fn keep(self, build: impl FnOnce() -> Value) -> Value {
        if self.keeps { build() } else { Value::Null }
    }
}

impl<'de> DeserializeSeed<'de> for Reader {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(self.keep(|| Value::String(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element_seed(self)? {
            if self.keeps {
                items.push(item);
            }
        }
        Ok(self.keep(|| Value::Array(items)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        let mut names = Vec::new();
        while let Some(Name(name)) = entries.next_key()? {
            let value = entries.next_value_seed(self)?;
            if self.keeps {
                members.insert(name.clone().into_owned(), value);
            }
            names.push(name);
        }
        all_different(names)?;
        Ok(self.keep(|| Value::Object(members)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Object, Problem};

    fn read(text: &str) -> Result<Object, Problem> {
        Object::read(text.as_bytes().to_vec(), &["a", "b"])
    }

    #[test]
    fn a_name_that_stands_twice_is_refused_at_any_depth() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"x":1,"y":2,"x":1}"#,
            r#"{"x":1,"\u0078":1}"#,
            r#"{"x":[{"y":{"c":1,"c":2}}]}"#,
            r#"{"a":[{"c":1,"\u0063":2}]}"#,
        ] {
            assert_eq!(read(text).unwrap_err(), Problem::DuplicateName, "{text}");
        }
        assert!(read(r#"{"a":{"c":1},"b":{"c":1},"c":{"a":1},"x":"c","y":"c"}"#).is_ok());
    }

    #[test]
    fn an_answer_may_say_the_same_text_twice_and_nothing_else() {
        let answer = |text: &str| Object::read_answer(text.as_bytes().to_vec(), &["a", "b"]);
        for text in [r#"{"a":"1","x":2,"a":"1"}"#, r#"{"a":"1","x":2,"\u0061":"\u0031","a":"1"}"#] {
            let object = answer(text).unwrap();
            assert_eq!(object.member("a"), Some(&"1".into()), "{text}");
            assert_eq!((object.member("b"), object.member("x")), (None, Some(&2.into())));
            assert_eq!(object.whole().len(), 2);
            assert_eq!(read(text).unwrap_err(), Problem::DuplicateName, "others stay strict");
        }
        for text in [
            r#"{"a":"1","a":"2"}"#,
            r#"{"a":"1","a":"1","a":"2"}"#,
            r#"{"a":"1","a":1}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"a":null,"a":null}"#,
            r#"{"a":["1"],"a":["1"]}"#,
            r#"{"a":{"c":"1","c":"1"}}"#,
        ] {
            assert_eq!(answer(text).unwrap_err(), Problem::DuplicateName, "{text}");
        }
        assert_eq!(answer("[]").unwrap_err(), Problem::Malformed);
        assert_eq!(answer("{} {}").unwrap_err(), Problem::Malformed);
    }

    #[test]
    fn only_an_object_is_taken() {
        for text in [
            "",
            "[]",
            " [{}]",
            "1",
            "\"a\"",
            "null",
            "{",
            "{} {}",
            r#"{"x":1e999}"#,
            r#"{"x":tru}"#,
            "{\"x\":\"\n\"}",
        ] {
            assert_eq!(read(text).unwrap_err(), Problem::Malformed, "{text}");
        }
    }

    #[test]
    fn deep_nesting_does_not_exhaust_the_stack() {
        for name in ["a", "x"] {
            let text = format!(r#"{{"{name}":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
            assert_eq!(read(&text).unwrap_err(), Problem::Malformed);
        }
    }

    #[test]
    fn members_are_the_same_whether_built_at_once_or_later() {
        let text =
            r#"{"a":["x",{"y":null}],"b":-1,"c":1.5,"d":{"e":true},"f":"\u00e4","g":18446744073709551615}"#;
        let whole: serde_json::Value = serde_json::from_str(text).unwrap();
        let object = read(text).unwrap();
        for name in ["a", "b", "c", "d", "e", "f", "g"] {
            assert_eq!(object.member(name), whole.get(name), "{name}");
        }
        assert_eq!(Some(object.whole()), whole.as_object());
    }
}
