//! What can go wrong, grouped by who must act.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use latchkey_transport::Secret;

use crate::messages::Messages;
use crate::problem::{Gone, LoginProblem, MountProblem, PathPart, PathProblem, TokenProblem, ValueKind};

/// Why a call did not give what it is for.
///
/// No error holds a body, a token, a code or a secret's value. What the server said is cleaned first, see
/// [`Messages`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // The caller: the call is wrong as it stands. Never repeated.
    /// A path, mount or namespace that cannot be called. Nothing was sent.
    #[error("the {part} cannot be used: {problem}")]
    InvalidPath {
        /// Which argument.
        part: PathPart,
        /// What is wrong with it.
        problem: PathProblem,
    },
    /// A token that cannot stand in a header. Nothing was sent.
    #[error("the token cannot be used: {problem}")]
    InvalidToken {
        /// What is wrong with it.
        problem: TokenProblem,
    },
    /// A value that its `Serialize` refuses to write as JSON. Nothing was sent.
    #[error("the request's body cannot be written as JSON")]
    UnwritableBody,
    /// The mount is of another kind than the call is for.
    #[error("{path} {problem}")]
    WrongMount {
        /// The path of the API that was called, encoded.
        path: String,
        /// What the mount is.
        problem: MountProblem,
    },
    /// The secret exists, but not that field of it.
    #[error("the secret has no field {field:?}; {}", Listed(.fields))]
    FieldMissing {
        /// The field that was asked for.
        field: String,
        /// The names of the fields that exist.
        fields: Vec<String>,
    },
    /// The field exists, but its value is no text: read it with [`Data::raw`](crate::Data::raw).
    #[error("the field {field:?} is not text but {kind}")]
    FieldNotText {
        /// The field that was asked for.
        field: String,
        /// What it is.
        kind: ValueKind,
    },
    /// The data is not of the type that it was read as. The position is that in the data's JSON text.
    #[error("the data is not of the wanted type (line {line}, column {column})")]
    WrongType {
        /// The line, from 1.
        line: usize,
        /// The column, from 1; 0 where the whole is meant.
        column: usize,
    },
    /// A text that is no client nonce of [`ClientNonce::generate`](crate::auth::ClientNonce::generate).
    #[error("the kept text is no client nonce")]
    InvalidClientNonce,
    /// An environment variable whose value is not of its kind. The value is not told.
    #[error("the environment variable {variable} cannot be used")]
    InvalidVariable {
        /// Its name.
        variable: String,
    },
    /// A file that a call was told to read.
    #[error("{} cannot be read", path.display())]
    UnreadableFile {
        /// The file.
        path: PathBuf,
        /// What the system said. In a browser it is no source: there are no files, and what shows it would be downloaded.
        #[cfg_attr(not(target_arch = "wasm32"), source)]
        cause: std::io::Error,
    },
    /// The source of randomness gave nothing, so no login can be begun.
    #[error(transparent)]
    Random(#[from] latchkey_transport::RandomUnavailable),

    // The person, or the operator of the auth method: the login was refused.
    /// The login was refused. Never repeated as it is.
    #[error("the login at {mount} was refused: {problem} ({refusal})")]
    LoginRefused {
        /// The mount of the auth method.
        mount: String,
        /// The role that was asked for; `None` where the call does not name it, or the mount's default was meant.
        role: Option<String>,
        /// What the refusal means.
        problem: LoginProblem,
        /// What the server said.
        refusal: Refusal,
    },
    /// The server gave no address to sign in at, and by design does not say why: the role does not allow the
    /// redirect address, or the server cannot reach its identity provider. Its own log tells.
    #[error(
        "the server gave no address to sign in at: is {redirect_uri} allowed for the role {role:?}, \
         and does the server reach its identity provider?"
    )]
    NoAuthUrl {
        /// The role that was asked for; empty for the mount's default.
        role: String,
        /// The redirect address that was asked for.
        redirect_uri: String,
    },
    /// The server wants the person to sign in at an address that is neither `https` nor on this machine: whoever is on
    /// the way would read the password.
    #[error(
        "the server sends the person to {host} over plain http, where anybody on the way reads the password"
    )]
    InsecureAuthUrl {
        /// The host, with its port if one was named.
        host: String,
    },
    /// What came back carries the state of another login: forged, or a page that was left open.
    #[error("the state that came back belongs to another login")]
    StateMismatch,

    // The operator, or whoever holds the token: the call was refused.
    /// The token is not one that the server knows: expired, revoked, or never made. Log in again.
    #[error("the token is no longer valid ({0})")]
    TokenInvalid(Refusal),
    /// No policy of the token allows this, **or** the token is dead and the server does not say so: `OpenBao` and
    /// Vault before 1.16 answer both alike. See [`is_token_dead`](Error::is_token_dead).
    #[error("permission denied ({0})")]
    PermissionDenied(Refusal),
    /// The token that the call *names* is not one that the server knows, whether by itself or by its accessor. It says
    /// nothing of the token that the call was made with.
    #[error("the named token is not known ({0})")]
    UnknownToken(Refusal),
    /// The wrapping token fetches nothing: what it stood for was fetched, has expired, or never was. If you expected it
    /// to be there, somebody else may have fetched it.
    #[error("there is nothing to unwrap ({0})")]
    WrappingTokenInvalid(Refusal),
    /// The wrapping token stands for the answer of another call than was expected. Nothing was fetched.
    #[error("what is wrapped is the answer of {found} and not of {wanted}")]
    WrongCreationPath {
        /// The path that was expected.
        wanted: String,
        /// The path that the server tells.
        found: String,
    },
    /// The call that was to be wrapped took place, but the server had no answer to keep, or did not keep it.
    #[error("the answer was not wrapped (status {status})")]
    NothingWrapped {
        /// The status.
        status: u16,
    },
    /// The token lives on until its lease ends, but it cannot be renewed. Log in again before that.
    #[error("the token cannot be renewed ({0})")]
    NotRenewable(Refusal),
    /// Nothing is served at that path: no such mount, or no such namespace. That a *secret* is not there is no
    /// error but [`Read::Missing`](crate::Read::Missing).
    #[error("nothing is served at this path ({0})")]
    NotFound(Refusal),
    /// The path knows no such operation.
    #[error("the operation is not supported at this path ({0})")]
    UnsupportedOperation(Refusal),
    /// The server does not take a body of that media type.
    #[error("the media type is not supported at this path ({0})")]
    UnsupportedMediaType(Refusal),
    /// The server understood the request and found it wrong.
    #[error("the server refused the request ({0})")]
    InvalidRequest(Refusal),
    /// The secret has another version than the check-and-set named: somebody else wrote in between. Read again.
    #[error("somebody else has written the secret in between ({0})")]
    CasMismatch(Refusal),
    /// The secret, or its store, takes no write without a check-and-set: use [`Cas`](crate::kv2::Cas).
    #[error("the secret can only be written with a check-and-set ({0})")]
    CasRequired(Refusal),
    /// There is no version that could be changed or taken back to.
    #[error("there is nothing to change: the secret {0}")]
    NoSuchVersion(Gone),
    /// The external group has another alias, of which it can have one only: a second one would silently take the first
    /// one's place, and everybody who comes by the first would lose the group's policies. Nothing was changed.
    #[error("the group {group:?} has the alias {alias:?} of {mount_path} already")]
    AliasTaken {
        /// The group.
        group: String,
        /// The name of the alias that it has.
        alias: String,
        /// The auth method that the alias is of.
        mount_path: String,
    },
    /// Something is mounted at that path already.
    #[error("something is mounted there already ({0})")]
    MountExists(Refusal),
    /// The body is longer than the server takes: 32 MiB unless configured otherwise.
    #[error("the request is too large for the server ({0})")]
    PayloadTooLarge(Refusal),
    /// The server sends the call elsewhere, and it is not a standby: a sign-on portal, or `http` where `https` is
    /// meant. Not followed, since it would hand the token to somebody else.
    #[error("the address does not answer itself but sends to {} (status {status}); is it right?", .to.as_deref().unwrap_or("elsewhere"))]
    Redirected {
        /// The status.
        status: u16,
        /// The host it sends to, with its port if one was named.
        to: Option<String>,
    },

    // Time: the same call will succeed later.
    /// Too many calls. Transient; the server did not run this one.
    #[error("too many calls{}", Pause(*.retry_after))]
    RateLimited {
        /// How long to wait, where the server said so and the transport may see it.
        retry_after: Option<Duration>,
    },
    /// The server is sealed and waits for its operator. Transient; the server did not run the call.
    #[error("the server is sealed")]
    Sealed,
    /// This node is a standby, or the cluster has no active node at the moment. Transient; the call was not run.
    #[error("this node does not serve calls{}", Leader(.leader.as_deref()))]
    NotActive {
        /// The host of the active node, with its port if one was named, where the node told it.
        leader: Option<String>,
    },
    /// The node has not seen what another node wrote before. Transient; the call was not run.
    #[error("this node has not caught up yet ({0})")]
    PreconditionFailed(Refusal),
    /// The KV store is being turned into a versioned one; a fresh mount may say so for a moment. Transient.
    #[error("the KV store is being upgraded ({0})")]
    MountUpgrading(Refusal),

    // The operator: the server itself is not well.
    /// The server has never been initialised.
    #[error("the server is not initialised")]
    Uninitialised,
    /// The server, or something before it, failed. Transient for 502, 503 and 504 only: a 500 is also how some
    /// lasting refusals arrive.
    #[error("the server failed ({0})")]
    ServerFault(Refusal),
    /// The status promises an answer, but the body is not one: a proxy's page, a truncated body, something else
    /// than a Vault.
    #[error("the reply is not {wanted} (status {status}, {length} bytes)")]
    MalformedReply {
        /// The status.
        status: u16,
        /// How long the body is, in bytes.
        length: usize,
        /// What it should have been.
        wanted: &'static str,
    },

    // The network.
    /// No whole reply arrived. See the source; transient where the source is.
    #[error(transparent)]
    Transport(#[from] latchkey_transport::Error),
}

impl Error {
    /// Returns the status of the reply, where there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Redirected { status, .. }
            | Self::MalformedReply { status, .. }
            | Self::NothingWrapped { status } => Some(*status),
            Self::RateLimited { .. } => Some(429),
            Self::Sealed => Some(503),
            other => other.refusal().map(|refusal| refusal.status),
        }
    }

    /// Returns what the server said, where it said anything of its own.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::LoginRefused { refusal, .. }
            | Self::TokenInvalid(refusal)
            | Self::PermissionDenied(refusal)
            | Self::UnknownToken(refusal)
            | Self::WrappingTokenInvalid(refusal)
            | Self::NotRenewable(refusal)
            | Self::NotFound(refusal)
            | Self::UnsupportedOperation(refusal)
            | Self::UnsupportedMediaType(refusal)
            | Self::InvalidRequest(refusal)
            | Self::CasMismatch(refusal)
            | Self::CasRequired(refusal)
            | Self::MountExists(refusal)
            | Self::PayloadTooLarge(refusal)
            | Self::PreconditionFailed(refusal)
            | Self::MountUpgrading(refusal)
            | Self::ServerFault(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Leaves a secret out of what the server said.
    pub(crate) fn cleaned_of(mut self, secret: &Secret) -> Self {
        if let Self::LoginRefused { refusal, .. }
        | Self::TokenInvalid(refusal)
        | Self::PermissionDenied(refusal)
        | Self::UnknownToken(refusal)
        | Self::WrappingTokenInvalid(refusal)
        | Self::NotRenewable(refusal)
        | Self::NotFound(refusal)
        | Self::UnsupportedOperation(refusal)
        | Self::UnsupportedMediaType(refusal)
        | Self::InvalidRequest(refusal)
        | Self::CasMismatch(refusal)
        | Self::CasRequired(refusal)
        | Self::MountExists(refusal)
        | Self::PayloadTooLarge(refusal)
        | Self::PreconditionFailed(refusal)
        | Self::MountUpgrading(refusal)
        | Self::ServerFault(refusal) = &mut self
        {
            refusal.messages.hide(secret);
        }
        self
    }

    /// Returns whether the same call may succeed later without anybody changing anything. Whether it may be sent
    /// again at all is for [`Exchange::replay`](latchkey_transport::Exchange::replay) to say.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::RateLimited { .. }
            | Self::Sealed
            | Self::NotActive { .. }
            | Self::PreconditionFailed(_)
            | Self::MountUpgrading(_) => true,
            Self::ServerFault(refusal) => matches!(refusal.status, 502..=504),
            Self::Transport(error) => error.is_transient(),
            _ => false,
        }
    }

    /// Returns whether the token that was sent is dead: `None` means that the error alone does not decide it.
    ///
    /// `Some(true)` only where the server said so in words. [`PermissionDenied`](Error::PermissionDenied) is
    /// ambiguous; ask with [`lookup_self`](crate::token::TokenAuth::lookup_self) before throwing a token away.
    pub fn is_token_dead(&self) -> Option<bool> {
        match self {
            Self::TokenInvalid(_) => Some(true),
            Self::PermissionDenied(_) => None,
            _ => Some(false),
        }
    }

    /// Names the path that the call was for, where the error tells it.
    pub(crate) fn at(self, called: String) -> Self {
        match self {
            Self::WrongMount { problem, .. } => Self::WrongMount { path: called, problem },
            other => other,
        }
    }

    /// Returns the stable name of this error, for programs and other languages.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidPath { .. } => "vault_invalid_path",
            Self::InvalidToken { .. } => "vault_invalid_token",
            Self::UnwritableBody => "vault_unwritable_body",
            Self::WrongMount { .. } => "vault_wrong_mount",
            Self::FieldMissing { .. } => "vault_field_missing",
            Self::FieldNotText { .. } => "vault_field_not_text",
            Self::WrongType { .. } => "vault_wrong_type",
            Self::InvalidClientNonce => "vault_invalid_client_nonce",
            Self::InvalidVariable { .. } => "vault_invalid_variable",
            Self::UnreadableFile { .. } => "vault_unreadable_file",
            Self::Random(_) => "vault_random_unavailable",
            Self::LoginRefused { .. } => "vault_login_refused",
            Self::NoAuthUrl { .. } => "vault_no_auth_url",
            Self::InsecureAuthUrl { .. } => "vault_insecure_auth_url",
            Self::StateMismatch => "vault_state_mismatch",
            Self::TokenInvalid(_) => "vault_token_invalid",
            Self::PermissionDenied(_) => "vault_permission_denied",
            Self::UnknownToken(_) => "vault_unknown_token",
            Self::WrappingTokenInvalid(_) => "vault_wrapping_token_invalid",
            Self::WrongCreationPath { .. } => "vault_wrong_creation_path",
            Self::NothingWrapped { .. } => "vault_nothing_wrapped",
            Self::NotRenewable(_) => "vault_not_renewable",
            Self::NotFound(_) => "vault_not_found",
            Self::UnsupportedOperation(_) => "vault_unsupported_operation",
            Self::UnsupportedMediaType(_) => "vault_unsupported_media_type",
            Self::InvalidRequest(_) => "vault_invalid_request",
            Self::CasMismatch(_) => "vault_cas_mismatch",
            Self::CasRequired(_) => "vault_cas_required",
            Self::AliasTaken { .. } => "vault_alias_taken",
            Self::MountExists(_) => "vault_mount_exists",
            Self::NoSuchVersion(_) => "vault_no_such_version",
            Self::PayloadTooLarge(_) => "vault_payload_too_large",
            Self::Redirected { .. } => "vault_redirected",
            Self::RateLimited { .. } => "vault_rate_limited",
            Self::Sealed => "vault_sealed",
            Self::NotActive { .. } => "vault_not_active",
            Self::PreconditionFailed(_) => "vault_precondition_failed",
            Self::MountUpgrading(_) => "vault_mount_upgrading",
            Self::Uninitialised => "vault_uninitialised",
            Self::ServerFault(_) => "vault_server_fault",
            Self::MalformedReply { .. } => "vault_malformed_reply",
            Self::Transport(error) => error.code(),
        }
    }
}

/// A refusal as the server put it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The status of the reply.
    pub status: u16,
    /// What the server said, cleaned. Empty where it said nothing, or nothing in Vault's form.
    pub messages: Messages,
}

impl Refusal {
    /// Returns whether the server said something with that text in it.
    pub(crate) fn says(&self, text: &str) -> bool {
        self.messages.iter().any(|said| said.contains(text))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "status {}", self.status)?;
        if self.messages.is_empty() { Ok(()) } else { write!(formatter, ": {}", self.messages) }
    }
}

/// The names of the fields that exist: the first twenty, a screenful.
struct Listed<'a>(&'a [String]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 20;
        if self.0.is_empty() {
            return formatter.write_str("it has none");
        }
        formatter.write_str("it has ")?;
        for (index, name) in self.0.iter().take(SHOWN).enumerate() {
            write!(formatter, "{}{name:?}", if index == 0 { "" } else { ", " })?;
        }
        match self.0.len().checked_sub(SHOWN) {
            None | Some(0) => Ok(()),
            Some(more) => write!(formatter, " and {more} more"),
        }
    }
}

struct Pause(Option<Duration>);

impl fmt::Display for Pause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .map_or(Ok(()), |pause| write!(formatter, "; the server asks for {} s of rest", pause.as_secs()))
    }
}

struct Leader<'a>(Option<&'a str>);

impl fmt::Display for Leader<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |host| write!(formatter, "; the active node is {host}"))
    }
}
