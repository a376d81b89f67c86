//! The headers of a reply, in one piece of memory.

use std::fmt;

/// The headers of a reply. Names are compared without regard to case; values that are not text are left out.
#[derive(Clone, Default)]
pub struct ReplyHeaders {
    /// `name NUL value LF`, name in lower case: a name has neither sign by RFC 9110, 5.1, a value neither by 5.5.
    text: String,
}

impl ReplyHeaders {
    /// Returns empty headers with room for `bytes` of names and values.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes) }
    }

    /// Adds one header. One whose name or value cannot stand in a header is left out.
    pub fn push(&mut self, name: &str, value: &str) {
        let stray = |text: &str| text.bytes().any(|byte| matches!(byte, 0 | b'\n' | b'\r'));
        if stray(name) || stray(value) {
            return;
        }
        let start = self.text.len();
        self.text.push_str(name);
        if let Some(added) = self.text.get_mut(start..) {
            added.make_ascii_lowercase();
        }
        self.text.push('\0');
        self.text.push_str(value);
        self.text.push('\n');
    }

    /// Adds a header whose name is in lower case and whose value was checked by the engine that read it.
    #[cfg(all(feature = "reqwest", not(target_arch = "wasm32")))]
    pub(crate) fn push_checked(&mut self, name: &str, value: &str) {
        self.text.push_str(name);
        self.text.push('\0');
        self.text.push_str(value);
        self.text.push('\n');
    }

    /// Returns the first value of that name.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.iter().find(|(this, _)| this.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Returns all headers in the order of their arrival, names in lower case.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.text.lines().filter_map(|line| line.split_once('\0'))
    }
}

/// Shows the names only: a `Location` or a `Set-Cookie` may hold a secret.
impl fmt::Debug for ReplyHeaders {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::ReplyHeaders;

    #[test]
    fn names_are_found_in_any_case_and_the_first_value_wins() {
        let mut headers = ReplyHeaders::default();
        headers.push("Retry-After", "3");
        headers.push("retry-after", "4");
        assert_eq!(headers.first("RETRY-AFTER"), Some("3"));
        assert_eq!(headers.first("Location"), None);
    }

    #[test]
    fn a_value_cannot_smuggle_a_second_header() {
        let mut headers = ReplyHeaders::default();
        headers.push("x", "1\ny\0forged");
        assert_eq!(headers.iter().count(), 0);
    }

    #[test]
    fn debug_shows_names_only() {
        let mut headers = ReplyHeaders::default();
        headers.push("Location", "https://example.org/?code=hush");
        assert_eq!(format!("{headers:?}"), r#"["location"]"#);
    }
}
