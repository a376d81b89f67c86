//! Paths of the API: encoded segment by segment, and nothing that a proxy or server would resolve to another path.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{Error, PathPart, PathProblem};

/// RFC 3986, 2.3: everything but the unreserved signs is encoded.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A path of the API under construction, `/v1/…`, in one `String`.
#[derive(Debug)]
pub(crate) struct Path(String);

impl Path {
    /// Returns `/v1` with room for what is to be appended: most names need no encoding.
    pub(crate) fn with_room(bytes: usize) -> Self {
        let mut path = String::with_capacity("/v1".len() + bytes);
        path.push_str("/v1");
        Self(path)
    }

    /// Appends what is known to be clean, such as `/data`.
    pub(crate) fn literal(mut self, text: &str) -> Self {
        self.0.push_str(text);
        self
    }

    /// Appends the segments of a caller's text, each after a slash.
    pub(crate) fn segments(mut self, part: PathPart, text: &str) -> Result<Self, Error> {
        push_segments(&mut self.0, part, text)?;
        Ok(self)
    }

    /// Appends a caller's text that is one name, after a slash.
    pub(crate) fn segment(self, part: PathPart, name: &str) -> Result<Self, Error> {
        if name.contains('/') {
            return Err(Error::InvalidPath { part, problem: PathProblem::Slash });
        }
        self.segments(part, name)
    }

    /// Appends one parameter of the query.
    pub(crate) fn parameter(mut self, name: &str, value: &str) -> Self {
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        self.0.push_str(name);
        self.0.push('=');
        self.0.extend(utf8_percent_encode(value, RESERVED));
        self
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

impl From<String> for Path {
    /// Goes on with a path that was finished before.
    fn from(path: String) -> Self {
        Self(path)
    }
}

/// Returns the value as it looks inside a query, to find it again in what a server says.
pub(crate) fn encoded(value: &str) -> String {
    utf8_percent_encode(value, RESERVED).to_string()
}

/// Appends `text` segment by segment. One slash at each end is tolerated: people copy mounts as the server lists
/// them (`secret/`), and paths as they stand in an address (`/team/app`).
pub(crate) fn push_segments(path: &mut String, part: PathPart, text: &str) -> Result<(), Error> {
    let invalid = |problem| Err(Error::InvalidPath { part, problem });
    let text = text.strip_prefix('/').unwrap_or(text);
    let text = text.strip_suffix('/').unwrap_or(text);
    if text.is_empty() {
        return invalid(PathProblem::Empty);
    }
    for segment in text.split('/') {
        match segment {
            "" => return invalid(PathProblem::EmptySegment),
            "." | ".." => return invalid(PathProblem::DotSegment),
            _ if segment.chars().any(char::is_control) => return invalid(PathProblem::ControlSign),
            _ => {
                path.push('/');
                path.extend(utf8_percent_encode(segment, RESERVED));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Result<String, Error> {
        Ok(Path::with_room(0).segments(PathPart::Path, text)?.into_string())
    }

    fn problem(text: &str) -> Option<PathProblem> {
        match path(text) {
            Err(Error::InvalidPath { part: PathPart::Path, problem }) => Some(problem),
            _ => None,
        }
    }

    #[test]
    fn every_segment_is_encoded_by_itself() {
        for (text, expected) in [
            ("team/app", "/v1/team/app"),
            ("a b", "/v1/a%20b"),
            ("50%", "/v1/50%25"),
            ("%2e%2e/x", "/v1/%252e%252e/x"),
            ("what?#now", "/v1/what%3F%23now"),
            ("Zürich/ключ", "/v1/Z%C3%BCrich/%D0%BA%D0%BB%D1%8E%D1%87"),
            ("back\\slash;semi", "/v1/back%5Cslash%3Bsemi"),
            ("a+b&c=d@e:f", "/v1/a%2Bb%26c%3Dd%40e%3Af"),
            ("...", "/v1/..."),
            ("-._~", "/v1/-._~"),
        ] {
            assert_eq!(path(text).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn one_slash_at_each_end_is_tolerated() {
        assert_eq!(path("/team/app/").unwrap(), "/v1/team/app");
        assert_eq!(problem("//team"), Some(PathProblem::EmptySegment));
        assert_eq!(problem("team//"), Some(PathProblem::EmptySegment));
    }

    #[test]
    fn what_a_server_would_resolve_to_another_path_is_refused() {
        for (text, expected) in [
            ("", PathProblem::Empty),
            ("/", PathProblem::Empty),
            ("a//b", PathProblem::EmptySegment),
            ("..", PathProblem::DotSegment),
            ("../sys/seal", PathProblem::DotSegment),
            ("a/./b", PathProblem::DotSegment),
            ("a/..", PathProblem::DotSegment),
            ("a\nb", PathProblem::ControlSign),
            ("a/\0", PathProblem::ControlSign),
            ("a\u{85}b", PathProblem::ControlSign),
        ] {
            assert_eq!(problem(text), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn no_text_leaves_its_place_in_an_address() {
        let signs = [
            "/", ".", "..", "%2e", "%2F", "?", "#", "\\", ";", "@", "[", "a", " ", "ß", "\u{202e}", "\t",
            "%", ":",
        ];
        let base = "https://vault.example/v1/secret/data/";
        for first in signs {
            for second in signs {
                for third in signs {
                    let text = format!("{first}{second}{third}");
                    let Ok(encoded) = path(&text) else { continue };
                    let rest = encoded.strip_prefix("/v1/").unwrap();
                    let url = url::Url::parse(&format!("{base}{rest}")).unwrap();
                    assert_eq!(url.as_str(), format!("{base}{rest}"), "{text:?} is rewritten");
                    assert_eq!((url.query(), url.fragment()), (None, None), "{text:?}");
                    let decoded = percent_encoding::percent_decode_str(rest).decode_utf8().unwrap();
                    let trimmed = text.strip_prefix('/').unwrap_or(&text);
                    assert_eq!(decoded, trimmed.strip_suffix('/').unwrap_or(trimmed), "{text:?} is changed");
                }
            }
        }
    }

    #[test]
    fn parameters_cannot_add_parameters() {
        let path = Path::from("/v1/x".to_owned()).parameter("state", "a&code=b").parameter("code", "c d#e+f");
        assert_eq!(path.into_string(), "/v1/x?state=a%26code%3Db&code=c%20d%23e%2Bf");
    }
}
