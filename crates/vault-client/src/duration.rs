//! Spans of time as the servers write them: Go's `3h25m0.5s`, or a number of seconds.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

/// Writes a span for a server, in whole seconds: rounded up, so that a span is never turned into "none".
pub(crate) fn written(span: Duration) -> String {
    format!("{}s", seconds(span))
}

/// Returns a span in whole seconds, rounded up.
pub(crate) fn seconds(span: Duration) -> u64 {
    let whole = span.as_secs();
    if span.subsec_nanos() > 0 { whole.saturating_add(1) } else { whole }
}

/// Reads a span of Go's `time.ParseDuration`, such as `1h30m`, `2.5s` or `300ms`, or a number of seconds as the
/// servers take it. A negative one is none, since nothing that is read here can be; nor is one that is longer than Go's
/// longest, 292 years: whoever adds it to a time would overflow.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    const LONGEST: Duration = Duration::from_nanos(i64::MAX.unsigned_abs());
    let span = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => go(text)?,
    };
    (span <= LONGEST).then_some(span)
}

/// Reads numbers that each have their unit.
fn go(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|sign: char| !sign.is_ascii_digit() && sign != '.')?;
        let (number, after) = rest.split_at_checked(digits)?;
        let end = after.find(|sign: char| sign.is_ascii_digit() || sign == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end)?;
        sum = sum.checked_add(part(number, unit)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(sum)
}

/// Returns a number with its unit as a span, exactly: no binary fraction is in between.
fn part(number: &str, unit: &str) -> Option<Duration> {
    let nanos: u64 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3600 * 1_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut sum = whole.checked_mul(nanos)?;
    let mut weight = nanos;
    for digit in fraction.bytes() {
        weight /= 10;
        sum = sum.checked_add(
            weight.checked_mul(u64::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?))?,
        )?;
    }
    Some(Duration::from_nanos(sum))
}

/// For fields that a server writes as `"3h25m0s"`, where zero means "none".
pub(crate) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let span = Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
    Ok(span.and_then(|text| parse(&text)).filter(|span| !span.is_zero()))
}

/// For fields that a server writes as a number of seconds.
pub(crate) fn of_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_secs)
}

/// The same for writing, rounded up.
pub(crate) fn as_seconds<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(seconds(*span))
}

/// For fields that a server writes as a number of seconds, where zero means "none".
pub(crate) fn optional_seconds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let seconds = Option::<u64>::deserialize(deserializer)?.unwrap_or_default();
    Ok((seconds > 0).then(|| Duration::from_secs(seconds)))
}

/// The same for writing: zero where there is none.
#[expect(clippy::ref_option, reason = "serde calls it so")]
pub(crate) fn as_optional_seconds<S: Serializer>(
    span: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(span.map_or(0, seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_go_reads_them() {
        for (text, millis) in [
            ("0s", 0),
            ("0", 0),
            ("60", 60_000),
            ("3h25m19s", 12_319_000),
            ("1.5h", 5_400_000),
            ("300ms", 300),
            (".5s", 500),
            ("5.s", 5_000),
            ("1m0.25s", 60_250),
            ("2000us", 2),
            ("768h0m0s", 2_764_800_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_span_is_none() {
        for text in [
            "",
            "s",
            ".s",
            "1x",
            "-1s",
            "1s ",
            " 1s",
            "1.2.3s",
            "1h2",
            "99999999999h",
            "1d",
            "١s",
            "+1s",
            "9223372037",
            "9223372037s",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn spans_are_written_in_whole_seconds_and_never_as_none() {
        assert_eq!(written(Duration::from_secs(3600)), "3600s");
        assert_eq!(written(Duration::from_millis(1)), "1s");
        assert_eq!(written(Duration::ZERO), "0s");
        assert_eq!(seconds(Duration::MAX), u64::MAX);
    }
}
