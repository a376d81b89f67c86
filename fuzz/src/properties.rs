//! What the property tests share: texts with every sign there is, JSON of every form, and how many cases are tried.

use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use serde_json::Value;

/// 64 cases each, or as many as `PROPTEST_CASES` says.
pub(crate) fn config() -> Config {
    let chosen = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    Config { cases: chosen.unwrap_or(64), failure_persistence: None, ..Config::default() }
}

/// A text of any signs, control signs and those that turn the direction of writing among them.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let sign = prop_oneof![
        4 => any::<char>(),
        4 => proptest::char::range(' ', '~'),
        1 => proptest::sample::select(vec!['\0', '\n', '\r', '\t', '\u{202e}', '\u{200b}', '\u{feff}', '&', '=', '%', '+', '#']),
    ];
    vec(sign, 0..24).prop_map(String::from_iter)
}

/// The same, with something in it.
pub(crate) fn some_text() -> impl Strategy<Value = String> {
    text().prop_filter("something is in it", |text| !text.is_empty())
}

/// JSON of any form, three levels deep.
pub(crate) fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Few enough digits for `serde_json` to read back the very same number.
        any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((text(), inner), 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Members that no specification names.
pub(crate) fn strange_members() -> impl Strategy<Value = Vec<(String, Value)>> {
    vec((text().prop_map(|name| format!("x-{name}")), json()), 0..4)
}

/// The object with these members put into it, or put in the place of its own.
pub(crate) fn with(mut object: Value, members: &[(String, Value)]) -> Value {
    for (name, value) in members {
        object[name] = value.clone();
    }
    object
}

/// The JSON of an object in which every name and every text is written in escapes, and which reads the same.
pub(crate) fn escaped(object: &Value) -> String {
    match object {
        Value::String(text) => {
            let mut written = String::from("\"");
            for unit in text.encode_utf16() {
                let _ = write!(written, "\\u{unit:04x}");
            }
            written + "\""
        }
        Value::Array(items) => format!("[{}]", items.iter().map(escaped).collect::<Vec<_>>().join(" ,\n")),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                format!("{}\t:{}", escaped(&Value::from(name.as_str())), escaped(value))
            };
            format!(" {{{} }} ", members.iter().map(member).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

/// Year, month, day, hour, minute and second of a time in seconds since 1970, by counting.
pub(crate) fn calendar(seconds: u64) -> [u64; 6] {
    let (mut days, rest) = (seconds / 86_400, seconds % 86_400);
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 0;
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    [year, month + 1, days + 1, rest / 3600, rest / 60 % 60, rest % 60]
}
