//! Setting an auth method up: its configuration and its roles. One set of calls for every method that has them.

use std::fmt;
use std::marker::PhantomData;

use latchkey_transport::{Body, Exchange, MaybeSend, MaybeSync, Method, Replay, Reply, Request, Secret};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::path::Path;
use crate::reply::{self, JSON, LIST_LIMIT};
use crate::{Error, PathPart};

/// `GET auth/<mount>/config`: how an auth method is set up, as a type such as [`JwtConfig`](super::JwtConfig); `None`
/// where it is not.
///
/// Servers never show a secret of it. It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails as every
/// call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/jwt#read-config>
pub struct ReadConfig<C> {
    path: String,
    config: PhantomData<fn() -> C>,
}

impl<C> ReadConfig<C> {
    /// Reads the configuration of the auth method at a mount. Fails with [`Error::InvalidPath`].
    pub fn new(mount: &str) -> Result<Self, Error> {
        Ok(Self { path: auth_path(mount, "/config")?.into_string(), config: PhantomData })
    }
}

impl<C: DeserializeOwned + MaybeSend + MaybeSync> Exchange for ReadConfig<C> {
    type Output = Option<C>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, self.path.clone())
    }

    fn receive(self, reply: Reply) -> Result<Option<C>, Error> {
        reply::thing(&reply, "the configuration of an auth method")
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

impl<C> Clone for ReadConfig<C> {
    fn clone(&self) -> Self {
        Self { path: self.path.clone(), config: PhantomData }
    }
}

impl<C> fmt::Debug for ReadConfig<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ReadConfig").field("path", &self.path).finish()
    }
}

/// `POST auth/<mount>/config`: sets an auth method up, **in place of** what was there.
///
/// A second one does what the first did, so it is repeated freely ([`Replay::Safe`]). Fails with
/// [`Error::InvalidRequest`] where the server does not take a value, or does not reach what it is told to: a JWT method
/// asks its provider at once. [`Error::NotFound`] where nothing is mounted there.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/jwt#configure>
#[derive(Clone, Debug)]
pub struct WriteConfig {
    path: String,
    body: Body,
    /// What is not repeated where the server repeats it.
    sent: Vec<Secret>,
}

impl WriteConfig {
    pub(super) fn new<T: Serialize>(mount: &str, fields: &T, sent: Option<&Secret>) -> Result<Self, Error> {
        Ok(Self {
            path: auth_path(mount, "/config")?.into_string(),
            body: reply::json(fields)?,
            sent: sent.cloned().into_iter().collect(),
        })
    }
}

impl Exchange for WriteConfig {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, self.path.clone()).with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<(), Error> {
        let sent: Vec<&Secret> = self.sent.iter().collect();
        reply::accept(&reply, &sent)
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `GET auth/<mount>/role/<name>`: a role, as a type such as [`JwtRole`](super::JwtRole); `None` where there is none.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/jwt#read-role>
pub struct ReadRole<R> {
    path: String,
    role: PhantomData<fn() -> R>,
}

impl<R> ReadRole<R> {
    /// Reads a role of the auth method at a mount. Fails with [`Error::InvalidPath`].
    pub fn new(mount: &str, name: &str) -> Result<Self, Error> {
        Ok(Self { path: role_path(mount, name)?, role: PhantomData })
    }
}

impl<R: DeserializeOwned + MaybeSend + MaybeSync> Exchange for ReadRole<R> {
    type Output = Option<R>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, self.path.clone())
    }

    fn receive(self, reply: Reply) -> Result<Option<R>, Error> {
        reply::thing(&reply, "a role of an auth method")
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

impl<R> Clone for ReadRole<R> {
    fn clone(&self) -> Self {
        Self { path: self.path.clone(), role: PhantomData }
    }
}

impl<R> fmt::Debug for ReadRole<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ReadRole").field("path", &self.path).finish()
    }
}

/// `POST auth/<mount>/role/<name>`: makes a role, or changes one; what is not sent stays as it is.
///
/// A second one does what the first did, so it is repeated freely ([`Replay::Safe`]). Fails with
/// [`Error::InvalidRequest`] where the server does not take a value, and [`Error::NotFound`] where nothing is mounted there.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/jwt#create-update-role>
#[derive(Clone, Debug)]
pub struct WriteRole {
    path: String,
    body: Body,
}

impl WriteRole {
    /// Writes settings such as [`JwtRoleSettings`](super::JwtRoleSettings), or those of a method that has no type here.
    ///
    /// Fails with [`Error::InvalidPath`] or [`Error::UnwritableBody`].
    pub fn new<T: Serialize + ?Sized>(mount: &str, name: &str, settings: &T) -> Result<Self, Error> {
        Ok(Self { path: role_path(mount, name)?, body: reply::json(settings)? })
    }
}

impl Exchange for WriteRole {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, self.path.clone()).with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<(), Error> {
        reply::accept(&reply, &[])
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `DELETE auth/<mount>/role/<name>`: removes a role. That there is none is no error; the tokens that it made live on.
///
/// A second one does no more than the first, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/jwt#delete-role>
#[derive(Clone, Debug)]
pub struct DeleteRole {
    path: String,
}

impl DeleteRole {
    /// Removes a role of the auth method at a mount. Fails with [`Error::InvalidPath`].
    pub fn new(mount: &str, name: &str) -> Result<Self, Error> {
        Ok(Self { path: role_path(mount, name)? })
    }
}

impl Exchange for DeleteRole {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Delete, self.path.clone())
    }

    fn receive(self, reply: Reply) -> Result<(), Error> {
        reply::accept(&reply, &[])
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `GET auth/<mount>/role?list=true`: the names of the roles; none is an empty list.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/jwt#list-roles>
#[derive(Clone, Debug)]
pub struct ListRoles {
    path: String,
}

impl ListRoles {
    /// Lists the roles of the auth method at a mount. Fails with [`Error::InvalidPath`].
    pub fn new(mount: &str) -> Result<Self, Error> {
        Ok(Self { path: auth_path(mount, "/role?list=true")?.into_string() })
    }
}

impl Exchange for ListRoles {
    type Output = Vec<String>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, self.path.clone()).with_reply_limit(LIST_LIMIT)
    }

    fn receive(self, reply: Reply) -> Result<Vec<String>, Error> {
        reply::keys(&reply)
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

fn auth_path(mount: &str, below: &'static str) -> Result<Path, Error> {
    let path = Path::with_room("/auth/".len() + mount.len() + below.len()).literal("/auth");
    Ok(path.segments(PathPart::Mount, mount)?.literal(below))
}

fn role_path(mount: &str, name: &str) -> Result<String, Error> {
    Ok(auth_path(mount, "/role")?.segment(PathPart::Role, name)?.into_string())
}
