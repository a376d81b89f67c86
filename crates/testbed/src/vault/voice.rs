//! The two wordings.

use crate::random;

/// Whose words the Vault speaks.
///
/// The two servers answer nearly everything alike; a client must understand both and never ask which one it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Voice {
    /// OpenBao 2.7.2.
    #[default]
    OpenBao,
    /// Vault 1.21.4, the free edition.
    Vault,
}

impl Voice {
    pub(super) fn version(self) -> &'static str {
        match self {
            Self::OpenBao => "2.7.2",
            Self::Vault => "1.21.4",
        }
    }

    /// The texts of a 403 for a token that is dead or was never alive.
    pub(super) fn dead_token(self) -> &'static str {
        match self {
            Self::OpenBao => "permission denied",
            Self::Vault => "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n",
        }
    }

    /// How an error of an OIDC callback begins.
    pub(super) fn login_failed(self) -> &'static str {
        match self {
            Self::OpenBao => "OpenBao login failed.",
            Self::Vault => "Vault login failed.",
        }
    }

    /// The warning for a path of KV version 1 on a mount of version 2.
    pub(super) fn versioned_path_warning(self, verb: &str) -> String {
        let (name, command) = match self {
            Self::OpenBao => ("OpenBao", "bao"),
            Self::Vault => ("Vault", "vault"),
        };
        format!(
            "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to \
             use. If using the {name} CLI, use '{command} kv {verb}' for this operation."
        )
    }

    pub(super) fn service_token(self) -> String {
        match self {
            Self::OpenBao => format!("s.{}", random::base62(24)),
            Self::Vault => format!("hvs.{}", random::base64url::<69>()),
        }
    }

    pub(super) fn batch_token(self) -> String {
        match self {
            Self::OpenBao => format!("b.{}", random::base64url::<99>()),
            Self::Vault => format!("hvb.{}", random::base64url::<99>()),
        }
    }
}
