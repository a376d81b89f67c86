//! Choices that give up a protection, kept apart so that a search for `danger` finds every one of them.

/// A protection that discovery gives up ([`Discover::danger`](crate::Discover::danger)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Danger {
    /// Plain `http` also beyond loopback, for the issuer and for every endpoint: whoever is on the way reads every token
    /// and can sign in as anybody. For a network that encrypts by itself, nothing else. The transport must be told, too.
    PlainHttp,
    /// People of every tenant, where one provider serves many (Microsoft Entra's `common`): anybody who can open an
    /// account there can sign in. Compare the claim `tid` before you let anybody do anything.
    AnyTenant,
}
