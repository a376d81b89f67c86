//! The encodings that both doubles speak: form values, JSON for HTML, times and durations as Go writes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Number, Value};

/// Base64 of [RFC 4648, section 5](https://www.rfc-editor.org/rfc/rfc4648#section-5), without padding.
pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// One value of a form or a query.
pub(crate) fn form_value(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

pub(crate) fn form<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

pub(crate) fn from_form(text: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text).into_owned().collect()
}

/// Undoes percent-encoding in a path; a plus sign stays one.
pub(crate) fn from_path(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| path.get(at + 1..at + 3)).flatten();
        if let Some(byte) = escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            out.push(byte);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

pub(crate) fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Go's encoder escapes these three, so that JSON can stand inside HTML.
pub(crate) fn go_json(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// Numbers as the servers hand them back: stored as 64-bit floats, whole ones written without an exponent.
///
/// 12345678901234567890 comes back as 12345678901234567000, 1e3 as 1000.
pub(crate) fn go_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(go_number(number)),
        Value::Array(items) => items.into_iter().map(go_numbers).collect(),
        Value::Object(fields) => fields.into_iter().map(|(key, value)| (key, go_numbers(value))).collect(),
        other => other,
    }
}

fn go_number(number: Number) -> Number {
    let Some(float) = number.as_f64() else { return number };
    if float.fract() != 0.0 || float.abs() >= 1e21 {
        return number;
    }
    let text = float.to_string();
    let whole = text.parse::<u64>().map(Number::from).or_else(|_| text.parse::<i64>().map(Number::from));
    whole.unwrap_or(number)
}

pub(crate) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A time as [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) with as many digits as it needs, in UTC.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = match since.subsec_nanos() {
        0 => String::new(),
        nanos => format!(".{nanos:09}").trim_end_matches('0').to_owned(),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Year, month and day of a day since 1970, counted in eras of 400 years that begin in March.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// A duration as Go prints it: `1h0m0s`, `1m30s`, `4s`.
pub(crate) fn go_duration(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

/// A duration as the warnings print it: without the units that are zero at its end, `768h`, `1h30m`.
pub(crate) fn short_duration(seconds: u64) -> String {
    let text = go_duration(seconds);
    let text = text.strip_suffix("m0s").map_or(text.clone(), |head| format!("{head}m"));
    text.strip_suffix("h0m").map_or(text.clone(), |head| format!("{head}h"))
}

/// Seconds from what a request may say: a number, `"60"`, `"1h30m"`, `"1.5h"` or `"1d"`.
///
/// `Err` carries the text that could not be read.
pub(crate) fn seconds(value: &Value) -> Result<i64, String> {
    match value {
        Value::Null => Ok(0),
        Value::Number(number) => number.as_f64().map(whole).ok_or_else(|| number.to_string()),
        Value::String(text) => seconds_of(text).ok_or_else(|| text.clone()),
        other => Err(other.to_string()),
    }
}

fn seconds_of(text: &str) -> Option<i64> {
    let (negative, mut rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    if rest.is_empty() {
        return (!negative).then_some(0);
    }
    let mut total = 0.0;
    if let Ok(plain) = rest.parse::<u32>() {
        total = f64::from(plain);
        rest = "";
    }
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let count: f64 = rest[..unit_at].parse().ok()?;
        let after = &rest[unit_at..];
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        total += count
            * match &after[..unit_end] {
                "d" => 86_400.0,
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &after[unit_end..];
    }
    Some(whole(if negative { -total } else { total }))
}

#[expect(clippy::cast_possible_truncation, reason = "the servers cut fractions of seconds off as well")]
fn whole(seconds: f64) -> i64 {
    seconds as i64
}

/// What is left from `now` until `then`, cut to whole seconds; zero when it is over.
pub(crate) fn remaining(then: SystemTime, now: SystemTime) -> u64 {
    then.duration_since(now).unwrap_or(Duration::ZERO).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_written_with_the_digits_they_need() {
        assert_eq!(rfc3339(UNIX_EPOCH), "1970-01-01T00:00:00Z");
        let time = UNIX_EPOCH + Duration::new(1_795_399_303, 316_114_610);
        assert_eq!(rfc3339(time), "2026-11-23T02:01:43.31611461Z");
        assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(951_782_400)), "2000-02-29T00:00:00Z");
    }

    #[test]
    fn durations_are_read_in_all_their_spellings() {
        for (value, expected) in [
            (json!(60), 60),
            (json!("60"), 60),
            (json!("1.5h"), 5400),
            (json!("1d"), 86_400),
            (json!("1h30m10s"), 5410),
            (json!("-5s"), -5),
            (json!(""), 0),
        ] {
            assert_eq!(seconds(&value), Ok(expected), "{value}");
        }
        assert_eq!(seconds(&json!("nope")), Err("nope".to_owned()));
        assert_eq!(seconds(&json!("1x")), Err("1x".to_owned()));
    }

    #[test]
    fn durations_are_written_as_go_does() {
        assert_eq!(go_duration(3600), "1h0m0s");
        assert_eq!(go_duration(0), "0s");
        assert_eq!(short_duration(768 * 3600), "768h");
        assert_eq!(short_duration(5400), "1h30m");
        assert_eq!(short_duration(600), "10m");
        assert_eq!(short_duration(4), "4s");
        assert_eq!(short_duration(3601), "1h0m1s");
    }

    #[test]
    fn integers_beyond_two_to_the_53_are_rounded() {
        assert_eq!(go_numbers(json!(12_345_678_901_234_567_890_u64)), json!(12_345_678_901_234_567_000_u64));
        assert_eq!(go_numbers(json!(1e3)).to_string(), "1000");
        assert_eq!(go_numbers(json!([1.5, -3])).to_string(), "[1.5,-3]");
    }

    #[test]
    fn a_path_keeps_its_plus_signs_and_broken_escapes() {
        assert_eq!(from_path("/a%2Fb+c%zz%4"), "/a/b+c%zz%4");
    }
}
