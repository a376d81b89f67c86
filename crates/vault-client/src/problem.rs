//! What exactly is wrong: the kinds that errors name, for programs to branch on.

use std::fmt;

/// Which argument an [`Error::InvalidPath`](crate::Error::InvalidPath) is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathPart {
    /// The mount of a secrets engine or auth method.
    Mount,
    /// The path below a mount, or a whole path of the API.
    Path,
    /// The namespace.
    Namespace,
    /// The name of a role.
    Role,
    /// The name of a user whose store is meant.
    User,
    /// The name of something else: a policy, a group.
    Name,
}

impl fmt::Display for PathPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Mount => "mount",
            Self::Path => "path",
            Self::Namespace => "namespace",
            Self::Role => "role",
            Self::User => "user's name",
            Self::Name => "name",
        })
    }
}

/// What is wrong with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathProblem {
    /// There is nothing in it.
    Empty,
    /// Two slashes follow each other.
    EmptySegment,
    /// A segment is `.` or `..`, which servers and proxies resolve to another path.
    DotSegment,
    /// It holds a control sign.
    ControlSign,
    /// It holds a slash, and is a single name.
    Slash,
    /// It holds a sign that stands for something else in a policy: `*`, `+`, a brace, a quote.
    PolicySign,
    /// It is longer than any name should be.
    TooLong,
}

impl fmt::Display for PathProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Empty => "it is empty",
            Self::EmptySegment => "it has an empty segment",
            Self::DotSegment => "it has a segment . or ..",
            Self::ControlSign => "it has a control sign",
            Self::Slash => "it has a slash",
            Self::PolicySign => "it has a sign that means something in policies",
            Self::TooLong => "it is too long",
        })
    }
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenProblem {
    /// There is nothing in it but space.
    Empty,
    /// It holds a space, a control sign or a letter outside ASCII.
    Unprintable,
}

impl fmt::Display for TokenProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Empty => "it is empty",
            Self::Unprintable => "it has a sign that no token has",
        })
    }
}

/// How a mount differs from what the call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MountProblem {
    /// A plain path was used at a versioned KV store (v2): call it with [`Vault::kv2`](crate::Vault::kv2).
    Versioned,
    /// A call for a versioned KV store (v2) was answered by something else, such as a KV store without versions.
    NotVersioned,
}

impl fmt::Display for MountProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Versioned => "is in a versioned KV store (v2), where secrets are read below data/",
            Self::NotVersioned => "is not in a versioned KV store (v2)",
        })
    }
}

/// What the value of a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueKind {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// A number.
    Number,
    /// A list.
    List,
    /// An object.
    Object,
    /// A JSON string that is not Unicode text: half of a surrogate pair.
    BrokenText,
}

impl fmt::Display for ValueKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::List => "a list",
            Self::Object => "an object",
            Self::BrokenText => "a string that is not Unicode",
        })
    }
}

/// Why a login was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginProblem {
    /// The auth method has no role of that name.
    UnknownRole,
    /// No role was named, and the auth method has no default one.
    MissingRole,
    /// The role is for another kind of login: `role_type` is `oidc` where `jwt` is needed.
    WrongRoleType,
    /// Nothing to log in with is set up at this mount.
    NotConfigured,
    /// The server does not serve this login: no auth method is mounted there, or the role does not allow the
    /// address that the call came from. Servers answer both with 403.
    NotServed,
    /// The token of the identity provider did not pass: signature or issuer.
    TokenRejected,
    /// The token of the identity provider has expired, or is not valid yet: get a fresh one, or set the server's
    /// clock. The server allows 150 s of either unless the role says otherwise.
    TokenNotValidNow,
    /// The token names an audience, and the role is bound to none, or to others.
    AudienceRejected,
    /// The token is genuine, but its claims are not those that the role asks for.
    ClaimsRejected,
    /// The login took longer than ten minutes, was used before, or was begun at another server. Begin anew.
    StateExpired,
    /// The client nonce is not that of the login. The server has forgotten the login: begin anew.
    ClientNonceMismatch,
    /// The identity provider did not accept the code: used before, expired, or the server's client is set up
    /// wrongly. Begin anew.
    CodeRejected,
    /// The identity provider took the code, but the server could not verify the ID token that it got for it: it cannot
    /// fetch the provider's keys, or its settings name another issuer. Whoever runs the server must look.
    IdTokenRejected,
    /// Name and password, or role id and secret id, do not belong together. Servers do not say which is wrong.
    CredentialsRejected,
    /// The person, or the identity provider, said no. Begin anew.
    Cancelled,
    /// The server wants a second factor, which this client cannot give.
    SecondFactorRequired,
    /// Something else, which the messages tell.
    Other,
}

impl fmt::Display for LoginProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::UnknownRole => "no such role",
            Self::MissingRole => "a role must be named",
            Self::WrongRoleType => "the role is for another kind of login",
            Self::NotConfigured => "the auth method is not set up for it",
            Self::NotServed => "no auth method at this mount, or this address may not log in",
            Self::TokenRejected => "the identity token did not pass",
            Self::TokenNotValidNow => {
                "the identity token has expired or is not valid yet (are both clocks right?)"
            }
            Self::AudienceRejected => "the role does not accept the token's audience",
            Self::ClaimsRejected => "the role does not accept the token's claims",
            Self::StateExpired => "the login has expired or was used before",
            Self::ClientNonceMismatch => "it was begun by somebody else",
            Self::CodeRejected => "the identity provider did not accept the code",
            Self::IdTokenRejected => "the server could not verify the identity provider's token",
            Self::CredentialsRejected => "the credentials are wrong",
            Self::Cancelled => "the sign-in was refused or cancelled",
            Self::SecondFactorRequired => "a second factor is required",
            Self::Other => "for another reason",
        })
    }
}

/// Why there is no version of a secret to work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gone {
    /// It was never written, or all of it was removed.
    Missing,
    /// Its version was deleted and can be undeleted.
    Deleted,
    /// Its version's data is gone for good.
    Destroyed,
}

impl fmt::Display for Gone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Missing => "is not there",
            Self::Deleted => "was deleted",
            Self::Destroyed => "was destroyed",
        })
    }
}
