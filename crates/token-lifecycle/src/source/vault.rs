//! Tokens of a Vault or `OpenBao`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use latchkey_transport::Secret;
use latchkey_vault_client::auth::ServiceAccountToken;
use latchkey_vault_client::{Error, Login, Messages, TokenType, Vault};

use super::{Failure, Granted, Source};
use crate::{Ladder, Lease, MaybeSend, MaybeSync, Step};

/// Tokens of a Vault or `OpenBao`: signs in, renews, looks up, revokes.
///
/// ```no_run
/// use latchkey_token_lifecycle::{Keeper, VaultTokens};
/// # use latchkey_transport::Secret;
/// # use latchkey_vault_client::{Vault, auth::ServiceAccountToken};
/// # async fn f(vault: Vault) -> Result<(), Box<dyn std::error::Error>> {
/// // A service on Kubernetes: the file is read anew for each login.
/// let tokens = VaultTokens::kubernetes(vault.clone(), "kubernetes", "app", ServiceAccountToken::default());
/// # #[cfg(feature = "tokio")] {
/// let keeper = Keeper::of(tokens).spawn().ok_or("no tokio runtime")?;
///
/// let login = keeper.token().await?;
/// let secret = vault.with_token(login.token()).kv2("secret").read("team/app").await?;
/// # let _ = secret; }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct VaultTokens {
    vault: Vault,
    sign_in: Option<Arc<dyn SignIn>>,
    increment: Option<Duration>,
    has_person: bool,
}

impl VaultTokens {
    /// Signs in with a JWT, which is asked for anew each time.
    pub fn jwt(
        vault: Vault,
        mount: impl Into<String>,
        role: impl Into<String>,
        jwts: impl Jwts + 'static,
    ) -> Self {
        Self::by(vault, ByJwt { mount: mount.into(), role: role.into(), jwts })
    }

    /// Signs in with the service account of a pod. Kubernetes replaces the token in the file now and then.
    pub fn kubernetes(
        vault: Vault,
        mount: impl Into<String>,
        role: impl Into<String>,
        file: ServiceAccountToken,
    ) -> Self {
        Self::by(vault, ByKubernetes { mount: mount.into(), role: role.into(), file })
    }

    /// Signs in as a program with two ids.
    pub fn approle(
        vault: Vault,
        mount: impl Into<String>,
        role_id: impl Into<String>,
        secret_id: Secret,
    ) -> Self {
        Self::by(vault, ByAppRole { mount: mount.into(), role_id: role_id.into(), secret_id })
    }

    /// Signs in in a way of your own.
    pub fn by(vault: Vault, sign_in: impl SignIn + 'static) -> Self {
        Self { vault, sign_in: Some(Arc::new(sign_in)), increment: None, has_person: false }
    }

    /// Does not sign in: renews what it is given
    /// ([`KeeperBuilder::with_token`](crate::KeeperBuilder::with_token), [`Keeper::supply`](crate::Keeper::supply)).
    pub fn given(vault: Vault) -> Self {
        Self { vault, sign_in: None, increment: None, has_person: false }
    }

    /// Says that a person can be asked to sign in where nothing else helps.
    pub fn with_person(mut self) -> Self {
        self.has_person = true;
        self
    }

    /// Asks for that much life at each renewal, instead of for what the token had at first.
    pub fn with_increment(mut self, increment: Duration) -> Self {
        self.increment = Some(increment);
        self
    }
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl Source for VaultTokens {
    type Token = Login;

    fn ladder(&self) -> Ladder {
        let ladder = match self.sign_in {
            Some(_) => Ladder::of(&[Step::Renew, Step::Probe, Step::SignIn]),
            None => Ladder::of(&[Step::Renew, Step::Probe]),
        };
        if self.has_person { ladder.with_person() } else { ladder }
    }

    async fn sign_in(&self, now: SystemTime) -> Result<Granted<Login>, Failure> {
        let Some(sign_in) = &self.sign_in else { return Err(Failure::over()) };
        let login = sign_in.sign_in(&self.vault.without_token(), now).await?;
        let lease = Lease::from(&login);
        Ok(Granted { token: login, lease })
    }

    async fn renew(&self, login: &Login, _: SystemTime) -> Result<Lease, Failure> {
        // Without an increment the server would repeat what it granted last, which shrinks near the cap.
        let increment = self.increment.or(login.lease.time_to_live()).unwrap_or(Duration::from_secs(3600));
        let renewal = self.vault.with_token(login.token()).token().renew_self(increment).await?;
        let lease = lease(renewal.lease.time_to_live(), renewal.lease.renewable);
        Ok(lease.with_cap_warning(tells_of_cap(&renewal.warnings)))
    }

    async fn probe(&self, login: &Login, _: SystemTime) -> Result<(), Failure> {
        self.vault.with_token(login.token()).token().lookup_self().await?;
        Ok(())
    }

    async fn revoke(&self, login: &Login, _: SystemTime) -> Result<(), Failure> {
        Ok(self.vault.with_token(login.token()).token().revoke_self().await?)
    }
}

/// What a login tells about the life of its token.
impl From<&Login> for Lease {
    fn from(login: &Login) -> Self {
        let renewable = login.lease.renewable && login.token_type != TokenType::Batch;
        lease(login.lease.time_to_live(), renewable)
            .with_num_uses(login.num_uses)
            .with_cap_warning(tells_of_cap(&login.warnings))
    }
}

fn lease(ttl: Option<Duration>, renewable: bool) -> Lease {
    ttl.map_or(Lease::endless(), Lease::of).with_renewable(renewable)
}

/// `TTL of "X" exceeded the effective max_ttl of "Y"; TTL value is capped accordingly`
fn tells_of_cap(warnings: &Messages) -> bool {
    warnings.iter().any(|text| text.contains("capped accordingly"))
}

/// A way to sign in to a Vault without a person.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
pub trait SignIn: MaybeSend + MaybeSync {
    /// Signs in. `?` turns an error of the Vault client into a failure.
    async fn sign_in(&self, vault: &Vault, now: SystemTime) -> Result<Login, Failure>;
}

/// Where JWTs come from: a file, the hub, another keeper. Each login asks for one.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
pub trait Jwts: MaybeSend + MaybeSync {
    /// Returns a JWT that lives.
    async fn jwt(&self, now: SystemTime) -> Result<Secret, Failure>;
}

/// One JWT, as long as it lasts.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl Jwts for Secret {
    async fn jwt(&self, _: SystemTime) -> Result<Secret, Failure> {
        Ok(self.clone())
    }
}

/// A file that somebody keeps fresh; it is read anew each time.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl Jwts for ServiceAccountToken {
    async fn jwt(&self, _: SystemTime) -> Result<Secret, Failure> {
        Ok(self.read()?)
    }
}

struct ByJwt<J> {
    mount: String,
    role: String,
    jwts: J,
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl<J: Jwts> SignIn for ByJwt<J> {
    async fn sign_in(&self, vault: &Vault, now: SystemTime) -> Result<Login, Failure> {
        let jwt = self.jwts.jwt(now).await?;
        Ok(vault.jwt(&self.mount).login(&self.role, &jwt).await?)
    }
}

struct ByKubernetes {
    mount: String,
    role: String,
    file: ServiceAccountToken,
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl SignIn for ByKubernetes {
    async fn sign_in(&self, vault: &Vault, _: SystemTime) -> Result<Login, Failure> {
        Ok(vault.kubernetes(&self.mount).login_from_file(&self.role, &self.file).await?)
    }
}

struct ByAppRole {
    mount: String,
    role_id: String,
    secret_id: Secret,
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl SignIn for ByAppRole {
    async fn sign_in(&self, vault: &Vault, _: SystemTime) -> Result<Login, Failure> {
        Ok(vault.approle(&self.mount).login(&self.role_id, &self.secret_id).await?)
    }
}

/// What an error of the Vault client means for what is done next.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let failure = match &error {
            Error::RateLimited { retry_after } => Self::later_after(*retry_after),
            Error::Transport(cause) if cause.may_have_acted() => Self::unknown(),
            Error::TokenInvalid(_) => Self::dead(),
            Error::PermissionDenied(_) => Self::denied(),
            // Sealed, standby, a bad gateway; a 500 that is none of those that last; a proxy's page; a certificate or a
            // file that somebody will put right.
            Error::Transport(_)
            | Error::ServerFault(_)
            | Error::MalformedReply { .. }
            | Error::Redirected { .. }
            | Error::Uninitialised
            | Error::UnreadableFile { .. } => Self::later(),
            other if other.is_transient() => Self::later(),
            // Not renewable, past the max TTL, a role that is gone, a login that is refused.
            _ => Self::over(),
        };
        failure.because(error)
    }
}

#[cfg(test)]
mod tests {
    use latchkey_transport::{Exchange as _, Reply};
    use latchkey_vault_client::token::RenewSelf;

    use super::*;
    use crate::Setback;

    fn renewal(status: u16, body: &str) -> Setback {
        let error = RenewSelf::new(Duration::from_secs(1)).receive(Reply::new(status, body)).unwrap_err();
        Failure::from(error).setback()
    }

    #[test]
    fn every_refusal_of_a_renewal_means_what_the_servers_mean_by_it() {
        let errors = |text: &str| format!(r#"{{"errors":["{text}"]}}"#);
        for (status, text, setback) in [
            (400, "token not found", Setback::Dead),
            (400, "lease not found", Setback::Dead),
            (400, "invalid lease ID", Setback::Dead),
            (403, r"2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n", Setback::Dead),
            (403, "permission denied", Setback::Denied),
            (400, "lease is not renewable", Setback::Over),
            (400, "batch tokens cannot be renewed", Setback::Over),
            (400, "lease expired", Setback::Over),
            (500, r"1 error occurred:\n\t* past the max TTL, cannot renew\n\n", Setback::Over),
            (500, r"1 error occurred:\n\t* role x does not exist during renewal\n\n", Setback::Over),
            (500, r"1 error occurred:\n\t* something else\n\n", Setback::Later { after: None }),
            (503, "Vault is sealed", Setback::Later { after: None }),
        ] {
            assert_eq!(renewal(status, &errors(text)), setback, "{status} {text}");
        }
        assert_eq!(renewal(502, "<html>"), Setback::Later { after: None });
        assert_eq!(renewal(200, "<html>"), Setback::Later { after: None });
    }

    #[test]
    fn retry_after_is_passed_on() {
        let reply = Reply::new(429, "").with_header("Retry-After", "7");
        let error = RenewSelf::new(Duration::from_secs(1)).receive(reply).unwrap_err();
        let after = Some(Duration::from_secs(7));
        assert_eq!(Failure::from(error).setback(), Setback::Later { after });
    }

    #[test]
    fn an_answer_that_was_lost_may_have_been_acted_on() {
        let lost = latchkey_transport::Error::Lost { host: "vault".into(), cause: None };
        assert_eq!(Failure::from(Error::from(lost)).setback(), Setback::Unknown);
        let refused = latchkey_transport::Error::Unreachable { host: "vault".into(), cause: None };
        assert_eq!(Failure::from(Error::from(refused)).setback(), Setback::Later { after: None });
    }

    #[test]
    fn a_failure_shows_its_cause_and_no_secret() {
        let failure = Failure::from(Error::Sealed);
        assert_eq!(failure.to_string(), "no token can be had at the moment");
        assert_eq!(std::error::Error::source(&failure).unwrap().to_string(), "the server is sealed");
    }
}
