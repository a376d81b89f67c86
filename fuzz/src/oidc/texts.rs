//! Callbacks, pasted text, stored logins, documents and keys.

use latchkey_oidc_flow::keys::KeySet;
use latchkey_oidc_flow::oob::Pasted;
use latchkey_oidc_flow::{
    Algorithm, CallbackParams, Discover, Endpoint, Error, Grant, InitiatedLogin, Metadata, Pending,
    PendingLogout, StateCheck,
};
use latchkey_transport::{Exchange as _, Reply};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use url::form_urlencoded;

use super::{
    ISSUER, SECRET, done, expect_discreet, expect_quiet, expect_sound, made, now, pending, trusting_client,
};

/// A query, a form, or a whole address.
///
/// Only our state is accepted, and with our issuer; nothing of the answer is shown.
pub(super) fn callback(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).replace("SECRET", SECRET);
    for params in [CallbackParams::parse(&text), CallbackParams::from_address(&text)] {
        let params = match params {
            Ok(params) => params,
            Err(problem) => {
                expect_discreet(&problem.into());
                continue;
            }
        };
        expect_quiet(&params);
        assert!(!params.is_signed());
        let matches = pending().matches(&params);
        match pending().accept(&params, now()) {
            Ok(callback) => {
                assert!(matches && params.state().is_some_and(|state| state.is_same_as(SECRET)));
                assert!(params.issuer().is_none_or(|issuer| issuer == ISSUER));
                assert!(params.refusal().is_none() && params.code().is_some_and(|code| !code.is_empty()));
                assert_eq!(callback.state_check(), StateCheck::Verified);
                expect_quiet(&callback);
            }
            Err(error) => expect_discreet(&error),
        }
    }
}

/// A login that another page begins, or a sign-out in a frame: whom it names, it names once, and only we are gone to.
pub(super) fn visit(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let pairs = |name: &str| form_urlencoded::parse(text.as_bytes()).filter(|(this, _)| this == name).count();
    if let Ok(login) = InitiatedLogin::parse(&text) {
        assert_eq!(pairs("iss"), 1);
        let own = made("https://app.example/".parse());
        assert!(login.target_within(&own).is_none_or(|target| target.host_str() == Some("app.example")));
    }
    match trusting_client().front_channel_logout(&text) {
        Ok(logout) => {
            assert_eq!((pairs("iss"), pairs("sid")), if logout.issuer().is_some() { (1, 1) } else { (0, 0) });
            assert!(logout.issuer().is_none_or(|issuer| issuer == ISSUER));
        }
        Err(problem) => expect_sound(&problem.into()),
    }
}

/// What a person pastes: a code, or an address around one.
///
/// What comes out is a code of a sensible length or a refusal; another login's state is not accepted.
pub(super) fn pasted(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).replace("SECRET", SECRET);
    let pasted = match Pasted::parse(&text) {
        Ok(pasted) => pasted,
        Err(error) => return expect_discreet(&error),
    };
    expect_quiet(&pasted);
    let params = pasted.params();
    assert!(params.code().is_some() || params.refusal().is_some());
    assert!(
        params.code().is_none_or(|code| (1..=CallbackParams::LIMIT).contains(&code.expose_secret().len()))
    );
    let is_ours = params.state().is_none_or(|state| state.is_same_as(SECRET));
    assert_eq!(pending().matches_pasted(&pasted), is_ours);
    match pending().accept_pasted(&pasted, now()) {
        Ok(callback) => {
            assert!(is_ours);
            let expected =
                if params.state().is_some() { StateCheck::Verified } else { StateCheck::Unavailable };
            assert_eq!(callback.state_check(), expected);
        }
        // Without a state nobody knows whose answer it is, and what is secret in it.
        Err(error) if params.state().is_none() => expect_sound(&error),
        Err(error) => expect_discreet(&error),
    }
}

/// What a store gives back, which somebody may have changed: what can be read can be written, and then reads the same.
pub(super) fn stored(bytes: &[u8]) {
    fn twice<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<T> {
        let value: T = serde_json::from_slice(bytes).ok()?;
        let first = made(serde_json::to_string(&value));
        let again: T = made(serde_json::from_str(&first));
        assert_eq!(made(serde_json::to_string(&again)), first);
        Some(value)
    }
    if let Some(pending) = twice::<Pending>(bytes) {
        expect_quiet(&pending);
        pending.remaining(now());
        let callback = made(CallbackParams::parse("state=other&code=c"));
        assert!(pending.accept(&callback, now()).is_err() || bytes.windows(5).any(|part| part == b"other"));
    }
    if let Some(grant) = twice::<Grant>(bytes) {
        expect_quiet(&grant);
        if let Err(error) = done(trusting_client().refresh(&grant, now())) {
            expect_sound(&error);
        }
    }
    twice::<PendingLogout>(bytes);
}

/// A discovery document.
///
/// It is the issuer's own, and every address in it is one that secrets may be sent to.
pub(super) fn metadata(bytes: &[u8]) {
    let check = |outcome: Result<Metadata, Error>, inner: Option<&str>| {
        let metadata = match outcome {
            Ok(metadata) => metadata,
            Err(error) => return expect_sound(&error),
        };
        for endpoint in [
            Endpoint::Authorization,
            Endpoint::Token,
            Endpoint::Keys,
            Endpoint::UserInfo,
            Endpoint::Revocation,
            Endpoint::Introspection,
            Endpoint::EndSession,
            Endpoint::DeviceAuthorization,
            Endpoint::PushedAuthorization,
            Endpoint::CheckSession,
        ] {
            let Some(url) = metadata.endpoint(endpoint) else { continue };
            assert!(
                url.scheme() == "https"
                    || inner.is_some_and(|inner| inner.starts_with(&url.origin().ascii_serialization())),
                "{url}"
            );
            assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
        }
    };
    let outcome = Metadata::parse(ISSUER, bytes);
    if let Ok(metadata) = &outcome {
        assert_eq!(metadata.issuer(), ISSUER);
        check(Ok(metadata.clone().with_mtls_aliases()), None);
    }
    check(outcome, None);
    let inner = "http://localhost:8080/inner/";
    let discover = made(made(Discover::new(ISSUER)).with_internal_address(inner));
    check(discover.receive(Reply::new(200, bytes.to_vec())), Some(inner));
    let tenants = made(Discover::new("https://id.example/common/v2.0")).with_tenants(["a-tenant"]);
    check(tenants.receive(Reply::new(200, bytes.to_vec())), None);
}

/// A key set.
///
/// At most a hundred keys are read and four tried; each is one of a size that an engine may be bothered with, and can be
/// written and read again.
pub(super) fn keys(bytes: &[u8]) {
    let keys = match KeySet::parse(bytes) {
        Ok(keys) => keys,
        Err(error) => return expect_sound(&error),
    };
    assert!(keys.keys().len() <= KeySet::LIMIT);
    for key in keys.keys() {
        let again = made(KeySet::parse(json!({"keys": [key.to_json()]}).to_string().as_bytes()));
        let again: Vec<_> = again.keys().iter().map(|key| key.public_key().clone()).collect();
        assert_eq!(again, [key.public_key().clone()]);
        assert_eq!(key.public_key().thumbprint().len(), 43);
    }
    let names = [None, Some("a"), Some("\u{202e}\n")];
    for algorithm in
        ["RS256", "PS512", "ES256", "ES384", "ES512", "EdDSA"].into_iter().filter_map(Algorithm::from_name)
    {
        for name in names.into_iter().chain(keys.keys().iter().map(|key| key.key_id())) {
            match keys.candidates(algorithm, name) {
                Ok(candidates) => {
                    let count = candidates.into_iter().inspect(|key| {
                        assert!(name.is_none() || key.key_id() == name);
                    });
                    assert!((1..=4).contains(&count.count()));
                }
                Err(problem) => expect_sound(&problem.into()),
            }
        }
    }
}
