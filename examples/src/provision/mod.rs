//! An identity provider and a Vault as code: what they should be ([`Blueprint`]), and how they are brought there.
//!
//! It looks at each thing first and changes only what differs. It never removes anything, and never touches what the
//! blueprint does not name: a server that others use as well is safe.

mod blueprint;
mod export;
mod keycloak;
mod service;
mod vault;

pub use blueprint::{
    Auth, AuthKind, Blueprint, Client, ClientRole, Cors, Group, Keycloak, Kv, Mapper, Policy, Role, User,
};
pub use export::export;
pub use keycloak::{Admin, realm};
pub use service::{Hub, Kubernetes, KubernetesRole, TokenRole};
pub use vault::vault;
