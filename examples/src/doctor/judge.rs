//! The checks themselves: what servers answered, judged. Nobody is asked here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use latchkey_oidc_flow::keys::KeySet;
use latchkey_transport::Reply;
use latchkey_vault_client::auth::{JwtConfig, JwtRole, RoleTokens};
use latchkey_vault_client::sys::{Cors, Health, NodeState};
use url::Url;

use super::finding::{Finding, Outcome};
use super::{fix, policy};

/// How far two clocks may be apart before it matters: Vault allows an ID token a minute, and five are the most that
/// anybody allows. The same as in the extension's doctor.
const SKEW_SEEN: Duration = Duration::from_secs(30);
const SKEW_FATAL: Duration = Duration::from_secs(60);

/// Judges how far this machine's clock is from a server's, which tells whole seconds.
pub(super) fn clock(check: &'static str, server: &str, ours: SystemTime, theirs: SystemTime) -> Finding {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (ours, theirs) = (seconds(ours), seconds(theirs));
    let apart = Duration::from_secs(ours.abs_diff(theirs));
    let outcome = match apart {
        _ if apart < SKEW_SEEN => Outcome::Ok,
        _ if apart < SKEW_FATAL => Outcome::Warning,
        _ => Outcome::Failed,
    };
    let finding = Finding::new(check, outcome).with_fact("seconds", apart.as_secs());
    if outcome == Outcome::Ok {
        return finding;
    }
    let behind = if ours < theirs { "this machine" } else { server };
    finding.with_fact("behind", behind).with_fix("timedatectl set-ntp true    # there\n")
}

/// Judges the state of the node.
pub(super) fn health(health: &Health) -> Finding {
    let (outcome, state, fix) = match health.state {
        NodeState::Active => (Outcome::Ok, "active", None),
        NodeState::Standby | NodeState::PerformanceStandby => (Outcome::Ok, "standby", None),
        NodeState::Sealed => (Outcome::Down, "sealed", Some("bao operator unseal\n")),
        NodeState::Uninitialised => (Outcome::Down, "not initialised", Some("bao operator init\n")),
        NodeState::DisasterRecoverySecondary => {
            (Outcome::Down, "secondary for disaster recovery", Some(PRIMARY))
        }
        NodeState::CutOffStandby => {
            (Outcome::Down, "standby that does not reach the active node", Some(PRIMARY))
        }
        NodeState::Removed => (Outcome::Down, "removed from its cluster", Some(PRIMARY)),
        _ => (Outcome::Warning, "unknown", None),
    };
    let finding = Finding::new("vault-health", outcome).with_fact("state", state);
    if let Some(fix) = fix { finding.with_fix(fix) } else { finding }
}

const PRIMARY: &str = "export VAULT_ADDR=…    # the active node\n";

/// Judges whether pages of these origins may read the Vault's answers: for each of them what it allowed, if anything.
pub(super) fn vault_cors(
    vault: &Url,
    current: Option<&Cors>,
    answers: &[(String, Option<String>)],
) -> Finding {
    let shut_out = shut_out(answers);
    if shut_out.is_empty() {
        return Finding::new("vault-cors", Outcome::Ok).with_fact("origins", origins(answers));
    }
    Finding::new("vault-cors", Outcome::Failed)
        .with_fact("shut out", shut_out.join(", "))
        .with_fix(fix::vault_cors(vault, current, &shut_out))
}

/// The same for the provider's token endpoint.
pub(super) fn provider_cors(issuer: &str, client_id: &str, answers: &[(String, Option<String>)]) -> Finding {
    let shut_out = shut_out(answers);
    if shut_out.is_empty() {
        return Finding::new("provider-cors", Outcome::Ok).with_fact("origins", origins(answers));
    }
    Finding::new("provider-cors", Outcome::Failed)
        .with_fact("shut out", shut_out.join(", "))
        .with_fix(fix::keycloak_client(issuer, client_id, "webOrigins", &shut_out))
}

fn shut_out(answers: &[(String, Option<String>)]) -> Vec<&str> {
    let may = |origin: &str, allowed: Option<&str>| allowed == Some("*") || allowed == Some(origin);
    answers
        .iter()
        .filter(|(origin, allowed)| !may(origin, allowed.as_deref()))
        .map(|(origin, _)| &**origin)
        .collect()
}

fn origins(answers: &[(String, Option<String>)]) -> String {
    answers.iter().map(|(origin, _)| origin.as_str()).collect::<Vec<_>>().join(", ")
}

/// What a provider makes of a redirect address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    /// It sends people there.
    Allowed,
    /// It shows them a page that says no.
    Refused,
    /// It does something else, which tells nothing.
    Unclear,
}

/// Judges an answer to a sign-in without a person (`prompt=none`): a provider may say "nobody is signed in" to an
/// address that it knows, and to no other ([RFC 6749, 4.1.2.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1)).
pub(super) fn redirect(uri: &str, reply: &Reply) -> Redirect {
    let status = reply.status();
    let is_out_of_band = uri.starts_with("urn:");
    match reply.header("location") {
        Some(location) if (300..400).contains(&status) => {
            // Out of band, it sends them to a page of its own.
            let is_there = location.strip_prefix(uri).is_some_and(|rest| rest.starts_with(['?', '#', '&']));
            if is_there || is_out_of_band { Redirect::Allowed } else { Redirect::Unclear }
        }
        _ if (400..500).contains(&status) => Redirect::Refused,
        _ => Redirect::Unclear,
    }
}

/// Judges what the provider makes of all redirect addresses.
pub(super) fn provider_redirects(issuer: &str, client_id: &str, answers: &[(String, Redirect)]) -> Finding {
    let all_that = |wanted| -> Vec<&str> {
        answers.iter().filter(|(_, found)| *found == wanted).map(|(uri, _)| uri.as_str()).collect()
    };
    let (refused, unclear) = (all_that(Redirect::Refused), all_that(Redirect::Unclear));
    if !refused.is_empty() {
        return Finding::new("provider-redirect", Outcome::Failed)
            .with_fact("client", client_id)
            .with_fact("refused", refused.join(", "))
            .with_fix(fix::keycloak_client(issuer, client_id, "redirectUris", &refused));
    }
    if !unclear.is_empty() {
        return Finding::skipped("provider-redirect", "the provider does not tell without a person")
            .with_fact("unclear", unclear.join(", "));
    }
    Finding::new("provider-redirect", Outcome::Ok)
        .with_fact("allowed", all_that(Redirect::Allowed).join(", "))
}

/// Judges the provider's keys: a set without a key that can sign makes every token worthless.
pub(super) fn keys(keys: &KeySet) -> Finding {
    let count = keys.keys().len();
    let outcome = if count > 0 { Outcome::Ok } else { Outcome::Failed };
    let finding = Finding::new("provider-keys", outcome).with_fact("keys that sign", count);
    if count > 0 {
        finding
    } else {
        finding.with_fix("# add a key for signatures to the provider (Keycloak: Realm settings, Keys)\n")
    }
}

/// Judges the policy `default`: every token has it, so that what it opens is everybody's.
pub(super) fn default_policy(rules: &str) -> Finding {
    let opened = policy::widened(rules);
    if opened.is_empty() {
        return Finding::new("default-policy", Outcome::Ok);
    }
    Finding::new("default-policy", Outcome::Failed).with_fact("opens", opened.join(", ")).with_fix(
        "bao policy read default > default.hcl\n\
         # move these paths to a policy of their own, for those who shall have them; then\n\
         bao policy write default default.hcl\n",
    )
}

/// One auth method and its role.
pub(super) struct Method<'a> {
    pub(super) mount: &'a str,
    pub(super) role_name: &'a str,
    pub(super) config: Option<JwtConfig>,
    pub(super) role: Option<JwtRole>,
    /// How long leases of the mount live where the role says nothing; `None` where nobody may know.
    pub(super) mount_ttl: Option<Duration>,
}

/// Judges whether the methods trust the issuer, sign by sign.
pub(super) fn trust(methods: &[Method<'_>], issuer: &str) -> Finding {
    let (mut wrong, mut fixes) = (Vec::new(), String::new());
    for Method { mount, config, .. } in methods {
        let trouble = match config {
            None => Some("is not set up".to_owned()),
            Some(config) if !config.bound_issuer.is_empty() && config.bound_issuer != issuer => {
                Some(format!("takes tokens of {} only", config.bound_issuer))
            }
            Some(config) if config.oidc_discovery_url.is_empty() && config.bound_issuer.is_empty() => {
                Some("takes tokens of any issuer that has its keys".to_owned())
            }
            Some(config) if !config.oidc_discovery_url.is_empty() && config.oidc_discovery_url != issuer => {
                Some(format!("asks {}", config.oidc_discovery_url))
            }
            Some(_) => None,
        };
        if let Some(trouble) = trouble {
            wrong.push(format!("{mount} {trouble}"));
            fixes += &fix::trust(mount, config.as_ref(), issuer);
        }
    }
    if wrong.is_empty() {
        return Finding::new("vault-trust", Outcome::Ok).with_fact("issuer", issuer);
    }
    Finding::new("vault-trust", Outcome::Failed)
        .with_fact("issuer", issuer)
        .with_fact("found", wrong.join("; "))
        .with_fix(fixes)
}

/// Judges whether a JWT role takes the tokens of the client. One without audiences takes those that the provider gave to
/// any of its clients, or, on newer servers, none at all.
pub(super) fn audience(method: &Method<'_>, client_id: &str) -> Finding {
    let Method { mount, role_name, role, .. } = method;
    let failed = || {
        Finding::new("vault-audience", Outcome::Failed).with_fact("mount", mount).with_fact("role", role_name)
    };
    let Some(role) = role else {
        let shown = fix::word(&format!("auth/{mount}/role"));
        return failed().with_fact("found", "no such role").with_fix(format!("bao list {shown}\n"));
    };
    if role.role_type != "jwt" {
        return failed()
            .with_fact("found", format!("a role of type {}", role.role_type))
            .with_fix("doctor --role …    # one of type jwt\n");
    }
    if role.bound_audiences.iter().any(|audience| audience == client_id) {
        return Finding::new("vault-audience", Outcome::Ok)
            .with_fact("audiences", role.bound_audiences.join(", "));
    }
    let wanted: Vec<&str> = role.bound_audiences.iter().map(String::as_str).chain([client_id]).collect();
    let found =
        if role.bound_audiences.is_empty() { "none".to_owned() } else { role.bound_audiences.join(", ") };
    failed().with_fact("audiences", found).with_fix(fix::audiences(mount, role_name, role, &wanted))
}

/// How long the tokens of people should live at the most: a working day and the night after.
const LONGEST_TTL: Duration = Duration::from_secs(24 * 3600);

/// Below that nobody renews in time: a minute.
const SHORTEST_TTL: Duration = Duration::from_secs(60);

/// Judges how long the tokens of the roles live.
pub(super) fn lifetimes(methods: &[Method<'_>]) -> Finding {
    let (mut told, mut wrong, mut fixes) = (Vec::new(), Vec::new(), String::new());
    for method in methods {
        let Some(role) = &method.role else { continue };
        let name = format!("{}/{}", method.mount, method.role_name);
        let ttl = role.tokens.ttl.or(method.mount_ttl).filter(|ttl| !ttl.is_zero());
        let shown = ttl.map_or("as the mount says".to_owned(), |ttl| format!("{} s", ttl.as_secs()));
        told.push(format!("{name} {shown}"));
        if let Some((trouble, fields)) = trouble_of(&role.tokens, ttl) {
            wrong.push(format!("{name} {trouble}"));
            fixes += &fix::role(method.mount, method.role_name, role, fields);
        }
    }
    if wrong.is_empty() {
        return Finding::new("token-ttl", Outcome::Ok).with_fact("lives", told.join(", "));
    }
    Finding::new("token-ttl", Outcome::Warning).with_fact("found", wrong.join("; ")).with_fix(fixes)
}

fn trouble_of(tokens: &RoleTokens, ttl: Option<Duration>) -> Option<(String, &'static str)> {
    if tokens.period.is_some_and(|period| !period.is_zero())
        && tokens.explicit_max_ttl.is_none_or(|it| it.is_zero())
    {
        return Some((
            "never end as long as they are renewed".into(),
            " token_period=0 token_ttl=1h token_max_ttl=24h",
        ));
    }
    if tokens.num_uses > 0 {
        return Some((
            format!("can be used {} times, and a renewal is a use", tokens.num_uses),
            " token_num_uses=0",
        ));
    }
    match ttl {
        Some(ttl) if ttl > LONGEST_TTL => {
            Some((format!("live {} h", ttl.as_secs() / 3600), " token_ttl=1h token_max_ttl=24h"))
        }
        Some(ttl) if ttl < SHORTEST_TTL => Some((format!("live {} s", ttl.as_secs()), " token_ttl=1h")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn told(finding: &Finding) -> (Outcome, bool) {
        (finding.outcome(), finding.fix().is_some())
    }

    const FINE: (Outcome, bool) = (Outcome::Ok, false);
    const FAILED: (Outcome, bool) = (Outcome::Failed, true);
    const WARNED: (Outcome, bool) = (Outcome::Warning, true);

    #[test]
    fn clocks_are_judged_by_how_far_they_are_apart_either_way() {
        for (ours, theirs, expected) in [
            (1000, 1029, FINE),
            (1000, 970, WARNED),
            (1000, 1059, WARNED),
            (1000, 1060, FAILED),
            (1060, 1000, FAILED),
        ] {
            assert_eq!(told(&clock("clock", "Vault", at(ours), at(theirs))), expected, "{ours} {theirs}");
        }
        let behind = |ours, theirs| format!("{:?}", clock("clock", "Vault", at(ours), at(theirs)));
        assert!(behind(1000, 2000).contains("this machine") && behind(2000, 1000).contains("Vault"));
    }

    fn node(state: u16, body: &str) -> Health {
        use latchkey_transport::Exchange as _;
        latchkey_vault_client::sys::ReadHealth.receive(Reply::new(state, body.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn a_node_that_serves_nobody_is_down() {
        let body = r#"{"initialized":true,"sealed":false,"server_time_utc":1,"version":"2"}"#;
        for (status, expected) in [
            (200, FINE),
            (429, FINE),
            (473, FINE),
            (501, (Outcome::Down, true)),
            (503, (Outcome::Down, true)),
            (472, (Outcome::Down, true)),
            (474, (Outcome::Down, true)),
            (530, (Outcome::Down, true)),
        ] {
            assert_eq!(told(&health(&node(status, body))), expected, "{status}");
        }
    }

    #[test]
    fn a_page_may_call_if_its_origin_or_every_one_is_allowed() {
        let vault: Url = "https://vault.example".parse().unwrap();
        let judge = |allowed: Option<&str>| {
            let answers = [("https://hub.example".to_owned(), allowed.map(str::to_owned))];
            (
                told(&vault_cors(&vault, None, &answers)),
                told(&provider_cors("https://id/realms/r", "c", &answers)),
            )
        };
        assert_eq!(judge(Some("https://hub.example")), (FINE, FINE));
        assert_eq!(judge(Some("*")), (FINE, FINE));
        assert_eq!(judge(Some("https://other.example")), (FAILED, FAILED));
        assert_eq!(judge(None), (FAILED, FAILED));
    }

    #[test]
    fn a_redirect_address_is_allowed_if_people_are_sent_there() {
        let to = |location: &str| Reply::new(302, "").with_header("location", location);
        let uri = "https://hub.example/cb";
        for (reply, expected) in [
            (to("https://hub.example/cb?error=login_required&state=x"), Redirect::Allowed),
            (to("https://hub.example/cb#error=login_required"), Redirect::Allowed),
            (to("https://hub.example/cb.evil?x"), Redirect::Unclear),
            (to("https://id.example/error"), Redirect::Unclear),
            (Reply::new(400, "Invalid parameter: redirect_uri"), Redirect::Refused),
            (Reply::new(200, "<html>"), Redirect::Unclear),
            (Reply::new(503, ""), Redirect::Unclear),
        ] {
            assert_eq!(redirect(uri, &reply), expected, "{reply:?}");
        }
        let page = to("https://id.example/oauth/oob?error=login_required");
        assert_eq!(redirect("urn:ietf:wg:oauth:2.0:oob", &page), Redirect::Allowed);
        let answers = |found| [("a".to_owned(), Redirect::Allowed), ("b".to_owned(), found)];
        let judge = |found| told(&provider_redirects("https://id/realms/r", "c", &answers(found)));
        assert_eq!(judge(Redirect::Allowed), FINE);
        assert_eq!(judge(Redirect::Refused), FAILED);
        assert_eq!(judge(Redirect::Unclear), (Outcome::Skipped, false));
    }

    #[test]
    fn a_provider_without_a_key_that_signs_is_told() {
        let rsa = r#"{"keys":[{"kty":"RSA","use":"enc","n":"AQ","e":"AQAB"}]}"#;
        assert_eq!(told(&keys(&KeySet::parse(rsa.as_bytes()).unwrap())), FAILED);
    }

    #[test]
    fn a_default_policy_that_opens_something_is_told() {
        assert_eq!(
            told(&default_policy("path \"auth/token/renew-self\" { capabilities = [\"update\"] }")),
            FINE
        );
        assert_eq!(told(&default_policy("path \"secret/data/*\" { capabilities = [\"read\"] }")), FAILED);
    }

    fn method(config: Option<&str>, role: Option<&str>) -> Method<'static> {
        Method {
            mount: "jwt",
            role_name: "default",
            config: config.map(|json| serde_json::from_str(json).unwrap()),
            role: role.map(|json| serde_json::from_str(json).unwrap()),
            mount_ttl: Some(Duration::from_secs(3600)),
        }
    }

    #[test]
    fn an_issuer_is_compared_sign_by_sign() {
        let issuer = "https://id.example/realms/r";
        for (config, expected) in [
            (Some(r#"{"oidc_discovery_url":"https://id.example/realms/r"}"#), FINE),
            (
                Some(
                    r#"{"oidc_discovery_url":"https://id.example/realms/r","bound_issuer":"https://id.example/realms/r/"}"#,
                ),
                FAILED,
            ),
            (Some(r#"{"oidc_discovery_url":"https://id.example/realms/r/"}"#), FAILED),
            (
                Some(
                    r#"{"jwks_url":"https://id.example/keys","bound_issuer":"https://id.example/realms/r"}"#,
                ),
                FINE,
            ),
            (Some(r#"{"jwks_url":"https://id.example/keys"}"#), FAILED),
            (None, FAILED),
        ] {
            assert_eq!(told(&trust(&[method(config, None)], issuer)), expected, "{config:?}");
        }
    }

    #[test]
    fn a_role_must_name_the_client_among_its_audiences() {
        for (role, expected) in [
            (Some(r#"{"role_type":"jwt","bound_audiences":["other","vault-oidc"]}"#), FINE),
            (Some(r#"{"role_type":"jwt","bound_audiences":["other"]}"#), FAILED),
            (Some(r#"{"role_type":"jwt"}"#), FAILED),
            (Some(r#"{"role_type":"oidc","bound_audiences":["vault-oidc"]}"#), FAILED),
            (None, FAILED),
        ] {
            assert_eq!(told(&audience(&method(None, role), "vault-oidc")), expected, "{role:?}");
        }
    }

    #[test]
    fn a_life_of_weeks_or_seconds_is_told() {
        for (role, expected) in [
            (r#"{"token_ttl":3600}"#, FINE),
            (r#"{"token_ttl":86400}"#, FINE),
            ("{}", FINE),
            (r#"{"token_ttl":86401}"#, WARNED),
            (r#"{"token_ttl":59}"#, WARNED),
            (r#"{"token_period":3600}"#, WARNED),
            (r#"{"token_period":3600,"token_explicit_max_ttl":86400}"#, FINE),
            (r#"{"token_ttl":3600,"token_num_uses":3}"#, WARNED),
        ] {
            assert_eq!(told(&lifetimes(&[method(None, Some(role))])), expected, "{role}");
        }
        let weeks = Method { mount_ttl: Some(Duration::from_secs(768 * 3600)), ..method(None, Some("{}")) };
        assert_eq!(told(&lifetimes(&[weeks])), WARNED);
    }
}
