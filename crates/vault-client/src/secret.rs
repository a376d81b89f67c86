//! The data of a secret: exactly as it came, in memory that is wiped.

use std::fmt;
use std::ops::Range;

use latchkey_transport::{Reply, json};
use serde::Deserialize;
use serde::de::{self, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::{Error, ValueKind};

/// The data of a secret: a JSON object whose values stay as the server sent them, so that
/// `12345678901234567890.50` is still that.
///
/// It lives in the reply's own memory, which is wiped when it is dropped. `Debug` shows the names of the fields and
/// none of the values.
#[derive(Clone)]
pub struct Data {
    /// The whole body of the reply.
    body: Zeroizing<String>,
    /// Where in it the data is.
    span: Range<usize>,
    /// Names and texts that had escapes, without them.
    unescaped: Zeroizing<String>,
    fields: Vec<Field>,
}

#[derive(Clone)]
struct Field {
    name: Text,
    raw: Range<usize>,
    /// What the value is as a text, or why it is none.
    text: Result<Text, ValueKind>,
}

#[derive(Clone)]
enum Text {
    InBody(Range<usize>),
    Unescaped(Range<usize>),
}

impl Data {
    /// Takes over a reply's body, in which `data` is what [`find`](Data::find) found.
    pub(crate) fn new(reply: Reply, span: Option<Range<usize>>) -> Option<Self> {
        let mut bytes = reply.into_body().into_zeroizing();
        let text = String::from_utf8(std::mem::take(&mut *bytes));
        let body = match text {
            Ok(text) => Zeroizing::new(text),
            Err(error) => {
                *bytes = error.into_bytes();
                return None;
            }
        };
        let (unescaped, fields) = match &span {
            Some(span) => index(&body, body.get(span.clone())?)?,
            None => Default::default(),
        };
        Some(Self { span: span.unwrap_or_default(), body, unescaped, fields })
    }

    /// Returns where in a reply's body a part of it is.
    pub(crate) fn find(reply: &Reply, part: Option<&RawValue>) -> Option<Range<usize>> {
        part.map(|part| offset(reply.body(), part.get()))
    }

    /// Returns the names of the fields, as the server orders them.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| self.show(&field.name))
    }

    /// Returns whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Returns the text of a field.
    ///
    /// Fails with [`Error::FieldMissing`], which names the fields that exist, or [`Error::FieldNotText`].
    pub fn text(&self, field: &str) -> Result<&str, Error> {
        match &self.field(field)?.text {
            Ok(text) => Ok(self.show(text)),
            Err(kind) => Err(Error::FieldNotText { field: field.to_owned(), kind: *kind }),
        }
    }

    /// Returns the value of a field as the JSON text that the server sent.
    ///
    /// Fails with [`Error::FieldMissing`].
    pub fn raw(&self, field: &str) -> Result<&str, Error> {
        let field = self.field(field)?;
        Ok(self.body.get(field.raw.clone()).unwrap_or_default())
    }

    /// Returns the whole as the JSON text that the server sent, `null` where there is nothing.
    pub fn json(&self) -> &str {
        match self.body.get(self.span.clone()) {
            Some(text) if !text.is_empty() => text,
            _ => "null",
        }
    }

    /// Returns the whole as a type of yours, which may borrow from the secret.
    ///
    /// ```
    /// # use latchkey_vault_client::{kv2::ReadSecret, Read};
    /// # use latchkey_transport::{Exchange, Reply};
    /// # let body = r#"{"data":{"data":{"user":"app","port":5432},"metadata":{"version":1,"created_time":""}}}"#;
    /// # let Read::Found(secret) = ReadSecret::new("secret", "db")?.receive(Reply::new(200, body))? else { panic!() };
    /// #[derive(serde::Deserialize)]
    /// struct Database<'a> {
    ///     user: &'a str,
    ///     port: u16,
    /// }
    /// let database: Database<'_> = secret.data().to()?;
    /// assert_eq!((database.user, database.port), ("app", 5432));
    /// # Ok::<(), latchkey_vault_client::Error>(())
    /// ```
    ///
    /// Fails with [`Error::WrongType`]. What serde says of it is left out, because it quotes values.
    pub fn to<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        serde_json::from_str(self.json())
            .map_err(|error| Error::WrongType { line: error.line(), column: error.column() })
    }

    fn field(&self, name: &str) -> Result<&Field, Error> {
        // The last one of a name counts, as for every JSON parser of the servers.
        self.fields.iter().rev().find(|field| self.show(&field.name) == name).ok_or_else(|| {
            Error::FieldMissing { field: name.to_owned(), fields: self.fields().map(str::to_owned).collect() }
        })
    }

    fn show(&self, text: &Text) -> &str {
        match text {
            Text::InBody(range) => self.body.get(range.clone()),
            Text::Unescaped(range) => self.unescaped.get(range.clone()),
        }
        .unwrap_or_default()
    }
}

/// Shows the names of the fields.
impl fmt::Debug for Data {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Data")?;
        formatter.debug_set().entries(self.fields()).finish()
    }
}

/// Finds the fields of `data`, a part of `body`. Data that is no object has none.
fn index(body: &str, data: &str) -> Option<(Zeroizing<String>, Vec<Field>)> {
    let mut index = Index { body, room: data.len(), unescaped: Zeroizing::default(), fields: Vec::new() };
    if data.starts_with('{') {
        json::object(data, &mut index).ok()?;
    }
    Some((index.unescaped, index.fields))
}

/// Notes where each field is, while the parser goes over them.
struct Index<'a> {
    body: &'a str,
    room: usize,
    unescaped: Zeroizing<String>,
    fields: Vec<Field>,
}

impl<'de> Visitor<'de> for &mut Index<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            let mut text = |raw| text_of(self.body, self.room, raw, &mut self.unescaped);
            let name = text(name.get()).map_err(de::Error::custom)?;
            let text = text(value.get());
            self.fields.push(Field { name, raw: offset(self.body.as_bytes(), value.get()), text });
        }
        Ok(())
    }
}

/// Returns where the text of a JSON string is, after writing it down without escapes if it has any.
fn text_of(body: &str, room: usize, raw: &str, unescaped: &mut Zeroizing<String>) -> Result<Text, ValueKind> {
    let kind = match raw.as_bytes().first() {
        Some(b'"') => ValueKind::BrokenText,
        Some(b'{') => ValueKind::Object,
        Some(b'[') => ValueKind::List,
        Some(b't' | b'f') => ValueKind::Boolean,
        Some(b'n') => ValueKind::Null,
        _ => ValueKind::Number,
    };
    let Some(inner) = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')) else { return Err(kind) };
    if !inner.contains('\\') {
        return Ok(Text::InBody(offset(body.as_bytes(), inner)));
    }
    // All texts together are shorter than the data, so this memory never moves and leaves no copy behind.
    let start = unescaped.len();
    unescaped.reserve_exact(room.saturating_sub(start));
    unescape(inner, unescaped).ok_or(kind)?;
    Ok(Text::Unescaped(start..unescaped.len()))
}

/// Appends the text of a JSON string (RFC 8259, 7), or returns `None` where it is not Unicode.
fn unescape(inner: &str, out: &mut String) -> Option<()> {
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        out.push_str(rest.get(..at)?);
        rest = rest.get(at + 1..)?;
        let escape = rest.chars().next()?;
        rest = rest.get(1..)?;
        out.push(match escape {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let (first, after) = hex(rest)?;
                rest = after;
                match first {
                    0xd800..0xdc00 => {
                        let (second, after) = hex(rest.strip_prefix("\\u")?)?;
                        rest = after;
                        let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + low)?
                    }
                    _ => char::from_u32(first)?,
                }
            }
            other => other,
        });
    }
    out.push_str(rest);
    Some(())
}

fn hex(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}

/// Returns where in `whole` its own part is. Both come from one parse, so the part is inside.
fn offset(whole: &[u8], part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    start..start + part.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(json: &str) -> Data {
        let reply = Reply::new(200, format!(r#"  {{"before":"x", "data": {json}, "after":[]}}"#));
        let text = std::str::from_utf8(reply.body()).unwrap();
        let start = text.find(json).unwrap();
        Data::new(reply, Some(start..start + json.len())).unwrap()
    }

    #[test]
    fn values_are_what_the_server_sent() {
        let json =
            r#"{"n":12345678901234567890.50,"e":1E+400,"o":{"a": [1, 2 ]},"s":"a\u0026b","t":true,"z":null}"#;
        let data = data(json);
        assert_eq!(data.json(), json);
        for (field, raw) in [
            ("n", "12345678901234567890.50"),
            ("e", "1E+400"),
            ("o", r#"{"a": [1, 2 ]}"#),
            ("s", r#""a\u0026b""#),
            ("t", "true"),
            ("z", "null"),
        ] {
            assert_eq!(data.raw(field).unwrap(), raw);
        }
    }

    #[test]
    fn texts_come_without_escapes() {
        for (json, text) in [
            (r#""plain""#, "plain"),
            (r#""""#, ""),
            (r#""a\u0026b\u003cc\u003E""#, "a&b<c>"),
            (r#""-----BEGIN\nKEY\r\n\t\"x\"\\ \/ \b\f""#, "-----BEGIN\nKEY\r\n\t\"x\"\\ / \u{8}\u{c}"),
            (r#""\ud83d\ude00é😀\u2028\u0000""#, "😀é😀\u{2028}\0"),
            (r#""\uFFFF\ud800\udc00\udbff\udfff""#, "\u{ffff}\u{10000}\u{10ffff}"),
            (r#""\\u0041""#, "\\u0041"),
        ] {
            assert_eq!(data(&format!(r#"{{"f":{json},"g":{json}}}"#)).text("g").unwrap(), text, "{json}");
            let expected: String = serde_json::from_str(json).unwrap();
            assert_eq!(expected, text, "serde_json reads the same");
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_no_text_and_hurts_no_other_field() {
        for half in
            [r"\ud800", r"\udc00", r"\ud800x", r"\ud800\n", r"\ud800\u0041", r"\ud800\ue000", r"\ud800\ud800"]
        {
            let data = data(&format!(r#"{{"a":"\n1","b":"\n{half}","c":"\n3"}}"#));
            let broken = data.text("b");
            assert!(matches!(broken, Err(Error::FieldNotText { kind: ValueKind::BrokenText, .. })), "{half}");
            assert_eq!((data.text("a").unwrap(), data.text("c").unwrap()), ("\n1", "\n3"));
        }
    }

    #[test]
    fn names_may_have_escapes_too() {
        let data = data(r#"{"a\u0026b":"1","c":"2","":"3"}"#);
        assert_eq!(data.fields().collect::<Vec<_>>(), ["a&b", "c", ""]);
        assert_eq!((data.text("a&b").unwrap(), data.text("").unwrap()), ("1", "3"));
    }

    #[test]
    fn the_last_of_two_fields_of_one_name_counts() {
        assert_eq!(data(r#"{"a":"1","a":"2"}"#).text("a").unwrap(), "2");
    }

    #[test]
    fn what_is_no_text_says_what_it_is() {
        let data = data(r#"{"n":-1,"o":{},"l":[],"t":true,"f":false,"z":null}"#);
        for (field, expected) in [
            ("n", ValueKind::Number),
            ("o", ValueKind::Object),
            ("l", ValueKind::List),
            ("t", ValueKind::Boolean),
            ("f", ValueKind::Boolean),
            ("z", ValueKind::Null),
        ] {
            assert!(
                matches!(data.text(field), Err(Error::FieldNotText { kind, .. }) if kind == expected),
                "{field}"
            );
        }
    }

    #[test]
    fn a_missing_field_names_those_that_exist() {
        let data = data(r#"{"user":"hush","pass\nword":"hush"}"#);
        let error = data.text("password").unwrap_err();
        assert_eq!(error.to_string(), r#"the secret has no field "password"; it has "user", "pass\nword""#);
        assert!(matches!(data.raw("password"), Err(Error::FieldMissing { fields, .. }) if fields.len() == 2));
    }

    #[test]
    fn a_type_that_does_not_fit_is_told_by_its_place_only() {
        let error = data(r#"{"port":"hush"}"#).to::<std::collections::BTreeMap<String, u16>>().unwrap_err();
        assert!(matches!(error, Error::WrongType { line: 1, column } if column > 0));
        assert!(!format!("{error} {error:?}").contains("hush"));
    }

    #[test]
    fn a_type_may_borrow_from_the_secret() {
        #[derive(Deserialize)]
        struct Database<'a> {
            user: &'a str,
            port: u16,
        }
        let data = data(r#"{"user":"app","port":5432}"#);
        let database: Database<'_> = data.to().unwrap();
        assert_eq!((database.user, database.port), ("app", 5432));
    }

    #[test]
    fn debug_shows_names_only() {
        assert_eq!(format!("{:?}", data(r#"{"user":"hush","n":42}"#)), r#"Data{"user", "n"}"#);
    }

    #[test]
    fn memory_with_texts_never_moves() {
        let many: Vec<String> =
            (0..500).map(|number| format!(r#""k\n{number}":"\u0041\n{number}""#)).collect();
        let json = format!("{{{}}}", many.join(","));
        let data = data(&json);
        assert_eq!(data.unescaped.capacity(), json.len());
        assert_eq!(data.text("k\n499").unwrap(), "A\n499");
    }

    #[test]
    fn data_that_is_no_object_has_no_fields_but_stays() {
        for json in ["[1,2]", "7", "\"text\"", "true"] {
            let data = data(json);
            assert!(data.is_empty());
            assert_eq!(data.json(), json);
        }
    }
}
