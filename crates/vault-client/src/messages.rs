//! What a server says in words.

use std::borrow::Cow;
use std::fmt;

use latchkey_transport::{Secret, json};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::path::encoded;

/// What a server said, made fit to be shown: no control signs, no secret that was sent to it, nothing that looks like
/// a token, at most [`Messages::MOST`] texts of at most [`Messages::LONGEST`] letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Messages(Vec<String>);

impl Messages {
    /// How many texts are kept: servers send one, seldom three; more would be a page.
    pub const MOST: usize = 8;

    /// How many letters of a text are kept: the longest text that a server is known to send, about a renewal cut
    /// short, has 150; one that quotes an identity provider stays readable.
    pub const LONGEST: usize = 400;

    /// Returns the texts.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Returns whether the server said nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Cleans texts, also of `sent`, the secrets that the request carried.
    pub(crate) fn cleaned(texts: &Texts<'_>, sent: &[&Secret]) -> Self {
        let items = texts.0.iter().flat_map(|text| items(text)).take(Self::MOST);
        let mut messages = Self(items.map(visible).collect());
        for secret in sent {
            messages.hide(secret);
        }
        messages.0 = messages.0.iter().map(|text| shortened(without_tokens(text))).collect();
        messages.0.retain(|text| !text.is_empty());
        messages
    }

    /// Leaves a secret out, as it is and as it stands in a query.
    pub(crate) fn hide(&mut self, secret: &Secret) {
        // Opened to be found.
        let plain = secret.expose_secret().trim();
        for form in [plain, &Zeroizing::new(encoded(plain))] {
            for text in self.0.iter_mut().filter(|text| !form.is_empty() && text.contains(form)) {
                *text = text.replace(form, HIDDEN);
            }
            for text in &mut self.0 {
                hide_beginning(text, form);
            }
        }
    }
}

/// Leaves out the beginning of a secret at the end of a text that was cut there.
fn hide_beginning(text: &mut String, secret: &str) {
    // Fewer signs than that are any word's beginning, and tell nothing of a secret.
    const FEWEST: usize = 4;
    let Some(kept) = text.strip_suffix(HIDDEN) else { return };
    let ends = secret.char_indices().map(|(at, _)| at).filter(|at| *at >= FEWEST);
    let beginning = ends.rev().filter_map(|at| secret.get(..at)).find(|part| kept.ends_with(part));
    if let Some(beginning) = beginning {
        text.truncate(kept.len() - beginning.len());
        text.push_str(HIDDEN);
    }
}

/// Stands where something was left out.
const HIDDEN: &str = "…";

impl fmt::Display for Messages {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, text) in self.0.iter().enumerate() {
            write!(formatter, "{}{text}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// The first few texts of a JSON list. Anything else in it is passed over.
#[derive(Default)]
pub(crate) struct Texts<'a>(Vec<Cow<'a, str>>);

impl<'a> Texts<'a> {
    pub(crate) fn read(raw: &'a RawValue) -> Self {
        json::from_raw(raw).unwrap_or_default()
    }

    /// Returns whether one of the texts has this in it.
    pub(crate) fn contain(&self, needle: &str) -> bool {
        self.0.iter().any(|text| text.contains(needle))
    }

    /// Returns whether one of the texts, or one item of a text that is a list ("2 errors occurred:"), is exactly this.
    pub(crate) fn say(&self, message: &str) -> bool {
        self.0
            .iter()
            .flat_map(|text| text.lines())
            .any(|line| line.trim().trim_start_matches("* ") == message)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Texts<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Texts<'de>, A::Error> {
                let mut texts = Vec::new();
                while let Some(item) = items.next_element::<&RawValue>()? {
                    if texts.len() < Messages::MOST
                        && let Ok(Text(text)) = json::from_raw(item)
                    {
                        texts.push(text);
                    }
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// Takes the items out of the frame that Go puts around several errors: a line that counts them, and each on a line of
/// its own after an asterisk.
fn items(text: &str) -> impl Iterator<Item = &str> {
    let framed = text.split_once('\n').filter(|(count, _)| {
        let word = count.strip_suffix(" occurred:").and_then(|count| count.split_once(' '));
        word.is_some_and(|(number, word)| number.parse::<u32>().is_ok() && matches!(word, "error" | "errors"))
    });
    let (whole, list) = match framed {
        Some((_, list)) => (None, list),
        None => (Some(text), ""),
    };
    let mut items = list.split("\n\t*");
    let first = items.next().map(|first| first.trim_start().strip_prefix('*').unwrap_or(first));
    whole.into_iter().chain(first.into_iter().chain(items).map(str::trim).filter(|item| !item.is_empty()))
}

/// Writes a text in one line of signs that show.
fn visible(text: &str) -> String {
    let words =
        text.split(|sign: char| sign.is_whitespace() || sign.is_control()).filter(|word| !word.is_empty());
    let mut text = words.collect::<Vec<_>>().join(" ");
    text.retain(|sign| !is_invisible(sign));
    text
}

/// Leaves out what looks like a token, whosever it is.
fn without_tokens(text: &str) -> String {
    let parts = text.split_inclusive(is_between_words).map(|part| {
        let word = part.trim_end_matches(is_between_words);
        if looks_like_a_token(word) { part.replace(word, HIDDEN) } else { part.to_owned() }
    });
    parts.collect()
}

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(Messages::LONGEST) {
        text.truncate(end);
        text.push_str(HIDDEN);
    }
    text
}

/// Returns whether a sign shows nothing but changes how others show: zero-width signs, and those that turn the
/// direction of writing.
fn is_invisible(sign: char) -> bool {
    matches!(sign, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn is_between_words(sign: char) -> bool {
    !(sign.is_ascii_alphanumeric() || matches!(sign, '.' | '-' | '_'))
}

/// Returns whether a word is a JWT (they all begin with `{"` in base64url), or begins as the servers' tokens do.
fn looks_like_a_token(word: &str) -> bool {
    // As short as `s.` + 24 signs; no word of a message comes near that.
    const SHORTEST: usize = 20;
    let starts = ["eyJ", "hvs.", "hvb.", "hvr.", "s.", "b.", "r."];
    word.len() >= SHORTEST && starts.iter().any(|start| word.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, sent: &[&Secret]) -> Messages {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        Messages::cleaned(&Texts::read(raw), sent)
    }

    #[test]
    fn a_list_of_errors_becomes_one_line() {
        let messages = read(r#"["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]"#, &[]);
        assert_eq!(messages.to_string(), "permission denied; invalid token");
        assert_eq!(messages.iter().count(), 2);
        let messages = read(r#"["1 error occurred:\n\t* one * star, and\n a line\n\n","plain"]"#, &[]);
        assert_eq!(messages.to_string(), "one * star, and a line; plain");
        for other in
            [r"2 errors occurred: x", r"many errors occurred:\n\t* x", r"what occurred:\n\t* x", r"a\n\t* b"]
        {
            let messages = read(&format!(r#"["{other}"]"#), &[]);
            assert_eq!(messages.iter().count(), 1, "{other}");
            assert!(!messages.to_string().starts_with('x'), "{other}");
        }
    }

    #[test]
    fn signs_that_fool_a_terminal_are_left_out() {
        let messages = read(r#"["a\u001b[31mb\u0007c\u009bd \u202egnirts\u200b \ufeff","\n\t "]"#, &[]);
        assert_eq!(messages.to_string(), "a [31mb c d gnirts ");
        assert_eq!(messages.iter().count(), 1, "what is empty afterwards is no message");
    }

    #[test]
    fn what_was_sent_does_not_come_back() {
        let code = Secret::new("SplxlOBeZQ/+ a");
        let json = r#"["Error exchanging oidc code: \"SplxlOBeZQ/+ a\" (code=SplxlOBeZQ%2F%2B%20a)"]"#;
        assert_eq!(read(json, &[&code]).to_string(), r#"Error exchanging oidc code: "…" (code=…)"#);
    }

    #[test]
    fn what_looks_like_a_token_is_left_out_whosever_it_is() {
        for token in [
            "hvs.CAESIJlWh0jYJqzQwqzR8e0kYw1iXy",
            "s.nDA2ZqIoyDMwLhSXHpnEPJ7w",
            "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln-_",
        ] {
            let json = format!(r#"["got {{\"id_token\":\"{token}\"}}, sorry: {token}, {token}"]"#);
            assert_eq!(read(&json, &[]).to_string(), r#"got {"id_token":"…"}, sorry: …, …"#);
        }
    }

    #[test]
    fn ordinary_words_stay() {
        let text =
            r#"claim "resource_access.vault-oidc.roles" of https://idp.example/realms/x not found in token"#;
        let json = serde_json::to_string(&[text]).unwrap();
        assert_eq!(read(&json, &[]).to_string(), text);
    }

    #[test]
    fn many_and_long_texts_are_cut() {
        let json = serde_json::to_string(&vec!["ä".repeat(10_000); 20]).unwrap();
        let messages = read(&json, &[]);
        assert_eq!(messages.iter().count(), Messages::MOST);
        assert!(
            messages.iter().all(|text| text.chars().count() == Messages::LONGEST + 1 && text.ends_with('…'))
        );
    }

    #[test]
    fn a_secret_that_the_cut_goes_through_leaves_no_beginning() {
        let json = serde_json::to_string(&[format!("{} sesame-open-the-door", "x".repeat(385))]).unwrap();
        let mut messages = read(&json, &[]);
        assert!(messages.to_string().ends_with("x sesame-open-th…"));
        messages.hide(&Secret::new("sesame-open-the-door"));
        assert!(messages.to_string().ends_with("x …"), "{messages}");
    }

    #[test]
    fn what_is_no_text_is_passed_over() {
        for (json, count) in
            [(r#"[1,null,{"a":["b"]},"c",["d"]]"#, 1), (r#""alone""#, 0), ("{}", 0), ("null", 0)]
        {
            assert_eq!(read(json, &[]).iter().count(), count, "{json}");
        }
    }

    #[test]
    fn an_item_is_said_only_when_it_is_the_whole_item() {
        let says = |json: &str| Texts::read(serde_json::from_str(json).unwrap()).say("invalid token");
        assert!(says(r#"["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]"#));
        assert!(says(r#"["invalid token"]"#));
        assert!(!says(r#"["role \"invalid token\" may not"]"#));
    }
}
