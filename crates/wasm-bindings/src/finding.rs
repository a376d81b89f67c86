//! What the doctor found, without the page's sentences: those are translated.

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing to do.
    Ok,
    /// It works, but not well.
    Warning,
    /// It does not work.
    Failed,
    /// Not looked at: what it builds on failed.
    Skipped,
}

impl Outcome {
    /// Returns the word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// One check and what it found.
#[derive(Debug)]
pub struct Finding {
    /// Which check.
    pub check: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// The error's code, where there was one.
    pub code: Option<&'static str>,
    /// What was seen.
    pub facts: Vec<(&'static str, String)>,
    /// What the administrator can copy.
    pub fix: Option<String>,
}

impl Finding {
    /// Returns a check with nothing found yet.
    pub fn new(check: &'static str, outcome: Outcome) -> Self {
        Self { check, outcome, code: None, facts: Vec::new(), fix: None }
    }

    /// Notes something that was seen.
    pub fn with_fact(mut self, name: &'static str, value: &impl ToString) -> Self {
        self.facts.push((name, value.to_string()));
        self
    }

    /// Notes the error.
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// Says what to do.
    pub fn with_fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// How far two clocks may be apart before people notice: Vault allows an ID token a minute, and five are the most that anybody
/// allows.
const SKEW_SEEN: u64 = 30;
const SKEW_FATAL: u64 = 60;

/// Judges how far this machine's clock is from the server's, in whole seconds.
pub fn clock(ours: u64, theirs: u64) -> Finding {
    let apart = ours.abs_diff(theirs);
    let outcome = match apart {
        ..SKEW_SEEN => return Finding::new("clock", Outcome::Ok).with_fact("seconds", &apart),
        SKEW_SEEN..SKEW_FATAL => Outcome::Warning,
        SKEW_FATAL.. => Outcome::Failed,
    };
    Finding::new("clock", outcome)
        .with_fact("seconds", &apart)
        .with_fact("behind", &if ours < theirs { "browser" } else { "server" })
        .with_fix("timedatectl set-ntp true\n")
}

/// What lets a page of that origin in: both origins, since a list without the server's own shuts its own pages out.
pub fn cors_fix(vault: &str, origin: &str) -> String {
    format!("bao write sys/config/cors allowed_origins='{origin}' allowed_origins='{}'\n", origin_of(vault))
}

/// What lets a role send people back to a page. Everything that the role allows already has to be named again, and so has
/// its type, which servers forget otherwise; they do not patch roles.
pub fn redirect_fix(mount: &str, role: &str, redirect_uri: &str) -> String {
    let role = if role.is_empty() { "default" } else { role };
    format!(
        "bao read -field=allowed_redirect_uris auth/{mount}/role/{role}\n\
         bao write auth/{mount}/role/{role} role_type=oidc allowed_redirect_uris='…,{redirect_uri}'\n"
    )
}

fn origin_of(address: &str) -> String {
    url::Url::parse(address).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_judged_by_how_far_they_are_apart_either_way() {
        for (ours, theirs, outcome) in [
            (1000, 1029, Outcome::Ok),
            (1000, 970, Outcome::Warning),
            (1000, 1059, Outcome::Warning),
            (1000, 1060, Outcome::Failed),
            (1060, 1000, Outcome::Failed),
        ] {
            let finding = clock(ours, theirs);
            assert_eq!(finding.outcome, outcome, "{ours} {theirs}");
            assert_eq!(finding.fix.is_some(), outcome != Outcome::Ok);
        }
        assert!(clock(1000, 2000).facts.contains(&("behind", "browser".to_owned())));
    }

    #[test]
    fn the_servers_own_origin_stays_allowed() {
        let fix = cors_fix("https://vault.example:8200/proxy", "https://hub.example");
        assert!(
            fix.contains("'https://hub.example'") && fix.contains("'https://vault.example:8200'"),
            "{fix}"
        );
    }

    #[test]
    fn an_empty_role_is_the_default_one() {
        let fix = redirect_fix("oidc", "", "https://hub/x");
        assert!(fix.contains("bao write auth/oidc/role/default role_type=oidc "), "{fix}");
    }
}
