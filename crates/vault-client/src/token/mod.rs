//! Tokens: what they are, and what can be done with them.
//!
//! The API: <https://developer.hashicorp.com/vault/api-docs/auth/token>

mod create;
mod lookup;
mod renew;
mod revoke;
mod role;

pub use create::{CreateToken, TokenRequest};
pub use lookup::{ListAccessors, LookupSelf, LookupToken, TokenInfo};
pub use renew::{RenewSelf, RenewToken, Renewal};
pub use revoke::{RevokeSelf, RevokeToken};
pub use role::{DeleteRole, ListRoles, ReadRole, Role, RoleSettings, TidyTokens, WriteRole};

use std::time::Duration;

use latchkey_transport::Body;
use serde::Serialize;

use crate::reply;
use crate::{Error, Login, Token, Vault};

/// What can be done with tokens: with the one of this handle, and with others. Made by [`Vault::token`].
///
/// Each method names its exchange, where the API page, the errors and the retry class stand.
///
/// A token is named by itself or by its accessor, which names it without being it.
#[derive(Clone, Copy, Debug)]
pub struct TokenAuth<'a> {
    vault: &'a Vault,
}

impl<'a> TokenAuth<'a> {
    pub(crate) fn new(vault: &'a Vault) -> Self {
        Self { vault }
    }

    /// Logs in with a token that exists: looks it up, and returns it as any other login does.
    ///
    /// A token with a limited number of uses spends one. Fails with [`Error::TokenInvalid`], or where the server does
    /// not say it in words [`Error::PermissionDenied`]. See [`LookupSelf`].
    pub async fn login(&self, token: &Token) -> Result<Login, Error> {
        let info = self.vault.with_token(token).perform(LookupSelf).await?;
        Ok(info.into_login(token))
    }

    /// Makes a token, a child of the one of this handle: it ends with it.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use latchkey_vault_client::{Error, Vault, token::TokenRequest};
    /// # async fn f(vault: Vault) -> Result<(), Error> {
    /// let request = TokenRequest::default()
    ///     .with_policies(["reader"])
    ///     .without_default_policy()
    ///     .with_ttl(Duration::from_secs(3600));
    /// let login = vault.token().create(&request).await?;
    /// let vault = vault.with_token(login.token());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Not repeated once the server may have seen it: nobody would know the first token. See [`CreateToken`].
    pub async fn create(&self, request: &TokenRequest) -> Result<Login, Error> {
        self.vault.perform(CreateToken::new(request)?).await
    }

    /// Makes a token that does not end with the one of this handle. See [`CreateToken`].
    pub async fn create_orphan(&self, request: &TokenRequest) -> Result<Login, Error> {
        self.vault.perform(CreateToken::orphan(request)?).await
    }

    /// Makes a token by a token role, which may allow and demand more or less than the token of this handle may.
    /// See [`CreateToken`].
    pub async fn create_by_role(&self, role: &str, request: &TokenRequest) -> Result<Login, Error> {
        self.vault.perform(CreateToken::by_role(role, request)?).await
    }

    /// Returns what the server knows of the token. A token with a limited number of uses spends one.
    /// See [`LookupSelf`].
    pub async fn lookup_self(&self) -> Result<TokenInfo, Error> {
        self.vault.perform(LookupSelf).await
    }

    /// Returns what the server knows of another token.
    ///
    /// Fails with [`Error::UnknownToken`] where that is nothing. See [`LookupToken`].
    pub async fn lookup(&self, token: &Token) -> Result<TokenInfo, Error> {
        self.vault.perform(LookupToken::new(token)?).await
    }

    /// Returns what the server knows of the token with that accessor.
    ///
    /// Fails with [`Error::UnknownToken`] where that is nothing. See [`LookupToken`].
    pub async fn lookup_accessor(&self, accessor: &str) -> Result<TokenInfo, Error> {
        self.vault.perform(LookupToken::by_accessor(accessor)?).await
    }

    /// Renews the token, so that it lives for `increment` from now if the server's limits allow it.
    ///
    /// The increment is always sent: without one the server repeats what was granted *last*. A lease shorter than
    /// the increment is how the server says that the token's greatest age is near. A periodic token is renewed by its
    /// period, whatever the increment.
    ///
    /// Fails with [`Error::NotRenewable`] where the token never could be renewed, or no longer can. See [`RenewSelf`].
    pub async fn renew_self(&self, increment: Duration) -> Result<Renewal, Error> {
        self.vault.perform(RenewSelf::new(increment)).await
    }

    /// Renews another token. Fails as [`renew_self`](TokenAuth::renew_self) does, and with [`Error::UnknownToken`].
    /// See [`RenewToken`].
    pub async fn renew(&self, token: &Token, increment: Duration) -> Result<Renewal, Error> {
        self.vault.perform(RenewToken::new(token, increment)?).await
    }

    /// Renews the token with that accessor. Fails as [`renew`](TokenAuth::renew) does. See [`RenewToken`].
    pub async fn renew_accessor(&self, accessor: &str, increment: Duration) -> Result<Renewal, Error> {
        self.vault.perform(RenewToken::by_accessor(accessor, increment)?).await
    }

    /// Revokes the token and everything that was made with it. That it is dead already counts as success where the
    /// server says so in words; `OpenBao` calls it [`Error::PermissionDenied`].
    ///
    /// If the reply is lost, it is asked for again, and then any word for a dead token is a success.
    /// See [`RevokeSelf`].
    pub async fn revoke_self(&self) -> Result<(), Error> {
        match self.vault.perform(RevokeSelf).await {
            Err(Error::Transport(lost)) if lost.may_have_acted() => {
                match self.vault.perform(RevokeSelf).await {
                    Err(Error::PermissionDenied(_)) => Ok(()),
                    outcome => outcome,
                }
            }
            outcome => outcome,
        }
    }

    /// Revokes another token and everything that was made with it. That there is none counts as success.
    /// See [`RevokeToken`].
    pub async fn revoke(&self, token: &Token) -> Result<(), Error> {
        self.vault.perform(RevokeToken::new(token)?).await
    }

    /// Revokes the token with that accessor and everything that was made with it. That there is none counts as success.
    /// See [`RevokeToken`].
    pub async fn revoke_accessor(&self, accessor: &str) -> Result<(), Error> {
        self.vault.perform(RevokeToken::by_accessor(accessor)?).await
    }

    /// Revokes another token but not what was made with it: its children become orphans. That there is none counts as
    /// success. Servers let only the mightiest tokens do this. See [`RevokeToken`].
    pub async fn revoke_orphan(&self, token: &Token) -> Result<(), Error> {
        self.vault.perform(RevokeToken::orphan(token)?).await
    }

    /// Lists the accessors of all tokens. Servers let only the mightiest tokens do this. See [`ListAccessors`].
    pub async fn accessors(&self) -> Result<Vec<String>, Error> {
        self.vault.perform(ListAccessors).await
    }

    /// Reads a token role; `None` where there is none. See [`ReadRole`].
    pub async fn role(&self, name: &str) -> Result<Option<Role>, Error> {
        self.vault.perform(ReadRole::new(name)?).await
    }

    /// Lists the names of the token roles. See [`ListRoles`].
    pub async fn roles(&self) -> Result<Vec<String>, Error> {
        self.vault.perform(ListRoles).await
    }

    /// Makes a token role, or changes one; what is not set stays as it is. See [`WriteRole`].
    pub async fn write_role(&self, name: &str, settings: &RoleSettings) -> Result<(), Error> {
        self.vault.perform(WriteRole::new(name, settings)?).await
    }

    /// Removes a token role. Tokens that were made by it live on, but cannot be renewed. See [`DeleteRole`].
    pub async fn delete_role(&self, name: &str) -> Result<(), Error> {
        self.vault.perform(DeleteRole::new(name)?).await
    }

    /// Lets the server look for leftovers of tokens and remove them. It goes on after the call returns.
    /// See [`TidyTokens`].
    pub async fn tidy(&self) -> Result<(), Error> {
        self.vault.perform(TidyTokens).await
    }
}

/// Writes a body that names a token by itself.
fn naming(token: &Token, increment: Option<u64>) -> Result<Body, Error> {
    #[derive(Serialize)]
    struct Fields<'a> {
        token: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        increment: Option<u64>,
    }
    // Opened to be sent: it is what the call is about.
    reply::json(&Fields { token: token.expose_secret(), increment })
}

/// Writes a body that names a token by its accessor.
fn naming_accessor(accessor: &str, increment: Option<u64>) -> Result<Body, Error> {
    #[derive(Serialize)]
    struct Fields<'a> {
        accessor: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        increment: Option<u64>,
    }
    reply::json(&Fields { accessor, increment })
}

/// Makes of an error about the token that was *sent* one about the token that was *named*.
fn about_the_named(error: Error) -> Error {
    const DEAD: [&str; 6] = [
        "bad token",
        "invalid accessor",
        "token not found",
        "token to revoke not found",
        "lease not found",
        "invalid lease ID",
    ];
    let says = |refusal: &crate::Refusal| {
        refusal.messages.iter().any(|said| DEAD.iter().any(|dead| said.contains(dead)))
    };
    match error {
        Error::TokenInvalid(refusal) | Error::InvalidRequest(refusal) if says(&refusal) => {
            Error::UnknownToken(refusal)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use latchkey_transport::{Exchange, Method, Reply};

    use super::*;
    use crate::script::{lost, script};

    #[test]
    fn a_token_looks_up_renews_and_revokes_itself() {
        let lookup = LookupSelf.request();
        assert_eq!((lookup.method(), lookup.path()), (Method::Get, "/v1/auth/token/lookup-self"));
        let revoke = RevokeSelf.request();
        assert_eq!((revoke.method(), revoke.path()), (Method::Post, "/v1/auth/token/revoke-self"));
        let renew = RenewSelf::new(Duration::from_secs(3600)).request();
        assert_eq!((renew.method(), renew.path()), (Method::Post, "/v1/auth/token/renew-self"));
        assert_eq!(renew.body().unwrap().expose_secret(), br#"{"increment":3600}"#);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_revocation_whose_reply_was_lost_is_asked_for_again() {
        let denied = || Ok(Reply::new(403, r#"{"errors":["permission denied"]}"#));
        for (outcomes, is_revoked, sent) in
            [(vec![lost(), denied()], true, 2), (vec![lost(), lost()], false, 2), (vec![denied()], false, 1)]
        {
            let script = script(outcomes);
            let vault = Vault::new("https://vault".parse().unwrap(), script.clone());
            assert_eq!(vault.token().revoke_self().await.is_ok(), is_revoked);
            assert_eq!(script.sent().len(), sent);
        }
    }

    #[test]
    fn a_good_status_with_another_body_is_malformed() {
        for body in ["", "{}", "<html>", r#"{"data":{}}"#, r#"{"data":{"accessor":1}}"#, r#"{"auth":{}}"#] {
            let lookup = LookupSelf.receive(Reply::new(200, body)).unwrap_err();
            assert_eq!(lookup.code(), "vault_malformed_reply", "{body}");
            let renewal = RenewSelf::new(Duration::ZERO).receive(Reply::new(200, body)).unwrap_err();
            assert_eq!(renewal.code(), "vault_malformed_reply", "{body}");
        }
    }
}
