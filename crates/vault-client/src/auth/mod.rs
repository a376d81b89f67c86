//! Auth methods: what turns an identity into a token.

mod approle;
mod jwt;
mod jwt_setup;
mod kubernetes;
mod kubernetes_setup;
mod oidc;
mod poll;
mod role_tokens;
mod setup;
mod userpass;

pub use approle::{AppRoleAuth, AppRoleLogin};
pub use jwt::{JwtAuth, JwtLogin};
pub use jwt_setup::{CallbackMode, JwtConfig, JwtConfigSettings, JwtRole, JwtRoleSettings, JwtSetup};
pub use kubernetes::{KubernetesAuth, KubernetesLogin, ServiceAccountToken};
pub use kubernetes_setup::{
    AliasNameSource, KubernetesConfig, KubernetesConfigSettings, KubernetesRole, KubernetesRoleSettings,
    KubernetesSetup,
};
pub use oidc::{AuthUrl, ClientNonce, OidcAuth, OidcAuthUrl, OidcCallback};
pub use poll::{OidcPoll, Poll};
pub use role_tokens::{RoleTokenSettings, RoleTokens};
pub use setup::{DeleteRole, ListRoles, ReadConfig, ReadRole, WriteConfig, WriteRole};
pub use userpass::{UserpassAuth, UserpassLogin};
