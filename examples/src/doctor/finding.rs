//! What was found: one line per check, each with its fix as a text to copy.

use std::fmt::{self, Write as _};

use serde::{Serialize, Serializer};

use crate::failure::Exit;

/// How a check ended, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing to do.
    Ok,
    /// Not looked at: it was not asked for, or what it builds on failed.
    Skipped,
    /// It works, but not well.
    Warning,
    /// It does not work.
    Failed,
    /// A server cannot be reached, or is out of order.
    Down,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "WARNING",
            Self::Failed => "FAILED",
            Self::Down => "DOWN",
        }
    }

    /// Returns the exit code that says it: those of every program here, and 5 for what works, but not well.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Ok | Self::Skipped => 0,
            Self::Warning => 5,
            Self::Failed => Exit::Refused as u8,
            Self::Down => Exit::Network as u8,
        }
    }
}

/// One check and what it found.
///
/// What servers told stands in it only where it is no secret: addresses, names, times, and errors of our own libraries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    check: &'static str,
    outcome: Outcome,
    title: &'static str,
    /// The error's code, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(serialize_with = "as_map", skip_serializing_if = "Vec::is_empty")]
    facts: Vec<(&'static str, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

fn as_map<S: Serializer>(facts: &[(&'static str, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(facts.iter().map(|(name, value)| (name, value)))
}

/// What each check is about. The names are those of the extension's doctor where it has the same check.
const TITLES: [(&str, &str); 19] = [
    ("provider-reachable", "the provider answers: address, certificate, discovery"),
    ("provider-issuer", "the issuer is spelt as the provider spells it"),
    ("provider-keys", "the provider's keys can be had"),
    ("provider-clock", "the clocks of this machine and of the provider"),
    ("provider-client", "the provider knows the client and its secret"),
    ("provider-redirect", "the client may send people back to the redirect addresses"),
    ("provider-cors", "the provider lets web pages fetch tokens (CORS)"),
    ("vault-reachable", "the Vault answers: address, certificate"),
    ("vault-health", "the Vault is initialised, unsealed and active"),
    ("clock", "the clocks of this machine and of the Vault"),
    ("vault-cors", "the Vault lets web pages call (CORS)"),
    ("vault-token", "the token that looks around in the Vault"),
    ("default-policy", "the policy `default`, which is in every token, opens nothing"),
    ("vault-trust", "the auth methods trust the provider"),
    ("vault-audience", "the JWT role takes the client's tokens, and no others"),
    ("vault-redirect", "the OIDC role allows the redirect addresses"),
    ("token-ttl", "how long the tokens of the roles live"),
    ("hub-scopes", "the hub lets this server read your ID token"),
    ("hub-id-token", "the ID token that the hub holds"),
];

impl Finding {
    /// Returns a check with nothing noted yet.
    pub(super) fn new(check: &'static str, outcome: Outcome) -> Self {
        let title = TITLES.iter().find(|(name, _)| *name == check).map_or(check, |(_, title)| title);
        Self { check, outcome, title, code: None, facts: Vec::new(), fix: None }
    }

    /// Returns a check that was not made, and why.
    pub(super) fn skipped(check: &'static str, why: &str) -> Self {
        Self::new(check, Outcome::Skipped).with_fact("why", why)
    }

    /// Notes something that was seen.
    pub(super) fn with_fact(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.facts.push((name, value.to_string()));
        self
    }

    /// Notes the error.
    pub(super) fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// Says what to do, as a text to copy.
    pub(super) fn with_fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Returns which check this is.
    pub fn check(&self) -> &'static str {
        self.check
    }

    /// Returns how it ended.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Returns what to do, as a text to copy.
    pub fn fix(&self) -> Option<&str> {
        self.fix.as_deref()
    }
}

/// Everything that was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    findings: Vec<Finding>,
}

impl Report {
    /// Adds what was found.
    pub fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
    }

    /// Returns the worst outcome.
    pub fn worst(&self) -> Outcome {
        self.findings.iter().map(Finding::outcome).max().unwrap_or(Outcome::Ok)
    }

    /// Returns it as JSON: `worst`, and `findings` in the order in which they were made.
    pub fn to_json(&self) -> String {
        let worst = Some(self.worst()).filter(|worst| *worst != Outcome::Skipped).unwrap_or(Outcome::Ok);
        serde_json::json!({ "worst": worst, "findings": self.findings }).to_string()
    }
}

/// For people: a line per check, what was seen, and the fix, indented. What servers told moves no terminal.
impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { check, outcome, title, code, facts, fix } in &self.findings {
            writeln!(formatter, "{:<7}  {check:<18}  {title}", outcome.word())?;
            let mut told = String::new();
            for (name, value) in facts {
                let separator = if told.is_empty() { "" } else { ", " };
                write!(told, "{separator}{name}: {}", value.escape_debug())?;
            }
            if let Some(code) = code {
                write!(told, "{}({code})", if told.is_empty() { "" } else { " " })?;
            }
            if !told.is_empty() {
                writeln!(formatter, "         {told}")?;
            }
            for line in fix.iter().flat_map(|fix| fix.lines()) {
                writeln!(formatter, "           {}", plain(line))?;
            }
        }
        let count = |outcome| self.findings.iter().filter(|finding| finding.outcome == outcome).count();
        let counted = [Outcome::Ok, Outcome::Warning, Outcome::Failed, Outcome::Down, Outcome::Skipped]
            .map(|outcome| (count(outcome), outcome.word().to_lowercase()))
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"));
        writeln!(formatter, "{}", counted.collect::<Vec<_>>().join(", "))
    }
}

fn plain(line: &str) -> String {
    line.chars().map(|sign| if sign.is_control() { '\u{fffd}' } else { sign }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_outcome_is_the_exit_code() {
        let mut report = Report::default();
        assert_eq!(report.worst().exit_code(), 0);
        for (outcome, exit) in [
            (Outcome::Ok, 0),
            (Outcome::Skipped, 0),
            (Outcome::Warning, 5),
            (Outcome::Failed, 1),
            (Outcome::Warning, 1),
            (Outcome::Down, 3),
            (Outcome::Failed, 3),
        ] {
            report.extend([Finding::new("clock", outcome)]);
            assert_eq!(report.worst().exit_code(), exit);
        }
    }

    #[test]
    fn json_has_every_part_and_text_has_them_too() {
        let mut report = Report::default();
        let finding = Finding::new("clock", Outcome::Failed).with_fact("seconds", 61).with_code("c");
        report.extend([
            finding.with_fix("timedatectl set-ntp true\n"),
            Finding::skipped("hub-scopes", "no hub"),
        ]);
        let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(json["worst"], "failed");
        assert_eq!(
            json["findings"][0],
            serde_json::json!({"check": "clock", "outcome": "failed", "code": "c", "facts": {"seconds": "61"},
                "title": "the clocks of this machine and of the Vault", "fix": "timedatectl set-ntp true\n"})
        );
        let text = report.to_string();
        assert!(text.contains("FAILED   clock"), "{text}");
        assert!(text.contains("seconds: 61 (c)\n           timedatectl set-ntp true\n"), "{text}");
        assert!(text.ends_with("1 failed, 1 skipped\n"), "{text}");
    }

    #[test]
    fn only_skipped_checks_are_nothing_bad() {
        let mut report = Report::default();
        report.extend([Finding::skipped("clock", "x")]);
        assert!(report.to_json().contains(r#""worst":"ok""#));
    }

    #[test]
    fn what_a_server_told_moves_no_terminal() {
        let mut report = Report::default();
        report.extend([Finding::new("clock", Outcome::Ok).with_fact("x", "\u{1b}[2J").with_fix("a\u{1b}b")]);
        assert!(!report.to_string().contains('\u{1b}'));
    }

    #[test]
    fn every_check_has_a_title_of_its_own() {
        let mut names: Vec<_> = TITLES.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), TITLES.len());
    }
}
