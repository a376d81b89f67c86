//! Asks the hub that started this server.

use std::time::{Duration, SystemTime};

use latchkey_jupyterhub_auth::{Error, Holder};

use super::finding::{Finding, Outcome};
use crate::failure::Failure;
use crate::hub::Hub;

/// Makes the checks of a hub, where there is one.
pub async fn hub(hub: Option<&Hub>) -> Vec<Finding> {
    let Some(hub) = hub else {
        let why = "no hub is named (JUPYTERHUB_API_URL)";
        return ["hub-scopes", "hub-id-token"].map(|check| Finding::skipped(check, why)).into();
    };
    match hub.id_token().await {
        Ok(token) => {
            let end = token.unverified_expiry();
            let left = end.and_then(|end| end.duration_since(SystemTime::now()).ok());
            vec![Finding::new("hub-scopes", Outcome::Ok), id_token(left)]
        }
        Err(error) => judge(error),
    }
}

/// Below that a notebook asks for a fresh one.
const SHORT: Duration = Duration::from_secs(60);

fn id_token(left: Option<Duration>) -> Finding {
    match left {
        Some(left) if left < SHORT => Finding::new("hub-id-token", Outcome::Warning)
            .with_fact("seconds left", left.as_secs())
            .with_fix(REFRESH),
        Some(left) => Finding::new("hub-id-token", Outcome::Ok).with_fact("seconds left", left.as_secs()),
        None => Finding::new("hub-id-token", Outcome::Ok),
    }
}

/// What makes a hub refresh a sign-in in time. By itself it asks userinfo first, and keeps the ID token as long as the
/// access token is good.
const REFRESH: &str = "\
# jupyterhub_config.py, with examples/hub/hub_spawn.py of Latchkey beside it: its refresh_user_hook looks at the ID token
from hub_spawn import configure
configure(c, [\"hub-spawn\", \"--config\", \"/etc/jupyterhub/hub-spawn.toml\"])
c.Authenticator.auth_refresh_age = 60
";

/// Says which of the two checks an error is about, and what mends it.
fn judge(error: Error) -> Vec<Finding> {
    let code = error.code();
    let scopes = |outcome| Finding::new("hub-scopes", outcome);
    let skipped = |why| Finding::skipped("hub-id-token", why);
    match &error {
        Error::IdTokenExpired { ago } => vec![
            scopes(Outcome::Ok),
            Finding::new("hub-id-token", Outcome::Failed)
                .with_code(code)
                .with_fact("seconds ago", ago.as_secs())
                .with_fix(REFRESH),
        ],
        Error::IdTokenMissing | Error::IdTokenMalformed(_) => vec![
            scopes(Outcome::Ok),
            Finding::new("hub-id-token", Outcome::Failed).with_code(code).with_fix(
                "# jupyterhub_config.py: an authenticator that speaks OpenID Connect, and asks for it\n\
                 c.GenericOAuthenticator.scope = [\"openid\", \"email\", \"profile\"]\n",
            ),
        ],
        Error::ScopeMissing { missing, .. } => vec![
            scopes(Outcome::Failed)
                .with_code(code)
                .with_fact("missing", missing.join(", "))
                .with_fix(Holder::Server.configuration()),
            skipped("the hub does not show it"),
        ],
        Error::AuthStateOff => vec![
            scopes(Outcome::Failed).with_code(code).with_fact("auth_state", "off").with_fix(
                "# jupyterhub_config.py, and everybody signs in anew\n\
                 c.Authenticator.enable_auth_state = True\n",
            ),
            skipped("the hub keeps none"),
        ],
        Error::Unauthorized(_) | Error::NotFound(_) | Error::Refused(_) => vec![
            scopes(Outcome::Failed).with_code(code).with_fact("found", &error).with_fix(
                "# the hub's control panel: stop your server and start it again, or sign in anew\n",
            ),
            skipped("the hub did not say"),
        ],
        _ => {
            let finding = scopes(Outcome::Down).with_code(code);
            let failure = Failure::from(error);
            let fix = format!(
                "# {}\n",
                failure.hint().unwrap_or("export JUPYTERHUB_API_URL=http://hub:8081/hub/api")
            );
            vec![
                finding.with_fact("found", failure.message()).with_fix(fix),
                skipped("the hub did not answer"),
            ]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(findings: &[Finding]) -> Vec<(Outcome, bool)> {
        findings.iter().map(|finding| (finding.outcome(), finding.fix().is_some())).collect()
    }

    #[test]
    fn each_error_is_one_finding_and_no_other() {
        let (fine, failed, skipped) =
            ((Outcome::Ok, false), (Outcome::Failed, true), (Outcome::Skipped, false));
        let missing = vec!["admin:auth_state!user".to_owned()];
        assert_eq!(told(&judge(Error::ScopeMissing { missing, holder: Holder::Server })), [failed, skipped]);
        assert_eq!(told(&judge(Error::AuthStateOff)), [failed, skipped]);
        assert_eq!(told(&judge(Error::IdTokenExpired { ago: Duration::from_secs(5) })), [fine, failed]);
        assert_eq!(told(&judge(Error::IdTokenMissing)), [fine, failed]);
        assert_eq!(told(&judge(Error::InvalidAddress)), [(Outcome::Down, true), skipped]);
    }

    #[test]
    fn a_token_that_ends_soon_is_told() {
        assert_eq!(id_token(Some(Duration::from_secs(59))).outcome(), Outcome::Warning);
        assert_eq!(id_token(Some(Duration::from_secs(60))).outcome(), Outcome::Ok);
        assert_eq!(id_token(None).outcome(), Outcome::Ok);
    }
}
