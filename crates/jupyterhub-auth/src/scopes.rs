//! Which scopes the hub's tokens need, and where they are set.

use std::fmt;

/// Whose token asks the hub: the two get their scopes from different settings.
///
/// Either way the person's own role needs the scope, too: a token never has more than its owner. The hub starts with the
/// role `user = [self]`, so both settings are needed: with one of them alone the key `auth_state` is silently left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holder {
    /// The server, and so every kernel in it: `JUPYTERHUB_API_TOKEN`.
    Server,
    /// The browser's tab: `token` of JupyterLab's `PageConfig`.
    Tab,
}

impl Holder {
    /// Returns the lines of `jupyterhub_config.py` that give both the scope: for people to copy. They replace roles and
    /// lists of the same name.
    pub fn configuration(self) -> &'static str {
        match self {
            Self::Server => {
                r#"c.JupyterHub.load_roles = [
    {"name": "user", "scopes": ["self", "admin:auth_state!user"]},
    {"name": "server", "scopes": ["users:activity!user", "access:servers!server", "admin:auth_state!user"]},
]
"#
            }
            Self::Tab => {
                r#"c.JupyterHub.load_roles = [
    {"name": "user", "scopes": ["self", "admin:auth_state!user"]},
]
c.Spawner.oauth_client_allowed_scopes = ["admin:auth_state!user"]
"#
            }
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Server => {
                "set it in the role user and in the role server (or c.Spawner.server_token_scopes)"
            }
            Self::Tab => "set it in the role user and in c.Spawner.oauth_client_allowed_scopes",
        })
    }
}

/// The scope that shows a person's own `auth_state`.
const AUTH_STATE: &str = "admin:auth_state!user";

/// Returns which of the scopes that `auth_state` of `user` needs are not among those that a token has, as an operator
/// writes them. A token has them expanded: `admin:auth_state!user=reader`.
pub(crate) fn missing(granted: &[String], user: &str) -> Vec<String> {
    let has = |scope: &String| match scope.strip_prefix("admin:auth_state") {
        Some("") => true,
        Some(filter) => filter.strip_prefix("!user=").is_some_and(|name| name == user),
        None => false,
    };
    if granted.iter().any(has) { Vec::new() } else { vec![AUTH_STATE.to_owned()] }
}

#[cfg(test)]
mod tests {
    use super::{Holder, missing};

    fn missing_of(granted: &[&str]) -> Vec<String> {
        missing(&granted.iter().map(|&scope| scope.to_owned()).collect::<Vec<_>>(), "reader")
    }

    #[test]
    fn a_scope_counts_for_its_own_person_only() {
        let wanted = ["admin:auth_state!user"];
        assert!(missing_of(&["access:servers!server=reader/", "admin:auth_state!user=reader"]).is_empty());
        assert!(missing_of(&["admin:auth_state"]).is_empty());
        for granted in ["admin:auth_state!user=reader2", "admin:auth_state!group=x", "admin:auth_states", ""]
        {
            assert_eq!(missing_of(&[granted]), wanted, "{granted}");
        }
    }

    #[test]
    fn what_is_to_be_copied_names_what_the_message_names() {
        assert!(Holder::Tab.configuration().contains("c.Spawner.oauth_client_allowed_scopes"));
        assert!(Holder::Tab.to_string().contains("c.Spawner.oauth_client_allowed_scopes"));
        for holder in [Holder::Tab, Holder::Server] {
            assert!(holder.configuration().contains(r#""self", "admin:auth_state!user""#), "{holder:?}");
        }
    }
}
