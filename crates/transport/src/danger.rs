//! Choices that give up a protection, kept apart so that a search for `danger` finds every one of them.

/// A protection that a transport gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Danger {
    /// Plain `http` also to hosts that are not loopback: whoever is on the way reads every token and can answer in
    /// the server's place. For a mesh that encrypts by itself, nothing else.
    PlainHttp,
    /// Any certificate is taken for the server's: encryption without knowing to whom. For a throw-away laboratory.
    AnyCertificate,
}
