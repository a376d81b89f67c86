//! Which secret a program is to read, as a person writes it.

use std::fmt;
use std::str::FromStr;

/// The place of a secret: `MOUNT/PATH`.
///
/// The first segment is the mount, since most mounts have one segment. A mount with slashes in its name ends with
/// two: in `team/kv//app/db` the mount is `team/kv` and the path `app/db`. No path of Vault has an empty segment, so
/// the two slashes cannot mean anything else.
///
/// ```
/// use latchkey_examples::SecretPath;
///
/// let secret: SecretPath = "team/kv//app/db".parse()?;
/// assert_eq!((secret.mount(), secret.path()), ("team/kv", "app/db"));
/// # Ok::<(), latchkey_examples::NotASecretPath>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretPath {
    mount: String,
    path: String,
}

impl SecretPath {
    /// Returns the mount of the KV engine.
    pub fn mount(&self) -> &str {
        &self.mount
    }

    /// Returns the path under the mount, without `data/`.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl FromStr for SecretPath {
    type Err = NotASecretPath;

    fn from_str(text: &str) -> Result<Self, NotASecretPath> {
        let (mount, path) = text.split_once("//").or_else(|| text.split_once('/')).ok_or(NotASecretPath)?;
        let is_clean = |part: &str| part.split('/').all(|segment| !matches!(segment, "" | "." | ".."));
        if is_clean(mount) && is_clean(path) {
            Ok(Self { mount: mount.to_owned(), path: path.to_owned() })
        } else {
            Err(NotASecretPath)
        }
    }
}

impl fmt::Display for SecretPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends = if self.mount.contains('/') { "//" } else { "/" };
        write!(formatter, "{}{ends}{}", self.mount, self.path)
    }
}

/// A text that names no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotASecretPath;

impl fmt::Display for NotASecretPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(
            "write MOUNT/PATH, such as secret/team/app (a mount with slashes ends with two: team/kv//app)",
        )
    }
}

impl std::error::Error for NotASecretPath {}

#[cfg(test)]
mod tests {
    use super::SecretPath;

    fn parts(text: &str) -> Option<(String, String)> {
        text.parse::<SecretPath>().ok().map(|secret| (secret.mount, secret.path))
    }

    #[test]
    fn the_first_segment_is_the_mount() {
        assert_eq!(parts("secret/team/app"), Some(("secret".into(), "team/app".into())));
    }

    #[test]
    fn two_slashes_end_a_mount_that_has_slashes() {
        assert_eq!(parts("team/kv//app/db"), Some(("team/kv".into(), "app/db".into())));
    }

    #[test]
    fn a_text_that_is_no_place_is_refused() {
        for text in ["", "secret", "secret/", "/app", "//app", "a///b", "a/b//", "a//b//c", "a/../b", "a/./b"]
        {
            assert_eq!(parts(text), None, "{text:?}");
        }
    }

    #[test]
    fn it_is_shown_as_it_is_written() {
        for text in ["secret/team/app", "team/kv//app"] {
            assert_eq!(text.parse::<SecretPath>().unwrap().to_string(), text);
        }
    }
}
