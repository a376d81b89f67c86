//! What every reply has in common: the envelope of a good one, and a decoder for the others that never fails.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use latchkey_transport::{Body, Reply, Secret, json};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use url::{Position, Url};
use zeroize::Zeroizing;

use crate::messages::{Messages, Texts};
use crate::{Error, MountProblem, Refusal};

/// The media type of every body that is sent.
pub(crate) const JSON: &str = "application/json";

/// How many bytes of a list are read: 32 MiB, as much as servers take in one request. A hundred thousand names of
/// thirty letters are 3.3 MB.
pub(crate) const LIST_LIMIT: usize = 32 * 1024 * 1024;

/// The envelope of a good reply. Its parts stay as they came until somebody wants them.
#[derive(Deserialize)]
pub(crate) struct Envelope<'a> {
    #[serde(borrow, default)]
    request_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    auth: Option<&'a RawValue>,
    #[serde(borrow, default)]
    warnings: Option<&'a RawValue>,
    #[serde(borrow, default)]
    wrap_info: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    /// Returns the envelope of a 2xx reply, or the error that another one stands for.
    pub(crate) fn read(reply: &'a Reply, sent: &[&Secret], wanted: &'static str) -> Result<Self, Error> {
        if !reply.is_success() {
            return Err(refused(reply, sent));
        }
        Self::parse(reply).ok_or_else(|| malformed(reply, wanted))
    }

    /// Returns the envelope whatever the status, if there is one.
    pub(crate) fn parse(reply: &'a Reply) -> Option<Self> {
        json::from_slice(reply.body()).ok()
    }

    /// Returns the data as it came.
    pub(crate) fn data(&self) -> Option<&'a RawValue> {
        self.data
    }

    /// Returns whether the reply is none of the usual ones but data as a whole, as `sys/seal-status` answers.
    pub(crate) fn is_bare(&self) -> bool {
        self.request_id.is_none() && self.data.is_none() && self.auth.is_none()
    }

    /// Returns the data as a type, if it is one.
    pub(crate) fn data_as<T: Deserialize<'a>>(&self) -> Option<T> {
        json::from_raw(self.data?).ok()
    }

    /// Returns whether the reply has an auth block at all.
    pub(crate) fn has_auth(&self) -> bool {
        self.auth.is_some()
    }

    /// Returns the auth block as a type, if it is one.
    pub(crate) fn auth_as<T: Deserialize<'a>>(&self) -> Option<T> {
        json::from_raw(self.auth?).ok()
    }

    /// Returns whether the reply has an answer wrapped.
    pub(crate) fn has_wrap_info(&self) -> bool {
        self.wrap_info.is_some()
    }

    /// Returns what wraps the answer as a type, if it is one.
    pub(crate) fn wrap_info_as<T: Deserialize<'a>>(&self) -> Option<T> {
        json::from_raw(self.wrap_info?).ok()
    }

    /// Returns the warnings, cleaned of `sent`.
    pub(crate) fn warnings(&self, sent: &[&Secret]) -> Messages {
        self.warnings.map_or_else(Messages::default, |raw| Messages::cleaned(&Texts::read(raw), sent))
    }
}

/// Returns the error for a reply whose status is good but whose body is not.
pub(crate) fn malformed(reply: &Reply, wanted: &'static str) -> Error {
    Error::MalformedReply { status: reply.status(), length: reply.body().len(), wanted }
}

/// Takes any 2xx reply, whatever its body.
pub(crate) fn accept(reply: &Reply, sent: &[&Secret]) -> Result<(), Error> {
    if reply.is_success() { Ok(()) } else { Err(refused(reply, sent)) }
}

/// Returns whether a 404 says that there is nothing *at* a path that is served: `{"errors":[]}`, or an envelope
/// without data. A proxy's page says nothing of that kind.
pub(crate) fn is_absence(reply: &Reply) -> bool {
    let Some(said) = Said::parse(reply) else { return false };
    match said.errors {
        Some(errors) => json::from_raw::<[bool; 0]>(errors).is_ok(),
        None => said.request_id.is_some() && said.data.is_none() && !said.warns_of_versions(),
    }
}

/// Reads a list of names; where there is nothing servers answer 404.
pub(crate) fn keys(reply: &Reply) -> Result<Vec<String>, Error> {
    #[derive(Deserialize)]
    struct Keys {
        #[serde(default)]
        keys: Vec<String>,
    }
    const WANTED: &str = "a list";
    if reply.status() == 404 && is_absence(reply) {
        return Ok(Vec::new());
    }
    let envelope = Envelope::read(reply, &[], WANTED)?;
    let keys = envelope.data_as::<Keys>().ok_or_else(|| malformed(reply, WANTED))?;
    Ok(keys.keys)
}

/// For lists that servers write as `null` where they are empty.
pub(crate) fn list<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// For maps that servers write as `null` where they are empty.
pub(crate) fn map<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads a thing by its name: `None` where servers say that there is none.
pub(crate) fn thing<T: DeserializeOwned>(reply: &Reply, wanted: &'static str) -> Result<Option<T>, Error> {
    if reply.status() == 404 && is_absence(reply) {
        return Ok(None);
    }
    let envelope = Envelope::read(reply, &[], wanted)?;
    envelope.data_as().map(Some).ok_or_else(|| malformed(reply, wanted))
}

/// Returns the error that an unsuccessful reply stands for. It fails on no body: what is not Vault's form is left
/// out, and what is is cleaned of `sent`, the secrets that the request carried.
pub(crate) fn refused(reply: &Reply, sent: &[&Secret]) -> Error {
    let status = reply.status();
    let said = Said::parse(reply);
    let errors = said.as_ref().and_then(|said| said.errors).map(Texts::read).unwrap_or_default();
    let refusal = || Refusal { status, messages: Messages::cleaned(&errors, sent) };
    match status {
        307 | 472..=474 => Error::NotActive { leader: location_host(reply) },
        300..=399 => Error::Redirected { status, to: location_host(reply) },
        400 if errors.contain("missing client token") => Error::TokenInvalid(refusal()),
        400 if errors.contain("Upgrading from non-versioned to versioned") => {
            Error::MountUpgrading(refusal())
        }
        400 if errors.contain("check-and-set parameter did not match") => Error::CasMismatch(refusal()),
        400 if errors.contain("check-and-set parameter required") => Error::CasRequired(refusal()),
        403 if errors.say("invalid token") || errors.say("bad token") => Error::TokenInvalid(refusal()),
        401 | 403 => Error::PermissionDenied(refusal()),
        404 | 405 if said.as_ref().is_some_and(Said::warns_of_versions) => {
            Error::WrongMount { path: String::new(), problem: MountProblem::Versioned }
        }
        404 => Error::NotFound(refusal()),
        405 => Error::UnsupportedOperation(refusal()),
        412 => Error::PreconditionFailed(refusal()),
        413 => Error::PayloadTooLarge(refusal()),
        415 => Error::UnsupportedMediaType(refusal()),
        429 => Error::RateLimited { retry_after: retry_after(reply) },
        500 if errors.contain("exceeds allowed length") => Error::PayloadTooLarge(refusal()),
        501 => Error::Uninitialised,
        503 if errors.contain("not active") || errors.contain("no active") => {
            Error::NotActive { leader: None }
        }
        503 if errors.contain("is sealed") => Error::Sealed,
        503 if errors.contain("not initialized") => Error::Uninitialised,
        500.. => Error::ServerFault(refusal()),
        400..=499 => Error::InvalidRequest(refusal()),
        _ => malformed(reply, "a final reply"),
    }
}

/// Writes a value as JSON into memory that is made once, of the right size, and wiped: a buffer that grows would
/// leave copies behind.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<Body, Error> {
    let mut sink = Sink { length: 0, bytes: None };
    serde_json::to_writer(&mut sink, value).map_err(|_| Error::UnwritableBody)?;
    sink.bytes = Some(Zeroizing::new(Vec::with_capacity(sink.length)));
    serde_json::to_writer(&mut sink, value).map_err(|_| Error::UnwritableBody)?;
    Ok(Body::from(sink.bytes.unwrap_or_default()))
}

/// Counts first and keeps then: one type for both, so that what writes a value is compiled once.
struct Sink {
    length: usize,
    bytes: Option<Zeroizing<Vec<u8>>>,
}

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.bytes {
            None => self.length += bytes.len(),
            Some(kept) => kept.extend_from_slice(bytes),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is looked at in a reply that is not good.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow, default)]
    errors: Option<&'a RawValue>,
    #[serde(borrow, default)]
    warnings: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    request_id: Option<&'a RawValue>,
}

impl<'a> Said<'a> {
    fn parse(reply: &'a Reply) -> Option<Self> {
        json::from_slice(reply.body()).ok()
    }

    fn warns_of_versions(&self) -> bool {
        self.warnings
            .is_some_and(|raw| Texts::read(raw).contain("Invalid path for a versioned K/V secrets engine"))
    }
}

/// Returns the host that a reply sends to. Nothing else of the address: its query may hold anything.
fn location_host(reply: &Reply) -> Option<String> {
    let url = Url::parse(reply.header("location")?).ok()?;
    let host = &url[Position::BeforeHost..Position::AfterPort];
    (!host.is_empty()).then(|| host.to_owned())
}

/// Returns how long the server wants to be left alone (RFC 9110, 10.2.3: seconds or a date). A date is compared with
/// the reply's own `Date`, so that this machine's clock does not count.
fn retry_after(reply: &Reply) -> Option<Duration> {
    let value = reply.header("retry-after")?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let (until, now) = (http_date(value)?, http_date(reply.header("date")?.trim())?);
    Some(Duration::from_secs(until.saturating_sub(now)))
}

/// Returns the seconds since 1970 of an `IMF-fixdate` (RFC 9110, 5.6.7), such as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<u64> {
    /// From the first of March of year 0.
    const DAYS_BEFORE_1970: u64 = 719_468;
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let (_, date) = text.split_once(", ")?;
    let mut words = date.split(' ');
    let day: u64 = words.next()?.parse().ok()?;
    let month = words.next().filter(|month| month.len() == 3)?;
    let month = MONTHS.find(month).filter(|at| at % 3 == 0)? as u64 / 3;
    let year: u64 = words.next()?.parse().ok().filter(|year| (1970..10_000).contains(year))?;
    let mut clock = words.next()?.split(':').map(|number| number.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if words.next() != Some("GMT") || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Years that begin in March put the leap day at the end, so that the days before a month follow one formula.
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = year * 365 + leap_days + (153 * month + 2) / 5 + day - 1;
    Some((days.checked_sub(DAYS_BEFORE_1970)? * 24 + hour) * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(status: u16, body: &str) -> &'static str {
        refused(&Reply::new(status, body), &[]).code()
    }

    #[test]
    fn each_refusal_has_its_meaning() {
        let vault_dead = r#"{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}"#;
        for (status, body, expected) in [
            (400, r#"{"errors":["missing client token"]}"#, "vault_token_invalid"),
            (400, r#"{"errors":["failed to decode JSON input: EOF"]}"#, "vault_invalid_request"),
            (
                400,
                r#"{"errors":["Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief period and will resume service shortly."]}"#,
                "vault_mount_upgrading",
            ),
            (
                400,
                r#"{"errors":["check-and-set parameter did not match the current version"]}"#,
                "vault_cas_mismatch",
            ),
            (400, r#"{"errors":["check-and-set parameter required for this call"]}"#, "vault_cas_required"),
            (401, "", "vault_permission_denied"),
            (403, r#"{"errors":["permission denied"]}"#, "vault_permission_denied"),
            (
                403,
                r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#,
                "vault_permission_denied",
            ),
            (403, vault_dead, "vault_token_invalid"),
            (403, r#"{"errors":["bad token"]}"#, "vault_token_invalid"),
            (404, r#"{"errors":["no handler for route \"x\". route entry not found."]}"#, "vault_not_found"),
            (
                404,
                r#"{"data":null,"warnings":["Invalid path for a versioned K/V secrets engine. See …"]}"#,
                "vault_wrong_mount",
            ),
            (
                405,
                r#"{"errors":["1 error occurred:\n\t* unsupported operation\n\n"]}"#,
                "vault_unsupported_operation",
            ),
            (408, "", "vault_invalid_request"),
            (412, r#"{"errors":["required index state not present"]}"#, "vault_precondition_failed"),
            (413, r#"{"errors":["http: request body too large"]}"#, "vault_payload_too_large"),
            (500, r#"{"errors":["JSON string value exceeds allowed length"]}"#, "vault_payload_too_large"),
            (
                415,
                r#"{"errors":["PATCH requires Content-Type of application/merge-patch+json"]}"#,
                "vault_unsupported_media_type",
            ),
            (429, r#"{"errors":["request path \"x\": rate limit quota exceeded"]}"#, "vault_rate_limited"),
            (472, "", "vault_not_active"),
            (473, "", "vault_not_active"),
            (500, r#"{"errors":["1 error occurred:\n\t* internal error\n\n"]}"#, "vault_server_fault"),
            (501, "", "vault_uninitialised"),
            (502, "<html>Bad Gateway</html>", "vault_server_fault"),
            (503, r#"{"errors":["Vault is sealed"]}"#, "vault_sealed"),
            (503, r#"{"errors":["OpenBao is sealed"]}"#, "vault_sealed"),
            (503, r#"{"errors":["no active Vault instance found"]}"#, "vault_not_active"),
            (503, r#"{"errors":["no active OpenBao instance found"]}"#, "vault_not_active"),
            (503, r#"{"errors":["node is not active"]}"#, "vault_not_active"),
            (503, "upstream connect error", "vault_server_fault"),
            (530, "", "vault_server_fault"),
            (600, "", "vault_server_fault"),
            (103, "", "vault_malformed_reply"),
        ] {
            assert_eq!(code(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn only_what_passes_by_itself_is_transient() {
        let transient = |status, body: &str| refused(&Reply::new(status, body), &[]).is_transient();
        for status in [307, 412, 429, 472, 473, 502, 503, 504] {
            assert!(transient(status, ""), "{status}");
        }
        for status in [301, 302, 400, 401, 403, 404, 405, 413, 415, 500, 501] {
            assert!(!transient(status, ""), "{status}");
        }
        assert!(transient(503, r#"{"errors":["Vault is sealed"]}"#));
    }

    #[test]
    fn a_refusal_without_the_word_does_not_kill_a_token() {
        let dead = |body: &str| refused(&Reply::new(403, body), &[]).is_token_dead();
        assert_eq!(dead(r#"{"errors":["permission denied"]}"#), None);
        assert_eq!(dead(r#"{"errors":["permission denied\n* invalid token"]}"#), Some(true));
        assert_eq!(refused(&Reply::new(503, ""), &[]).is_token_dead(), Some(false));
    }

    #[test]
    fn no_body_makes_the_decoder_fail_and_none_is_echoed() {
        let page = "<html>hush</html>";
        let deep = format!(r#"{{"errors":{}"hush"{}}}"#, "[".repeat(5000), "]".repeat(5000));
        let bodies: [&[u8]; 13] = [
            b"",
            b"null",
            b"[]",
            b"0",
            b"\"hush\"",
            b"hush",
            page.as_bytes(),
            b"{\"errors\":\"hush\"}",
            b"{\"errors\":{\"hush\":\"hush\"}}",
            b"{\"errors\":[{\"message\":\"hush\"}]}",
            b"{\"message\":\"hush\",\"errors\":null}",
            b"{\"errors\":[\"\xff\xfehush\"]}",
            deep.as_bytes(),
        ];
        for body in bodies {
            for status in [300, 307, 400, 403, 404, 405, 412, 429, 500, 503] {
                let error = refused(&Reply::new(status, body), &[]);
                let shown = format!("{error} {error:?}");
                assert!(!shown.contains("hush"), "{status} {shown}");
            }
        }
    }

    #[test]
    fn ten_megabytes_are_a_refusal_like_any_other() {
        let large =
            format!(r#"{{"hush":"{}","errors":["{}"]}}"#, "x".repeat(5_000_000), "y ".repeat(2_500_000));
        let error = refused(&Reply::new(400, large), &[]);
        assert_eq!(error.code(), "vault_invalid_request");
        assert!(error.to_string().chars().count() < 2 * Messages::LONGEST);
    }

    #[test]
    fn cut_and_broken_bodies_are_survived_byte_by_byte() {
        let whole =
            r#"{"request_id":"a","data":{"x":1},"warnings":["w\u00e9"],"errors":["e\n\ud83d\ude00",2]}"#;
        for cut in 0..whole.len() {
            let error = refused(&Reply::new(403, &whole.as_bytes()[..cut]), &[]);
            assert_eq!(error.code(), "vault_permission_denied");
            for byte in [0, b'"', b'{', b'\\', 0xff] {
                let mut broken = whole.as_bytes().to_vec();
                broken[cut] = byte;
                assert_eq!(refused(&Reply::new(404, broken), &[]).status(), Some(404));
            }
        }
    }

    #[test]
    fn absence_is_what_the_server_says_and_not_what_a_proxy_says() {
        let absent = |body: &str| is_absence(&Reply::new(404, body));
        assert!(absent(r#"{"errors":[]}"#));
        assert!(absent(r#"{"errors": [ ]}"#));
        assert!(absent(r#"{"request_id":"a","data":null,"warnings":["mind the gap"]}"#));
        for body in [
            "",
            "<html>404</html>",
            "{}",
            "[]",
            r#"{"errors":["no handler for route"]}"#,
            r#"{"errors":[{"message":"not found"}]}"#,
            r#"{"errors":"not found"}"#,
            r#"{"request_id":"a","warnings":["Invalid path for a versioned K/V secrets engine."]}"#,
        ] {
            assert!(!absent(body), "{body}");
        }
    }

    #[test]
    fn a_standby_names_the_active_node_and_a_portal_is_no_standby() {
        let at =
            |status, location: &str| refused(&Reply::new(status, "").with_header("Location", location), &[]);
        let standby = at(307, "https://user:pw@vault-1.example:8200/v1/secret/data/x?code=hush");
        assert!(
            matches!(&standby, Error::NotActive { leader: Some(host) } if host == "vault-1.example:8200")
        );
        assert_eq!(
            standby.to_string(),
            "this node does not serve calls; the active node is vault-1.example:8200"
        );
        let portal = at(302, "https://sso.example/login?next=hush");
        assert!(
            matches!(&portal, Error::Redirected { status: 302, to: Some(host) } if host == "sso.example")
        );
        for odd in ["/relative", "", "javascript:alert(1)", "https://"] {
            assert!(matches!(at(307, odd), Error::NotActive { leader: None }), "{odd}");
        }
    }

    #[test]
    fn a_pause_is_read_as_seconds_or_as_a_date_by_the_servers_own_clock() {
        let pause = |retry: &str, date: &str| {
            let reply = Reply::new(429, "").with_header("Retry-After", retry).with_header("Date", date);
            match refused(&reply, &[]) {
                Error::RateLimited { retry_after } => retry_after.map(|pause| pause.as_secs()),
                other => panic!("{other}"),
            }
        };
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(pause("120", ""), Some(120));
        assert_eq!(pause("Sun, 06 Nov 1994 08:50:07 GMT", date), Some(30));
        assert_eq!(pause("Sun, 06 Nov 1994 08:40:00 GMT", date), Some(0), "the past asks for no pause");
        assert_eq!(pause("Sun, 06 Nov 1994 08:50:07 GMT", ""), None);
        for odd in ["", "-1", "soon", "1.5", "Sunday, 06-Nov-94 08:49:37 GMT", "99999999999999999999"] {
            assert_eq!(pause(odd, date), None, "{odd}");
        }
    }

    #[test]
    fn dates_are_counted_right_over_leap_years() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
            ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
            ("Fri, 31 Dec 2100 23:59:59 GMT", 4_133_980_799),
        ] {
            assert_eq!(http_date(text), Some(seconds), "{text}");
        }
        for odd in
            ["Sun, 06 anF 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:49 GMT"]
        {
            assert_eq!(http_date(odd), None, "{odd}");
        }
    }

    struct Stubborn;

    impl Serialize for Stubborn {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("hush"))
        }
    }

    #[test]
    fn a_body_is_written_into_memory_that_never_moves() {
        let text = "line\n".repeat(1000);
        let body = json(&serde_json::json!({ "text": text })).unwrap().into_zeroizing();
        assert_eq!(body.capacity(), body.len());
    }

    #[test]
    fn a_value_that_cannot_be_written_is_not_shown() {
        let error = json(&Stubborn).unwrap_err();
        assert!(!format!("{error:?}").contains("hush"));
    }
}
