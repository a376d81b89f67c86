//! The crate as its users see it: one binary, one module for each topic.

// `cfg(test)` tells the linter that helpers may unwrap, too.
#[cfg(test)]
mod after_login;
#[cfg(test)]
mod callback;
#[cfg(test)]
mod canary;
#[cfg(test)]
mod claim_source;
#[cfg(test)]
mod client;
#[cfg(test)]
mod device;
#[cfg(test)]
mod discovery;
#[cfg(test)]
mod dpop;
#[cfg(test)]
mod grants;
#[cfg(test)]
mod id_token;
#[cfg(test)]
mod initiated;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod logout;
#[cfg(test)]
#[cfg(feature = "loopback")]
mod loopback;
#[cfg(test)]
mod oob;
#[cfg(test)]
mod quirks;
#[cfg(test)]
mod refresh;
#[cfg(test)]
mod signed;
#[cfg(test)]
mod support;
#[cfg(test)]
mod userinfo;
#[cfg(test)]
#[cfg(feature = "suite")]
mod verifiers;
