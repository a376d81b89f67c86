//! The handle on a hub's API.

use std::fmt;

use latchkey_transport::{Method, Request, Secret};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::{Error, ReadIdToken, ReadInfo, ReadUser, ReadWho};

/// A hub's API, with the token of whoever asks. It makes exchanges and sends nothing by itself.
#[derive(Clone)]
pub struct HubApi {
    /// Without a slash at its end.
    address: String,
    token: Secret,
}

impl HubApi {
    /// Takes the address of the API, such as `JUPYTERHUB_API_URL` (`http://hub:8081/hub/api`), and a token.
    pub fn new(address: Url, token: Secret) -> Self {
        let address = String::from(address);
        let address = address.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        Self { address: address.to_owned(), token }
    }

    /// Asks what the hub knows of a person; see [`HubUser::id_token`](crate::HubUser::id_token).
    ///
    /// Fails with [`Error::InvalidUser`].
    pub fn user(&self, name: &str) -> Result<ReadUser, Error> {
        Ok(ReadUser::new(self.get(&format!("users/{}", segment(name)?)), self.token.clone(), name))
    }

    /// Asks who the token belongs to, and which scopes it has.
    pub fn who(&self) -> ReadWho {
        ReadWho::new(self.get("user"), self.token.clone())
    }

    /// Asks for the hub's version. It needs no token, and sends none.
    pub fn info(&self) -> ReadInfo {
        ReadInfo::new(Request::new(Method::Get, format!("{}/", self.address)))
    }

    /// Asks the small handler that gives `{id_token, exp}` alone, at a whole address.
    ///
    /// Fails with [`Error::InvalidAddress`] where that is not on the hub's own host: the token would go elsewhere.
    pub fn id_token_at(&self, address: &Url) -> Result<ReadIdToken, Error> {
        let hub = Url::parse(&self.address).map_err(|_| Error::InvalidAddress)?;
        if hub.origin() != address.origin() {
            return Err(Error::InvalidAddress);
        }
        let request = self.authorized(Request::for_url(Method::Get, address.clone()));
        Ok(ReadIdToken::new(request, self.token.clone()))
    }

    fn get(&self, path: &str) -> Request {
        self.authorized(Request::new(Method::Get, format!("{}/{path}", self.address)))
    }

    fn authorized(&self, request: Request) -> Request {
        // Opened for the header, which is secret.
        let authorization = Secret::new(format!("token {}", self.token.expose_secret()));
        request.with_header("accept", "application/json").with_secret_header("authorization", authorization)
    }
}

/// Shows the address.
impl fmt::Debug for HubApi {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address.rsplit('@').next().unwrap_or_default();
        formatter.debug_struct("HubApi").field("address", &address).finish_non_exhaustive()
    }
}

/// Checks that a server is the person's own: who looks at a shared server must not sign in there without being asked.
///
/// Fails with [`Error::OtherUser`].
pub fn check_own_server(user: &str, server_user: &str) -> Result<(), Error> {
    if user == server_user { Ok(()) } else { Err(Error::OtherUser) }
}

/// What stays as it is in a path ([RFC 3986, 2.3](https://www.rfc-editor.org/rfc/rfc3986#section-2.3)).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Names may hold nearly anything (`a@b.c`, `юзер`); dot segments would lead elsewhere, encoded ones too.
fn segment(name: &str) -> Result<String, Error> {
    if matches!(name, "" | "." | "..") {
        return Err(Error::InvalidUser);
    }
    Ok(utf8_percent_encode(name, ENCODED).to_string())
}
