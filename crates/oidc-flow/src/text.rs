//! Foreign text, made fit to be shown.

use latchkey_transport::Secret;
use url::form_urlencoded;
use zeroize::Zeroizing;

/// Returns what may be shown of a text that somebody else wrote: no control or bidirectional signs, which could
/// forge a line of a log or turn a sentence round, no runs of blanks, and at most `limit` characters.
pub(crate) fn printable(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    let mut count = 0;
    for word in text.split(|sign: char| sign.is_whitespace() || sign.is_control()) {
        let mut signs = word.chars().filter(|sign| !is_invisible(*sign)).peekable();
        if signs.peek().is_none() {
            continue;
        }
        if !shown.is_empty() {
            shown.push(' ');
            count += 1;
        }
        for sign in signs {
            if count >= limit {
                shown.push('…');
                return shown;
            }
            shown.push(sign);
            count += 1;
        }
    }
    shown
}

/// Returns whether a text repeats a secret, as it is, as it stands in a form, or once it is made fit to be shown. Fewer
/// than four signs are no secret, but part of many a word.
pub(crate) fn repeats(text: &str, secret: &Secret) -> bool {
    // Opened to be searched for.
    let secret = secret.expose_secret();
    let encoded = Zeroizing::new(form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>());
    let holds = |text: &str| text.contains(secret) || text.contains(encoded.as_str());
    secret.len() >= 4 && (holds(text) || holds(&Zeroizing::new(printable(text, text.len()))))
}

/// Signs that take no room or that turn the direction of writing.
fn is_invisible(sign: char) -> bool {
    matches!(sign, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use latchkey_transport::Secret;

    use super::{printable, repeats};

    #[test]
    fn foreign_text_stays_on_one_line_and_in_one_direction() {
        assert_eq!(printable("no\r\n2026 login ok\u{202e}fdp\u{1b}[31m", 100), "no 2026 login okfdp [31m");
    }

    #[test]
    fn a_secret_is_seen_however_it_is_repeated() {
        let secret = Secret::new("s+cret");
        for text in ["the s+cret!", "s%2Bcret", "s+cr\u{200b}et", "s%2Bcr\u{202e}et"] {
            assert!(repeats(text, &secret), "{text}");
        }
        assert!(!repeats("s+cre t", &secret));
        assert!(!repeats("an abc", &Secret::new("abc")), "part of a word");
    }

    #[test]
    fn foreign_text_is_cut_at_its_limit() {
        assert_eq!(printable("abcdef", 3), "abc…");
        assert_eq!(printable("äöü", 3), "äöü");
    }
}
