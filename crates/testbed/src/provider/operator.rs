//! What a test may ask of the provider without going through HTTP.

use std::time::Duration;

use super::{Consent, Desk, Lifetimes, LogoutDelivery, Misbehaviour, Session, Span, State, User, page};
use crate::{faults::Lost, jwt::Algorithm, message::Request, random, world::World};

/// The provider's side of a [`World`]: what a test may ask of it without going through HTTP.
#[derive(Clone, Copy, Debug)]
pub struct Provider<'w> {
    world: &'w World,
}

impl<'w> Provider<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        Self { world }
    }

    /// The client's identifier.
    pub fn client_id(&self) -> String {
        self.world.with_provider(|state| state.client_id.clone())
    }

    /// The client's secret.
    pub fn client_secret(&self) -> String {
        self.world.with_provider(|state| state.client_secret.clone())
    }

    /// The people who may sign in.
    pub fn users(&self) -> Vec<User> {
        self.world.with_provider(|state| {
            let people = state.users.iter().enumerate().filter(|(at, _)| state.service_account != Some(*at));
            people.map(|(_, user)| user.clone()).collect()
        })
    }

    /// Gives the client an account of its own with these roles, so that it gets tokens by its credentials alone.
    ///
    /// Without, it is told `unauthorized_client`, as in Keycloak.
    pub fn add_service_account(&self, roles: &[&str]) {
        self.world.with_provider(|state| {
            // Nobody signs in with this name: the password is told to no one.
            let account =
                User::new(&format!("service-account-{}", state.client_id), &random::base64url::<32>());
            state.users.push(account.with_roles(roles));
            state.service_account = Some(state.users.len() - 1);
        });
    }

    /// Makes the provider do something wrong, once or from now on.
    pub fn misbehave(&self, how: Misbehaviour, span: Span) {
        self.world.with_provider(|state| state.misbehaviours.push((how, span)));
    }

    /// Ends every misbehaviour.
    pub fn behave(&self) {
        self.world.with_provider(|state| state.misbehaviours.clear());
    }

    /// Says what happens after the password was right.
    pub fn set_consent(&self, consent: Consent) {
        self.world.with_provider(|state| state.consent = consent);
    }

    /// Says how long codes, tokens and sessions are good for; what was handed out keeps its time.
    pub fn set_lifetimes(&self, lifetimes: Lifetimes) {
        self.world.with_provider(|state| state.lifetimes = lifetimes);
    }

    /// Whether userinfo comes as a signed JWT. Off by default.
    pub fn set_signed_userinfo(&self, on: bool) {
        self.world.with_provider(|state| state.signs_userinfo = on);
    }

    /// For how long a refresh token that rotates may be used again: a reply may get lost. Zero by default.
    ///
    /// Counted from its first use; it matters only with [`Provider::set_refresh_rotation`].
    pub fn set_reuse_interval(&self, interval: Duration) {
        self.world.with_provider(|state| state.reuse_interval = interval);
    }

    /// Whether a refresh token may be used only once. Off by default, as in Keycloak.
    pub fn set_refresh_rotation(&self, on: bool) {
        self.world.with_provider(|state| state.rotates_refresh_tokens = on);
    }

    /// Signs with a new key for this algorithm from now on; the key set still lists the old ones.
    pub fn sign_with(&self, algorithm: Algorithm) {
        self.world.with_provider(|state| {
            state.algorithm = algorithm;
            state.rotate_keys();
        });
    }

    /// Signs with a new key from now on; the key set still lists the old ones.
    pub fn rotate_keys(&self) {
        self.world.with_provider(State::rotate_keys);
    }

    /// Takes all keys but the newest out of the key set.
    pub fn forget_old_keys(&self) {
        self.world.with_provider(State::forget_old_keys);
    }

    /// Publishes the keys at another address from now on; the one before is gone.
    pub fn move_keys(&self) {
        self.world.with_provider(|state| state.keys_at = Some(random::base64url::<12>()));
    }

    /// Wants this nonce in every proof of a client's key from now on
    /// ([RFC 9449, section 8](https://www.rfc-editor.org/rfc/rfc9449#section-8)).
    pub fn want_dpop_nonce(&self, nonce: &str) {
        self.world.with_provider(|state| state.dpop_nonce = Some(nonce.to_owned()));
    }

    /// Tells the client of sign-outs by a hidden frame at this address, on a page of its own
    /// ([OpenID Connect Front-Channel Logout](https://openid.net/specs/openid-connect-frontchannel-1_0.html)).
    pub fn tell_sign_outs_in_a_frame(&self, uri: &str) {
        self.world.with_provider(|state| state.frame_uri = Some(uri.to_owned()));
    }

    /// Takes these methods of client authentication and no others (`client_secret_basic`, `none`, …), and says so.
    ///
    /// At the beginning a client may choose.
    pub fn take_clients_by(&self, methods: &[&str]) {
        self.world.with_provider(|state| {
            state.client_methods = Some(methods.iter().map(|method| (*method).to_owned()).collect());
        });
    }

    /// The key that signs now, as PEM, for a verifier that is configured with keys.
    pub fn public_key_pem(&self) -> String {
        self.world.with_provider(|state| state.keys.last().map_or_else(String::new, |key| key.key.pem()))
    }

    /// An ID token for this person, as a sign-in just now would have given it; empty for a stranger.
    pub fn id_token(&self, user: &str) -> String {
        let (world, now) = (self.world, self.world.now());
        world.with_provider(|state| Desk { world, state, now }.mint_id_token(user))
    }

    /// Ends every session, as an administrator would: refresh tokens and access tokens are dead from now on.
    pub fn end_sessions(&self) {
        let (world, now) = (self.world, self.world.now());
        world.with_provider(|state| {
            let all: Vec<String> = state.sessions.keys().cloned().collect();
            let mut desk = Desk { world, state, now };
            for sid in &all {
                desk.end_session(sid);
            }
        });
    }

    /// The logout tokens that are to be delivered; they are handed out once. `serve` delivers them by itself.
    ///
    /// There are some when a session has ended and the client has an address for them, see
    /// [`WorldBuilder::backchannel_logout_uri`](crate::WorldBuilder::backchannel_logout_uri).
    pub fn take_logout_deliveries(&self) -> Vec<LogoutDelivery> {
        self.world.with_provider(|state| std::mem::take(&mut state.outbox))
    }

    /// Does what a person does who is shown a device's code: types it in and signs in. `false` where no device waits for
    /// it, or nobody has that name.
    pub fn approve_device(&self, user_code: &str, name: &str) -> bool {
        let (world, now) = (self.world, self.world.now());
        world.with_provider(|state| {
            let Some(user) = state.users.iter().position(|user| user.name == name) else { return false };
            let sid = random::uuid();
            let session = Session { user, started: now, cookie: random::base64url::<48>() };
            state.sessions.insert(sid.clone(), session);
            Desk { world, state, now }.decide_device(user_code, Some(sid))
        })
    }

    /// Does what a person does who knows of no device: refuses. `false` where no device waits for the code.
    pub fn deny_device(&self, user_code: &str) -> bool {
        let (world, now) = (self.world, self.world.now());
        world.with_provider(|state| Desk { world, state, now }.decide_device(user_code, None))
    }

    /// Does what a person in a browser does: opens the address, fills in the form, and returns where the browser is
    /// sent. `None` where no form comes or the password is wrong.
    ///
    /// # Errors
    ///
    /// What a fault of the plan lost on the way.
    pub fn sign_in(&self, authorize_url: &str, name: &str, password: &str) -> Result<Option<String>, Lost> {
        let page = self.world.handle(Request::get(authorize_url))?;
        let Some(action) = page::form_action(&page.text()) else { return Ok(None) };
        let cookies: Vec<&str> = page
            .headers
            .iter()
            .filter(|(name, _)| name == "Set-Cookie")
            .filter_map(|(_, value)| value.split(';').next())
            .collect();
        let post = Request::post(&action)
            .with_header("Cookie", &cookies.join("; "))
            .with_form(&[("username", name), ("password", password)]);
        let answer = self.world.handle(post)?;
        Ok(answer.header("Location").map(str::to_owned))
    }
}
