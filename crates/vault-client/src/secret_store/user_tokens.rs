//! Tokens that open the store of one user: for whoever starts things on users' behalf, such as a hub.

use std::time::Duration;

use super::layout::{OWN_TOKEN, checked};
use super::{Layout, UserName};
use crate::sys::MountKind;
use crate::token::{RoleSettings, TokenRequest};
use crate::{Error, Login, PathPart, Vault};

/// Gives each user a token that opens the store of that user and nothing else.
///
/// There are two ways. Both make orphans, which outlive the token that makes them, without the policy `default`, with a
/// time to live and a longest life:
///
/// - **[By a token role](Self::issue_by_role)**, the better one: one templated policy for all, and a role that makes tokens
///   for the entity with the user's alias. An operator calls [`prepare_role`](Self::prepare_role) once; whoever then makes
///   the tokens needs the rights of [`issuer_policy`](Self::issuer_policy) only, and cannot write any policy.
/// - **[With a policy each](Self::issue_with_own_policy)**: whoever makes the tokens writes a policy for every user, and so
///   could write any policy below that name. For servers whose operator wants to see each user's policy.
///
/// ```no_run
/// # use latchkey_vault_client::{Error, Vault, secret_store::{Layout, Terms, UserName, UserTokens}};
/// # async fn f(operator: Vault, hub: Vault) -> Result<(), Error> {
/// let terms = Terms::default();
/// UserTokens::new(operator, Layout::default()).prepare_role("jupyter-users", &terms).await?;
/// let tokens = UserTokens::new(hub, Layout::default());
/// let login = tokens.issue_by_role("jupyter-users", &UserName::new("alice")?, &terms).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct UserTokens {
    vault: Vault,
    layout: Layout,
}

/// How long the tokens of users live. The usual terms are a day at first, and a week at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    ttl: Duration,
    longest: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self { ttl: DAY, longest: 7 * DAY }
    }
}

impl Terms {
    /// Lets a token live for `ttl` at first, and for `longest` however often it is renewed; in whole seconds.
    pub fn new(ttl: Duration, longest: Duration) -> Self {
        Self { ttl, longest: longest.max(ttl) }
    }

    /// Returns how long a token lives at first, and by what it should be renewed.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Returns how long it lives at the most.
    pub fn longest(&self) -> Duration {
        self.longest
    }
}

impl UserTokens {
    /// Makes tokens with the handle's own token, for stores in that layout.
    pub fn new(vault: Vault, layout: Layout) -> Self {
        Self { vault, layout }
    }

    /// Makes or mends the templated policy and the token role, both of that name: once, by an operator.
    ///
    /// Fails with [`Error::InvalidPath`] where the name cannot stand in a policy, and with [`Error::PermissionDenied`].
    /// Every call of it is repeated freely ([`Replay::Safe`](latchkey_transport::Replay::Safe)).
    pub async fn prepare_role(&self, role: &str, terms: &Terms) -> Result<(), Error> {
        let role = checked(PathPart::Role, role)?;
        let mounts = self.vault.sys().mounts(MountKind::AuthMethod).await?;
        // Every server has it.
        let accessor = mounts.get("token/").map(|mount| mount.accessor.as_str()).unwrap_or_default();
        let policy = self.layout.templated_policy(accessor)?;
        self.vault.sys().write_policy(role, &policy).await?;
        let settings = RoleSettings::default()
            .with_allowed_policies([role])
            .with_allowed_entity_aliases(["*"])
            .with_orphan(true)
            .with_renewable(true)
            .with_explicit_max_ttl(terms.longest)
            .with_no_default_policy(true);
        self.vault.token().write_role(role, &settings).await
    }

    /// Returns the policy of whoever calls [`issue_by_role`](Self::issue_by_role), such as a hub: it may make tokens by
    /// that role, and keep its own token alive. It can write no policy and read no secret.
    ///
    /// Fails with [`Error::InvalidPath`].
    pub fn issuer_policy(role: &str) -> Result<String, Error> {
        let role = checked(PathPart::Role, role)?;
        Ok(format!(
            "path \"auth/token/create/{role}\" {{ capabilities = [\"create\", \"update\"] }}\n{OWN_TOKEN}"
        ))
    }

    /// Makes a token for a user by a role of [`prepare_role`](Self::prepare_role).
    ///
    /// It is repeated only where the server did not run it, as for every token that is made. Fails with
    /// [`Error::PermissionDenied`], with [`Error::InvalidRequest`] where the role is not there or does not allow the user,
    /// and with [`Error::MalformedReply`] where the token would have more policies than it should; then it is revoked.
    /// See [`CreateToken`](crate::token::CreateToken).
    pub async fn issue_by_role(&self, role: &str, user: &UserName, terms: &Terms) -> Result<Login, Error> {
        let role = checked(PathPart::Role, role)?;
        // Servers take aliases that differ in case only for one: the alias is the encoded name, as in the path.
        let request = request(role, user, terms).with_entity_alias(user.encoded());
        let login = self.vault.token().create_by_role(role, &request).await?;
        self.only_with(login, role).await
    }

    /// Writes a user's own policy, and makes a token that has no other.
    ///
    /// Fails as [`issue_by_role`](Self::issue_by_role) does.
    pub async fn issue_with_own_policy(&self, user: &UserName, terms: &Terms) -> Result<Login, Error> {
        let name = self.layout.policy_name(user);
        self.vault.sys().write_policy(&name, &self.layout.policy(user)).await?;
        let login = self.vault.token().create_orphan(&request(&name, user, terms)).await?;
        self.only_with(login, &name).await
    }

    /// Removes a user's own policy: tokens that have it open nothing any more. The secrets stay.
    /// See [`DeletePolicy`](crate::sys::DeletePolicy).
    pub async fn withdraw_own_policy(&self, user: &UserName) -> Result<(), Error> {
        self.vault.sys().delete_policy(&self.layout.policy_name(user)).await
    }

    /// A token that has more than was asked for is nobody's.
    async fn only_with(&self, login: Login, policy: &str) -> Result<Login, Error> {
        let is_right = |policies: &[String]| matches!(policies, [only] if only.eq_ignore_ascii_case(policy));
        if is_right(&login.token_policies) || is_right(&login.policies) {
            return Ok(login);
        }
        // By itself where it may; by whoever made it otherwise.
        if self.vault.with_token(login.token()).token().revoke_self().await.is_err() {
            self.vault.token().revoke(login.token()).await?;
        }
        Err(Error::MalformedReply { status: 200, length: 0, wanted: "a token with one policy only" })
    }
}

fn request(policy: &str, user: &UserName, terms: &Terms) -> TokenRequest {
    TokenRequest::default()
        .with_policies([policy])
        .without_default_policy()
        .with_ttl(terms.ttl)
        .with_explicit_max_ttl(terms.longest)
        .with_renewable(true)
        .with_display_name(format!("notebook-{}", user.encoded()))
        .with_metadata("username", user.as_str())
}

#[cfg(test)]
mod tests {
    use latchkey_transport::{Method, Reply};

    use super::*;
    use crate::script::script;

    fn made(policies: &str) -> Reply {
        let auth = format!(
            r#"{{"auth":{{"client_token":"s.hush","accessor":"acc","policies":{policies},"token_policies":{policies},"lease_duration":60}}}}"#
        );
        Reply::new(200, auth)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_token_by_role_is_asked_for_with_the_encoded_alias_and_no_default_policy() {
        let script = script([Ok(made(r#"["jupyter-users"]"#))]);
        let vault = Vault::new("https://vault".parse().unwrap(), script.clone());
        let tokens = UserTokens::new(vault, Layout::default());
        let terms = Terms::new(Duration::from_secs(60), Duration::from_secs(120));
        let user = UserName::new("Alice").unwrap();
        tokens.issue_by_role("jupyter-users", &user, &terms).await.unwrap();
        let sent = script.sent();
        assert_eq!(sent[0].path(), "/v1/auth/token/create/jupyter-users");
        let body: serde_json::Value =
            serde_json::from_slice(sent[0].body().unwrap().expose_secret()).unwrap();
        assert_eq!(
            body,
            serde_json::json!({"policies": ["jupyter-users"], "no_default_policy": true, "ttl": "60s",
                "explicit_max_ttl": "120s", "renewable": true, "display_name": "notebook-~41lice",
                "entity_alias": "~41lice", "meta": {"username": "Alice"}})
        );
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_token_that_has_more_than_its_policy_is_revoked_and_not_handed_out() {
        for policies in [r#"["default","jupyter-users-alice"]"#, "[]", r#"["other"]"#] {
            let outcomes = [Ok(Reply::new(204, "")), Ok(made(policies)), Ok(Reply::new(204, ""))];
            let script = script(outcomes);
            let vault = Vault::new("https://vault".parse().unwrap(), script.clone());
            let tokens = UserTokens::new(vault, Layout::default());
            let user = UserName::new("alice").unwrap();
            let error = tokens.issue_with_own_policy(&user, &Terms::default()).await.unwrap_err();
            assert_eq!(error.code(), "vault_malformed_reply");
            let sent = script.sent();
            let paths: Vec<_> = sent.iter().map(|request| (request.method(), request.path())).collect();
            assert_eq!(
                paths,
                [
                    (Method::Post, "/v1/sys/policies/acl/jupyter-users-alice"),
                    (Method::Post, "/v1/auth/token/create-orphan"),
                    (Method::Post, "/v1/auth/token/revoke-self"),
                ]
            );
        }
    }

    #[test]
    fn the_one_who_makes_tokens_can_do_nothing_else() {
        let policy = UserTokens::issuer_policy("jupyter-users").unwrap();
        assert!(!policy.contains("sys/polic") && policy.contains("auth/token/create/jupyter-users\""));
        for role in ["*", "", "a\" {}", "..", "+"] {
            assert!(UserTokens::issuer_policy(role).is_err(), "{role}");
        }
    }

    #[test]
    fn the_longest_life_is_never_shorter_than_the_first() {
        let terms = Terms::new(Duration::from_secs(60), Duration::from_secs(1));
        assert_eq!((terms.ttl(), terms.longest()), (Duration::from_secs(60), Duration::from_secs(60)));
    }
}
