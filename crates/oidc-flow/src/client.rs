//! The client that people use.

use std::time::{Duration, SystemTime};

use latchkey_transport::{MaybeSend, Perform as _, Replay, Reply, Secret, json};
use serde::Deserialize;

use crate::form::FormExchange;
use crate::id_token::{
    Algorithm, Expectations, IdToken, IdTokenProblem, VerifiedIdToken, check_code, check_state,
};
use crate::token::RedeemCode;
use crate::{
    Assertions, Authentication, Authorize, CallbackParams, CallbackProblem, Dpop, Error, Misuse, Provider,
    Tokens, ValidatedCallback,
};

/// A client of a provider: the application that people sign in to.
///
/// Cloning it is cheap enough for one per login.
///
/// Specified in [RFC 6749, 2](https://www.rfc-editor.org/rfc/rfc6749#section-2).
#[derive(Clone, Debug)]
pub struct Client {
    provider: Provider,
    id: String,
    authentication: Authentication,
    assertions: Option<Assertions>,
    dpop: Option<Dpop>,
    expectations: Expectations,
}

impl Client {
    /// Takes the id under which the provider knows this application
    /// ([RFC 6749, 2.2](https://www.rfc-editor.org/rfc/rfc6749#section-2.2)). Without a secret it is a public client.
    pub fn new(provider: Provider, client_id: impl Into<String>) -> Self {
        let id = client_id.into();
        let tenants = provider.metadata().tenants.clone();
        let expectations = Expectations::new(provider.issuer(), id.as_str()).of_tenants(tenants);
        Self {
            provider,
            id,
            authentication: Authentication::None,
            assertions: None,
            dpop: None,
            expectations,
        }
    }

    /// Sets the client's secret ([RFC 6749, 2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)). It is sent
    /// as a header unless the provider says that it only takes it in a form.
    pub fn with_secret(self, secret: impl Into<Secret>) -> Self {
        let secret = secret.into();
        let takes = |method: &str| {
            self.provider.metadata().token_endpoint_auth_methods.iter().any(|this| this == method)
        };
        let authentication = if takes("client_secret_post") && !takes("client_secret_basic") {
            Authentication::SecretPost(secret)
        } else {
            Authentication::SecretBasic(secret)
        };
        self.with_authentication(authentication)
    }

    /// Sets how the client says who it is, whatever the provider says
    /// ([OpenID Connect Core, 9](https://openid.net/specs/openid-connect-core-1_0.html#ClientAuthentication)).
    pub fn with_authentication(mut self, authentication: Authentication) -> Self {
        self.authentication = authentication;
        self.assertions = None;
        self
    }

    /// Lets the client sign who it is, in place of sending a secret: `private_key_jwt` or `client_secret_jwt`
    /// ([RFC 7523, 2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2)).
    pub fn with_assertions(mut self, assertions: Assertions) -> Self {
        self.assertions = Some(assertions);
        self
    }

    /// Binds the tokens of this client to a key ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)): what gives or uses
    /// one proves to have the key, and a provider that gives a bearer token instead is refused.
    pub fn with_dpop(mut self, dpop: Dpop) -> Self {
        self.dpop = Some(dpop);
        self
    }

    /// Sets the signature algorithms that an ID token may have, in place of `RS256`
    /// ([OpenID Connect Core, 3.1.3.7](https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation)).
    pub fn with_algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.expectations = self.expectations.with_algorithms(algorithms);
        self
    }

    /// Takes ID tokens that are for that audience, too
    /// ([OpenID Connect Core, 3.1.3.7](https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation)).
    pub fn with_trusted_audience(mut self, audience: impl Into<String>) -> Self {
        self.expectations = self.expectations.with_trusted_audience(audience);
        self
    }

    /// Sets how far the provider's clock and `now` may be apart: at most [`Expectations::GREATEST_LEEWAY`]
    /// ([RFC 7519, 4.1.4](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4)).
    pub fn with_leeway(mut self, leeway: Duration) -> Self {
        self.expectations = self.expectations.with_leeway(leeway);
        self
    }

    /// Returns the client's id ([RFC 6749, 2.2](https://www.rfc-editor.org/rfc/rfc6749#section-2.2)).
    pub fn client_id(&self) -> &str {
        &self.id
    }

    /// Returns the key that the tokens are bound to, where there is one.
    pub fn dpop(&self) -> Option<&Dpop> {
        self.dpop.as_ref()
    }

    /// Returns the provider.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// Returns what this client expects of every ID token, for one that comes from elsewhere ([`Provider::verify`];
    /// [OpenID Connect Core, 3.1.3.7](https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation)).
    pub fn expectations(&self) -> &Expectations {
        &self.expectations
    }

    /// Prepares a login ([RFC 6749, 4.1.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.1)). The redirect address
    /// is the one that the provider has on its list, sign by sign.
    pub fn authorize(&self, redirect_uri: impl Into<String>) -> Authorize {
        Authorize::new(self.clone(), redirect_uri.into())
    }

    /// Says who this client is, for one request.
    pub(crate) async fn authentication(&self, now: SystemTime) -> Result<Authentication, Error> {
        match &self.assertions {
            Some(assertions) => assertions.make(&self.id, self.provider.issuer(), now).await,
            None => Ok(self.authentication.clone()),
        }
    }

    /// Calls the token endpoint, with a proof of the client's key where there is one, and once more where the provider
    /// wants a nonce of its own in it ([RFC 9449, 8](https://www.rfc-editor.org/rfc/rfc9449#section-8)): nothing is spent
    /// by then.
    pub(crate) async fn call<E>(&self, mut exchange: E, now: SystemTime) -> Result<E::Output, Error>
    where
        E: FormExchange,
        E::Output: MaybeSend,
    {
        let transport = self.provider.transport();
        let Some(dpop) = &self.dpop else { return transport.perform(exchange).await };
        // A proof is good for one request.
        let replay = if exchange.replay() == Replay::Never { Replay::Never } else { Replay::AfterRefusal };
        exchange.form_mut().prove(dpop, now).await?;
        let mut reply = transport.deliver(replay, &|| exchange.request()).await?;
        let address = exchange.form_mut().address().clone();
        if dpop.heard(&address, &reply) && wants_nonce(&reply) {
            exchange.form_mut().authenticate(self.authentication(now).await?);
            exchange.form_mut().prove(dpop, now).await?;
            reply = transport.deliver(replay, &|| exchange.request()).await?;
            dpop.heard(&address, &reply);
        }
        exchange.receive(reply)
    }

    /// Redeems the code and checks what comes back: tokens come out only when every check has passed
    /// ([RFC 6749, 4.1.3](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3) and
    /// [OpenID Connect Core, 3.1.3.7](https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation)).
    ///
    /// The provider's keys are fetched before the code is spent. After an error the code is gone: begin a new login.
    ///
    /// # Errors
    ///
    /// [`Misuse::OtherClient`] where the callback is that of another client. [`Error::IdToken`] where the ID token
    /// fails a check. [`Error::Refused`] and [`Error::Misbehaved`] for what the provider answers. [`Error::Unredeemed`]
    /// where the network failed while the code was redeemed.
    pub async fn redeem(&self, callback: ValidatedCallback, now: SystemTime) -> Result<Tokens, Error> {
        if callback.issuer != self.provider.issuer() || callback.client_id != self.id {
            return Err(Misuse::OtherClient.into());
        }
        self.provider.prepare(now).await?;
        let mut expectations = self
            .expectations
            .clone()
            .with_nonce(callback.nonce.clone())
            .with_acr_values(callback.acr_values.iter().cloned());
        if let Some(max_age) = callback.max_age {
            expectations = expectations.with_max_age(max_age);
        }
        let first = self.check_callbacks_token(&callback, &expectations, now).await?;
        let endpoint = self.provider.metadata().token_endpoint().clone();
        let redeem = RedeemCode::new(endpoint, self.id.as_str(), self.authentication(now).await?, &callback);
        let tokens = self.call(redeem, now).await.map_err(|error| match error {
            Error::Transport(cause) => Error::Unredeemed(cause),
            other => other,
        })?;
        let id_token = tokens.id_token().clone();
        let proof = self.provider.verify(id_token, &expectations, Some(tokens.access_token()), now).await?;
        check_code(tokens.id_token(), &callback.code, false)?;
        if let Some(first) = first {
            // Core, 3.3.3.6: "the iss and sub Claim Values MUST be identical in both ID Tokens."
            let same =
                [("iss", first.issuer() == proof.issuer()), ("sub", first.subject() == proof.subject())];
            if let Some((claim, _)) = same.into_iter().find(|(_, is_same)| !is_same) {
                return Err(IdTokenProblem::NotTheCallbacks { claim }.into());
            }
        }
        Ok(tokens.release(proof, &self.id, callback.scopes, callback.session_state, now))
    }

    /// Checks the ID token that came beside the code, where one was asked for: before the code is spent.
    async fn check_callbacks_token(
        &self,
        callback: &ValidatedCallback,
        expectations: &Expectations,
        now: SystemTime,
    ) -> Result<Option<VerifiedIdToken>, Error> {
        if !callback.wants_id_token {
            return Ok(None);
        }
        let token = IdToken::parse(callback.id_token.clone().ok_or(IdTokenProblem::Missing)?)?;
        let proof = self.provider.verify(token.clone(), expectations, None, now).await?;
        check_code(&token, &callback.code, true)?;
        check_state(&token, &callback.state)?;
        Ok(Some(proof))
    }

    /// Opens an answer that the provider has signed ([JARM](https://openid.net/specs/oauth-v2-jarm-final.html)): checks
    /// signature, issuer, audience and expiry, and returns what it says. One that is not signed comes back as it is, and
    /// is refused by [`Pending::accept`](crate::Pending::accept) where a signed one was asked for
    /// ([`ResponseMode::QueryJwt`](crate::ResponseMode) and its like).
    ///
    /// A claim that stands twice is refused, unless both are the same text: Keycloak 26 writes its issuer twice, and two
    /// that are equal read alike for everybody ([RFC 7519, 4](https://www.rfc-editor.org/rfc/rfc7519#section-4) leaves it
    /// to the reader). An ID token is read without this exception.
    ///
    /// # Errors
    ///
    /// [`CallbackProblem::Response`] where the signed answer does not prove what it should, and what fetching the
    /// provider's keys says.
    pub async fn open(&self, callback: CallbackParams, now: SystemTime) -> Result<CallbackParams, Error> {
        let Some(response) = callback.response() else { return Ok(callback) };
        let token = IdToken::parse_answer(response.clone()).map_err(CallbackProblem::Response)?;
        // An answer that puts what it brings where its issuer belongs does not bring it into a log.
        let within = CallbackParams::from_claims(token.unchecked_claims());
        let may_tell =
            |text: &str| callback.may_tell(text) && within.as_ref().is_ok_and(|within| within.may_tell(text));
        let checked = self.provider.check_response(&token, &self.expectations, now).await;
        checked.map_err(|error| match error {
            Error::Callback(CallbackProblem::Response(IdTokenProblem::IssuerMismatch {
                expected,
                found,
            })) => {
                let found = Some(found).filter(|found| may_tell(found)).unwrap_or_default();
                CallbackProblem::Response(IdTokenProblem::IssuerMismatch { expected, found }).into()
            }
            other => other,
        })?;
        Ok(within?)
    }
}

/// Returns whether a token endpoint refuses for want of its nonce
/// ([RFC 9449, 8](https://www.rfc-editor.org/rfc/rfc9449#section-8)).
fn wants_nonce(reply: &Reply) -> bool {
    #[derive(Deserialize)]
    struct Body {
        error: String,
    }
    let is_refused = matches!(reply.status(), 400 | 401);
    is_refused && json::from_slice::<Body>(reply.body()).is_ok_and(|body| body.error == "use_dpop_nonce")
}
