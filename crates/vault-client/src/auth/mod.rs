//! Auth methods: what turns an identity into a token.

mod approle;
mod jwt;
mod kubernetes;
mod oidc;
mod poll;
mod userpass;

pub use approle::{AppRoleAuth, AppRoleLogin};
pub use jwt::{JwtAuth, JwtLogin};
pub use kubernetes::{KubernetesAuth, KubernetesLogin, ServiceAccountToken};
pub use oidc::{AuthUrl, ClientNonce, OidcAuth, OidcAuthUrl, OidcCallback};
pub use poll::{OidcPoll, Poll};
pub use userpass::{UserpassAuth, UserpassLogin};
