#![doc = include_str!("../README.md")]
//!
//! # The states of a login
//!
//! ```text
//!   Client::authorize(redirect)          what is asked for
//!        |  begin(random, now)
//!        v
//!   Authorization { url, pending }       the browser opens url; pending may be stored
//!        |
//!        |  the person signs in          Loopback::wait(pending) . a web page . oob::Pasted
//!        v
//!   CallbackParams                       anybody can send these
//!        |  pending.accept(callback)     state, then iss, then error, then code; pending is gone
//!        v
//!   ValidatedCallback                    proof: redeeming the code is safe
//!        |  Client::redeem(callback)     RedeemCode, then every check of the ID token; callback is gone
//!        v
//!   Tokens { id_token: VerifiedIdToken } proof: this person signed in to this client, just now
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]

// The handles that people use.
mod client;
pub mod danger;
mod provider;

// The steps of a login.
mod assertion;
mod authentication;
mod authorize;
mod callback;
mod discovery;
mod dpop;
mod id_token;
mod initiated;
pub mod oob;
mod pending;
mod pushed;
mod token;

// Logins without a callback.
mod client_credentials;
mod device;
mod token_exchange;

// After the login.
mod claim_source;
mod introspect;
mod logout;
mod refresh;
mod revoke;
mod userinfo;

/// The provider's published keys, and the choice among them.
pub mod keys {
    pub use crate::id_token::{Candidates, Curve, Jwk, KeySet, PublicKey};
}

// Waiting for the person.
pub mod flow;
#[cfg(all(feature = "loopback", not(target_arch = "wasm32")))]
mod loopback;

// For whoever brings an engine.
#[cfg(feature = "suite")]
pub mod suite;

// What they stand on.
#[cfg(all(feature = "aws-lc-rs", not(target_arch = "wasm32")))]
mod aws_lc;
mod error;
mod form;
mod json;
#[cfg(all(any(feature = "aws-lc-rs", feature = "jsonwebtoken"), not(target_arch = "wasm32")))]
mod pem;
mod pkce;
mod refusal;
mod signer;
mod text;

pub use assertion::Assertions;
pub use authentication::Authentication;
pub use authorize::{Authorization, Authorize, Prompt, ResponseMode};
pub use callback::{CallbackParams, StateCheck, ValidatedCallback};
pub use claim_source::{ClaimSource, ForeignClaims};
pub use client::Client;
pub use client_credentials::{AccessToken, ClientCredentials};
pub use device::{
    Device, DeviceAnswer, DeviceLogin, DeviceProgress, DeviceStep, PendingDevice, RedeemDeviceCode,
};
pub use discovery::{Discover, Metadata};
pub use dpop::Dpop;
pub use error::{CallbackProblem, Endpoint, Error, Misbehaviour, Misuse, PastedProblem};
pub use id_token::{
    Algorithm, Expectations, FetchKeys, IdToken, IdTokenProblem, SharedVerifier, SignatureCheck,
    VerifiedIdToken, Verifier, VerifierError,
};
pub use initiated::InitiatedLogin;
pub use introspect::{ActiveToken, Introspect, Introspection};
pub use logout::{
    EndSession, FrontChannelLogout, LogoutProblem, LogoutToken, PendingLogout, SessionCheck, SessionStatus,
    SigningOut,
};
pub use pending::Pending;
pub use provider::Provider;
pub use refresh::{Grant, Refresh, Refreshed, RefreshedTokens, UnverifiedRefresh};
pub use refusal::{Refusal, RefusalReason};
pub use revoke::{Revoke, TokenKind};
pub use signer::{Signer, SignerError};
pub use token::{RedeemCode, Tokens, UnverifiedTokens};
pub use token_exchange::{ExchangedToken, TokenExchange, TokenType};
pub use userinfo::{FetchUserInfo, UnverifiedUserInfo, UserInfo, UserInfoProblem};

#[cfg(all(feature = "aws-lc-rs", not(target_arch = "wasm32")))]
pub use aws_lc::{AwsLc, AwsLcSigner};
#[cfg(all(feature = "jsonwebtoken", not(target_arch = "wasm32")))]
pub use id_token::JsonWebToken;
#[cfg(all(feature = "loopback", not(target_arch = "wasm32")))]
pub use loopback::{Loopback, LoopbackAddress, LoopbackHost};
#[cfg(all(feature = "jsonwebtoken", not(target_arch = "wasm32")))]
pub use signer::JsonWebTokenSigner;
