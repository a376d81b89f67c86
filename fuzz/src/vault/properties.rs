//! Structured inputs: what is written by the rules is read as it was written.

use std::collections::BTreeMap;
use std::time::Duration;

use latchkey_transport::{Exchange as _, Reply};
use latchkey_vault_client::kv2::{Cas, ReadSecret, WriteSecret};
use latchkey_vault_client::{Config, Error};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::{
    Data, duration, environment, expect_segments, expect_sound, made, path, refusal, reply, retry_after,
};
use crate::properties::{calendar, config, escaped, json, some_text, strange_members, text, with};

fn data(body: String) -> Data {
    let read = made(made(ReadSecret::new("secret", "a")).receive(Reply::new(200, body)));
    made(read.found().ok_or("a secret")).data().clone()
}

fn envelope(data: &Value) -> Value {
    json!({"request_id": "r", "data": {"data": data, "metadata": {"version": 1, "created_time": ""}}})
}

/// A name that a path can have.
fn segment() -> impl Strategy<Value = String> {
    some_text()
        .prop_map(|text| text.replace(|sign: char| sign == '/' || sign.is_control(), "_"))
        .prop_filter("it leads nowhere else", |text| text != "." && text != "..")
}

/// Any status of a refusal, those with a meaning of their own more often.
fn status() -> impl Strategy<Value = u16> {
    prop_oneof![400..600_u16, select(&[401, 403, 404, 405, 412, 413, 415, 429, 472, 473, 474, 501][..])]
}

fn is_refused(read: &Result<ReadSecret, Error>) -> bool {
    matches!(read, Err(Error::InvalidPath { .. }))
}

fn config_of(variables: &[(String, String)]) -> Result<Config, Error> {
    Config::from_environment(|name| {
        variables.iter().find(|(this, _)| this == name).map(|(_, value)| value.clone())
    })
}

fn at(small: u64) -> usize {
    made(small.try_into())
}

/// RFC 9110, 5.6.7, as servers write it.
fn http_date(seconds: u64) -> String {
    let [year, month, day, hour, minute, second] = calendar(seconds);
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][at(seconds / 86_400 % 7)];
    let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = names[at(month - 1)];
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

fn pause(retry_after: &str, date: &str) -> Option<Duration> {
    let reply = Reply::new(429, "").with_header("retry-after", retry_after).with_header("date", date);
    match made(ReadSecret::new("secret", "a")).receive(reply) {
        Err(Error::RateLimited { retry_after }) => retry_after,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn data_comes_out_as_it_went_in(fields in btree_map(text(), json(), 0..6), strange in strange_members()) {
        let whole = with(envelope(&json!(fields)), &strange);
        for body in [whole.to_string(), escaped(&whole)] {
            let data = data(body);
            prop_assert_eq!(serde_json::from_str::<BTreeMap<String, Value>>(data.json()).ok(), Some(fields.clone()));
            prop_assert_eq!(data.fields().count(), fields.len());
            for (name, value) in &fields {
                let raw: Value = serde_json::from_str(made(data.raw(name))).unwrap_or_default();
                prop_assert_eq!(&raw, value);
                prop_assert_eq!(data.text(name).ok(), value.as_str());
            }
        }
    }

    #[test]
    fn a_number_stays_digit_by_digit_as_it_came(number in "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?") {
        let body = envelope(&json!({"n": 0})).to_string().replacen("{\"n\":0}", &format!("{{\"n\":{number}}}"), 1);
        let data = data(body);
        prop_assert_eq!(made(data.raw("n")), number.as_str());
    }

    #[test]
    fn any_reply_is_read_or_refused(status in 100..600_u16, body in json(), inner in json()) {
        for body in [body.to_string(), escaped(&envelope(&inner)), json!({"auth": inner, "warnings": body}).to_string()] {
            reply(format!("{status}\n{body}").as_bytes());
        }
    }

    #[test]
    fn what_a_server_says_is_shown_clean_and_without_what_was_sent(
        status in 300..600_u16,
        said in vec((text(), 0..80_usize), 0..10),
    ) {
        let said: Vec<_> = said.into_iter().map(|(text, times)| format!("{text}SENT{}", text.repeat(times))).collect();
        refusal(format!("{status}\n{}", json!({"errors": said})).as_bytes());
    }

    #[test]
    fn a_refusal_is_told_by_its_status_whatever_is_said(status in status(), said in vec("[xyz]{1,20}", 1..3)) {
        let reply = Reply::new(status, json!({"errors": said}).to_string());
        let Err(error) = made(WriteSecret::new("secret", "a", &json!({}), Cas::None)).receive(reply) else { return Err(TestCaseError::fail("it was taken")) };
        expect_sound(&error);
        let is_told = match status {
            401 | 403 => matches!(error, Error::PermissionDenied(_)),
            404 => matches!(error, Error::NotFound(_)),
            405 => matches!(error, Error::UnsupportedOperation(_)),
            412 => matches!(error, Error::PreconditionFailed(_)),
            413 => matches!(error, Error::PayloadTooLarge(_)),
            415 => matches!(error, Error::UnsupportedMediaType(_)),
            429 => matches!(error, Error::RateLimited { .. }),
            472..=474 => matches!(error, Error::NotActive { .. }),
            501 => matches!(error, Error::Uninitialised),
            500.. => matches!(error, Error::ServerFault(_)),
            _ => matches!(error, Error::InvalidRequest(_)),
        };
        prop_assert!(is_told, "{} {:?}", status, error);
    }

    #[test]
    fn a_path_is_sent_name_by_name(mount in vec(segment(), 1..3), names in vec(segment(), 1..5), slashes in any::<[bool; 2]>()) {
        let [before, after] = slashes.map(|slash| if slash { "/" } else { "" });
        let (mount, names) = (mount.join("/"), names.join("/"));
        let request = made(ReadSecret::new(&format!("{mount}{after}"), &format!("{before}{names}"))).request();
        expect_segments(request.path(), &["v1", &mount, "data", &names]);
        path(format!("{mount}\n{names}\nteam").as_bytes());
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_refused(
        names in vec(segment(), 2..5),
        bad in select(&["", ".", "..", "\n", "a\u{0}b", "\u{7f}", "\u{85}"][..]),
        at in any::<Index>(),
    ) {
        let mut names = names;
        // An empty name at either end is the slash that is tolerated there.
        names.insert(1 + at.index(names.len() - 1), bad.to_owned());
        prop_assert!(is_refused(&ReadSecret::new("secret", &names.join("/"))));
        prop_assert!(is_refused(&ReadSecret::new(&names.join("/"), "a")));
    }

    #[test]
    fn a_pause_is_as_long_as_the_server_wants(seconds in any::<u64>(), until in 0..253_402_300_800_u64, date in 0..253_402_300_800_u64) {
        prop_assert_eq!(pause(&format!(" {seconds} "), ""), Some(Duration::from_secs(seconds)));
        let expected = Some(Duration::from_secs(until.saturating_sub(date)));
        prop_assert_eq!(pause(&http_date(until), &http_date(date)), expected);
        prop_assert_eq!(pause(&http_date(until), ""), None, "this machine's clock does not count");
    }

    #[test]
    fn any_pause_is_read_or_passed_over(after in text(), date in text()) {
        retry_after(format!("{after}\n{date}").as_bytes());
    }

    #[test]
    fn what_the_environment_says_is_taken(
        host in "[a-z][a-z0-9]{0,20}",
        port in 1..u16::MAX,
        token in "[!-~]{1,40}",
        namespace in "[a-z]{1,8}(/[a-z]{1,8}){0,2}",
        (timeout, retries) in (0..1_000_000_u64, any::<u32>()),
        bao in any::<[bool; 5]>(),
    ) {
        let values = [
            ("ADDR", format!("https://{host}:{port}")),
            ("TOKEN", format!("{token}\n")),
            ("NAMESPACE", namespace.clone()),
            ("CLIENT_TIMEOUT", format!("{timeout}s")),
            ("MAX_RETRIES", retries.to_string()),
        ];
        let mut variables = Vec::new();
        for ((name, value), bao) in values.into_iter().zip(bao) {
            if bao {
                // The other name does not count then, whatever it says.
                variables.push((format!("VAULT_{name}"), "no value: at all".to_owned()));
            }
            variables.push((format!("{}_{name}", if bao { "BAO" } else { "VAULT" }), value));
        }
        let config = made(config_of(&variables));
        prop_assert_eq!(config.address.host_str(), Some(&*host));
        prop_assert_eq!(config.address.port_or_known_default(), Some(port));
        prop_assert!(config.token.is_some_and(|this| this.expose_secret() == token));
        prop_assert_eq!(config.namespace, Some(namespace));
        prop_assert_eq!(config.client_timeout, Some(Duration::from_secs(timeout)));
        prop_assert_eq!(config.max_retries, Some(retries));
    }

    #[test]
    fn any_environment_is_taken_or_named(values in vec((0..11_usize, text()), 0..6)) {
        const NAMES: [&str; 11] = [
            "ADDR", "TOKEN", "NAMESPACE", "CACERT", "CACERT_BYTES", "TLS_SERVER_NAME", "SKIP_VERIFY", "CLIENT_TIMEOUT",
            "MAX_RETRIES", "WRAP_TTL", "RATE_LIMIT",
        ];
        let lines = values.iter().map(|(name, value)| format!("VAULT_{}={value}", NAMES[*name]));
        environment(lines.collect::<Vec<_>>().join("\n").as_bytes());
    }

    #[test]
    fn a_span_is_the_sum_of_its_parts(parts in vec((0..100_000_u64, select(&["ns", "us", "µs", "ms", "s", "m", "h"][..])), 1..6)) {
        let nanos = |unit| match unit {
            "ns" => 1_u64,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            _ => 3_600_000_000_000,
        };
        let sum = parts.iter().map(|(number, unit)| u128::from(*number) * u128::from(nanos(unit))).sum::<u128>();
        let text = parts.iter().map(|(number, unit)| format!("{number}{unit}")).collect::<Vec<_>>().concat();
        let read = config_of(&[("VAULT_WRAP_TTL".to_owned(), text.clone())]).ok().and_then(|config| config.wrap_ttl);
        prop_assert_eq!(read.map(|span| span.as_nanos()), (sum <= i64::MAX as u128).then_some(sum));
        duration(text.as_bytes());
    }

    #[test]
    fn a_fraction_of_a_span_is_cut_at_the_nanosecond(whole in 0..1_000_u64, fraction in "[0-9]{1,12}") {
        let text = format!("{whole}.{fraction}s");
        let config = made(config_of(&[("BAO_CLIENT_TIMEOUT".to_owned(), text)]));
        let nanos: u32 = made(format!("{fraction:0<9}")[..9].parse());
        prop_assert_eq!(config.client_timeout, Some(Duration::new(whole, nanos)));
    }

    #[test]
    fn any_span_is_read_or_refused(text in text(), plain in "[0-9.hmsunµ+-]{0,20}") {
        duration(text.as_bytes());
        duration(plain.as_bytes());
    }
}
