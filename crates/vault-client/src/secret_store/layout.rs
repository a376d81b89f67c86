//! Where the stores are, and the policies that open them.

use std::fmt::Write as _;

use super::UserName;
use crate::{Error, PathPart, PathProblem, path};

/// Where the stores of all users are: a KV v2 mount, and a folder in it with one folder for each user.
///
/// The usual one is `secret` and `jupyter/users`, so that `alice` has `secret/jupyter/users/alice/…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    mount: String,
    folder: String,
}

/// `secret/jupyter/users/<user>/<key>`.
impl Default for Layout {
    fn default() -> Self {
        Self { mount: "secret".to_owned(), folder: "jupyter/users".to_owned() }
    }
}

impl Layout {
    /// Keeps the stores at a mount, below a folder.
    ///
    /// Fails with [`Error::InvalidPath`] where one of them cannot be a path, or has a sign that means something in a
    /// policy: `*`, `+`, a brace, a quote or a backslash.
    pub fn new(mount: &str, folder: &str) -> Result<Self, Error> {
        Ok(Self {
            mount: checked(PathPart::Mount, mount)?.to_owned(),
            folder: checked(PathPart::Path, folder)?.to_owned(),
        })
    }

    /// Returns the mount.
    pub fn mount(&self) -> &str {
        &self.mount
    }

    /// Returns the folder of a user below the mount: `jupyter/users/alice`.
    pub fn folder(&self, user: &UserName) -> String {
        format!("{}/{}", self.folder, user.encoded())
    }

    /// Returns the name of the policy that is a user's own: `jupyter-users-alice`.
    pub fn policy_name(&self, user: &UserName) -> String {
        // Servers write the names of policies in small letters.
        format!("{}-{}", self.folder.replace('/', "-").to_lowercase(), user.encoded())
    }

    /// Returns the policy that opens the store of one user and nothing else.
    ///
    /// It also lets the token look itself up, renew and revoke itself, which it otherwise has from the policy `default`:
    /// operators widen that one, and a token that has it then reads what they did not mean.
    pub fn policy(&self, user: &UserName) -> String {
        self.policy_of(user.encoded())
    }

    /// Returns the one policy that opens to each user the store of that user and nothing else, whoever it is: the server
    /// puts the name in place. **The better way**, since whoever makes tokens then needs no right to write policies.
    ///
    /// The name is that of the entity's alias at the auth method with that accessor ([`Mount`](crate::sys::Mount) tells
    /// it), as it stands there: a user whose name is not written as it is ([`UserName::encoded`]) gets nothing by it where
    /// the auth method makes the alias itself. [`UserTokens`](super::UserTokens) makes it in the right way.
    ///
    /// Fails with [`Error::InvalidPath`] where that is no accessor.
    pub fn templated_policy(&self, mount_accessor: &str) -> Result<String, Error> {
        let is_fine = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '_' | '-');
        if mount_accessor.is_empty() || !mount_accessor.chars().all(is_fine) {
            return Err(Error::InvalidPath { part: PathPart::Name, problem: PathProblem::PolicySign });
        }
        Ok(self.policy_of(&format!("{{{{identity.entity.aliases.{mount_accessor}.name}}}}")))
    }

    fn policy_of(&self, user: &str) -> String {
        let Self { mount, folder } = self;
        let mut policy = String::new();
        for (part, capabilities) in [
            ("data", r#""create", "read", "update", "patch", "delete""#),
            ("metadata", r#""read", "list", "delete""#),
            ("subkeys", r#""read""#),
            ("delete", r#""update""#),
            ("undelete", r#""update""#),
            ("destroy", r#""update""#),
        ] {
            // Writing into a text cannot fail.
            let _ = writeln!(
                policy,
                "path \"{mount}/{part}/{folder}/{user}/*\" {{ capabilities = [{capabilities}] }}"
            );
        }
        policy.push_str(OWN_TOKEN);
        policy
    }
}

/// What a token may do with itself without the policy `default`.
pub(super) const OWN_TOKEN: &str = r#"path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
path "sys/capabilities-self" { capabilities = ["update"] }
"#;

/// Returns the text without the slashes at its ends, if it can stand in a policy.
pub(super) fn checked(part: PathPart, text: &str) -> Result<&str, Error> {
    path::push_segments(&mut String::new(), part, text)?;
    if text.contains(['*', '+', '{', '}', '"', '\\']) {
        return Err(Error::InvalidPath { part, problem: PathProblem::PolicySign });
    }
    Ok(text.trim_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserName {
        UserName::new(name).unwrap()
    }

    #[test]
    fn the_usual_layout_is_that_of_the_notebooks() {
        let layout = Layout::default();
        assert_eq!(
            (layout.mount(), layout.folder(&user("alice"))),
            ("secret", "jupyter/users/alice".to_owned())
        );
        assert_eq!(layout.policy_name(&user("Alice")), "jupyter-users-~41lice");
        assert_eq!(Layout::new("/secret/", "jupyter/users/").unwrap(), layout);
        assert_eq!(Layout::new("kv", "Team/Users").unwrap().policy_name(&user("a")), "team-users-a");
    }

    #[test]
    fn a_policy_names_the_user_in_every_path_and_is_for_the_own_token_besides() {
        let policy = Layout::default().policy(&user("al*ce"));
        let paths: Vec<&str> = policy.lines().filter_map(|line| line.split('"').nth(1)).collect();
        assert_eq!(paths.len(), 10);
        assert!(paths[..6].iter().all(|path| path.ends_with("/jupyter/users/al~2ace/*")), "{paths:?}");
        assert!(paths.contains(&"secret/data/jupyter/users/al~2ace/*") && !policy.contains("al*ce"));
        for own in ["lookup-self", "renew-self", "revoke-self"] {
            assert!(paths.contains(&format!("auth/token/{own}").as_str()), "{own}");
        }
    }

    #[test]
    fn a_template_names_the_alias_and_nothing_else_can_be_put_in() {
        let policy = Layout::default().templated_policy("auth_jwt_1").unwrap();
        assert!(
            policy.contains(r#""secret/data/jupyter/users/{{identity.entity.aliases.auth_jwt_1.name}}/*""#),
            "{policy}"
        );
        for accessor in ["", "a.name}}*", "a\"", "a b", "a/b"] {
            assert!(Layout::default().templated_policy(accessor).is_err(), "{accessor:?}");
        }
        for (mount, folder) in
            [("se*cret", "a"), ("+", "a"), ("secret", "a/{{x}}"), ("secret", "a\"b"), ("", "a"), ("a", "..")]
        {
            assert!(Layout::new(mount, folder).is_err(), "{mount} {folder}");
        }
    }
}
