//! Merging a patch into a JSON text (RFC 7396), value by value as they were written: no number is read and written
//! anew.

use std::borrow::Cow;
use std::fmt;

use latchkey_transport::json;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// Returns the JSON text `target` with `patch` merged into it, or `None` where one of them is no JSON.
///
/// "If the provided merge patch contains members that do not appear within the target, those members are added. If the
/// target does contain the member, the value is replaced. Null values in the merge patch are given special meaning to
/// indicate the removal of existing values in the target" (section 1).
pub(crate) fn merge(target: &str, patch: &str) -> Option<Zeroizing<String>> {
    // The result is never longer than both with a comma between them, so the memory never moves.
    let mut merged = Zeroizing::new(String::with_capacity(target.len() + patch.len() + 1));
    write(&mut merged, target, patch)?;
    Some(merged)
}

/// Returns whether two JSON texts mean the same, whatever the order of their fields and the space between them.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    match (fields(one), fields(other)) {
        (Some(one), Some(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| {
                    other.iter().any(|(this, that)| this == name && is_same(value, that))
                })
        }
        (None, None) => one == other,
        _ => false,
    }
}

/// Returns the JSON object `target` with the fields of the JSON object `fields` in place of its own of these names, each
/// as it was written; `None` where one of them is no object.
pub(crate) fn put(target: &str, fields: &str) -> Option<Zeroizing<String>> {
    let (old, new) = (self::fields(target)?, self::fields(fields)?);
    let kept = old.iter().filter(|(name, _)| !new.iter().any(|(this, _)| this == name));
    object(kept.chain(&new), target.len() + fields.len() + 1)
}

/// Returns the JSON object `target` without a field; `None` where it has none of that name.
pub(crate) fn without(target: &str, field: &str) -> Option<Zeroizing<String>> {
    let fields = fields(target)?;
    fields.iter().find(|(name, _)| name == field)?;
    object(fields.iter().filter(|(name, _)| name != field), target.len())
}

/// Writes fields as an object, into memory that never moves.
fn object<'a>(
    fields: impl Iterator<Item = &'a (Cow<'a, str>, &'a str)>,
    room: usize,
) -> Option<Zeroizing<String>> {
    // Never longer than what it is made of with a comma in between.
    let mut out = Zeroizing::new(String::with_capacity(room));
    out.push('{');
    for (index, (name, value)) in fields.enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_text(&mut out, name)?;
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    Some(out)
}

fn write(out: &mut String, target: &str, patch: &str) -> Option<()> {
    let Some(changes) = fields(patch) else {
        out.push_str(patch);
        return Some(());
    };
    let kept = fields(target).unwrap_or_default();
    let mut is_first = true;
    let mut begin = |out: &mut String, name: &str| {
        out.push(if std::mem::take(&mut is_first) { '{' } else { ',' });
        push_text(out, name)?;
        out.push(':');
        Some(())
    };
    for (name, value) in &kept {
        match changes.iter().find(|(changed, _)| changed == name) {
            None => {
                begin(out, name)?;
                out.push_str(value);
            }
            Some((_, "null")) => {}
            Some((_, change)) => {
                begin(out, name)?;
                write(out, value, change)?;
            }
        }
    }
    for (name, change) in changes
        .iter()
        .filter(|(name, change)| *change != "null" && !kept.iter().any(|(kept, _)| kept == name))
    {
        begin(out, name)?;
        write(out, "null", change)?;
    }
    out.push_str(if is_first { "{}" } else { "}" });
    Some(())
}

/// Writes a text as a JSON string.
fn push_text(out: &mut String, text: &str) -> Option<()> {
    let written = Zeroizing::new(serde_json::to_string(text).ok()?);
    out.push_str(&written);
    Some(())
}

type Fields<'a> = Vec<(Cow<'a, str>, &'a str)>;

/// Returns the fields of a JSON object, the last one of each name; `None` for anything else.
fn fields(json: &str) -> Option<Fields<'_>> {
    struct Object;

    impl<'de> Visitor<'de> for Object {
        type Value = Fields<'de>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
            let mut fields = Fields::new();
            while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &RawValue>()? {
                fields.retain(|(known, _)| *known != name);
                fields.push((name, value.get()));
            }
            Ok(fields)
        }
    }

    if !json.trim_start().starts_with('{') {
        return None;
    }
    json::object(json, Object).ok()
}

#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_merged_as_the_rfc_shows() {
        // RFC 7396, appendix A.
        for (target, patch, expected) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
            (r#"{"a":"foo"}"#, "null", "null"),
            (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            assert_eq!(merge(target, patch).unwrap().as_str(), expected, "{target} {patch}");
        }
    }

    #[test]
    fn what_the_patch_does_not_name_stays_as_it_was_written() {
        let merged = merge(
            r#"{ "n":12345678901234567890.50, "e\u0026":1E+400 ,"o":{"x":1.0}}"#,
            r#"{"o":{"y":2.00}}"#,
        );
        assert_eq!(
            merged.unwrap().as_str(),
            r#"{"n":12345678901234567890.50,"e&":1E+400,"o":{"x":1.0,"y":2.00}}"#
        );
    }

    #[test]
    fn a_field_that_stands_twice_counts_once() {
        assert_eq!(merge(r#"{"a":1,"a":2}"#, r#"{"b":3,"b":4}"#).unwrap().as_str(), r#"{"a":2,"b":4}"#);
    }

    #[test]
    fn the_order_of_fields_makes_no_difference() {
        assert!(is_same(r#"{"a":1,"b":{"c":2,"d":3}}"#, r#"{"b":{"d":3, "c":2},"a":1}"#));
        for other in [r#"{"a":1}"#, r#"{"a":1,"b":3}"#, r#"{"a":1,"b":2,"c":3}"#, "[]", "1"] {
            assert!(!is_same(r#"{"a":1,"b":2}"#, other), "{other}");
        }
        assert!(is_same("1", "1") && !is_same("1", "1.0"));
    }

    #[test]
    fn broken_json_merges_into_nothing_but_itself() {
        assert_eq!(merge("{broken", r#"{"a":1}"#).unwrap().as_str(), r#"{"a":1}"#);
    }

    #[test]
    fn fields_are_put_in_place_as_a_whole() {
        for (target, fields, expected) in [
            ("{}", r#"{"a":1}"#, r#"{"a":1}"#),
            (r#"{"a":1.10,"b":{"x":1}}"#, r#"{"b":{"y":2},"c":null}"#, r#"{"a":1.10,"b":{"y":2},"c":null}"#),
            (r#"{"a":1}"#, "{}", r#"{"a":1}"#),
        ] {
            assert_eq!(put(target, fields).unwrap().as_str(), expected);
        }
        assert!(put("[]", "{}").is_none() && put("{}", "[]").is_none() && put("{}", "null").is_none());
    }

    #[test]
    fn a_field_is_taken_out() {
        assert_eq!(without(r#"{"a":1,"b":2}"#, "a").unwrap().as_str(), r#"{"b":2}"#);
        assert_eq!(without(r#"{"a":1}"#, "a").unwrap().as_str(), "{}");
        assert!(without(r#"{"a":1}"#, "b").is_none() && without("null", "b").is_none());
    }

    #[test]
    fn the_merged_text_never_moves() {
        let target =
            format!("{{{}}}", (0..200).map(|n| format!(r#""k{n}":"v""#)).collect::<Vec<_>>().join(","));
        let patch = target.replace(r#""v""#, r#""w""#).replace("\"k", "\"j");
        let merged = merge(&target, &patch).unwrap();
        assert_eq!(merged.capacity(), target.len() + patch.len() + 1);
    }
}
