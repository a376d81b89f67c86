//! The transport that the environment asks for.

use std::path::Path;
use std::sync::Arc;

use latchkey_transport::danger::Danger;
use latchkey_transport::{ReqwestTransport, SharedTransport};
use zeroize::Zeroizing;

use super::{Config, invalid};
use crate::Error;

impl Config {
    /// Returns a transport with the TLS settings of the environment. Where it names certificates that are trusted, no
    /// others are.
    ///
    /// Fails with [`Error::UnreadableFile`], with [`Error::InvalidVariable`] for one of `CLIENT_CERT` and `CLIENT_KEY`
    /// without the other and for a `TLS_SERVER_NAME` that is not the host of the address, which this transport cannot
    /// ask for, and with [`Error::Transport`] for what is no certificate. Nothing of it is passed over.
    pub fn transport(&self) -> Result<SharedTransport, Error> {
        let mut builder = ReqwestTransport::builder();
        if let Some(roots) = self.roots()? {
            builder = builder.with_root_certificates(&roots).with_named_roots_only();
        }
        match (&self.client_cert, &self.client_key) {
            (Some(cert), Some(key)) => {
                let mut identity = Zeroizing::new(read(key)?);
                identity.push(b'\n');
                identity.extend_from_slice(&read(cert)?);
                builder = builder.with_client_certificate(&identity);
            }
            (None, None) => {}
            (Some(_), None) => return Err(invalid("VAULT_CLIENT_CERT")),
            (None, Some(_)) => return Err(invalid("VAULT_CLIENT_KEY")),
        }
        if self.tls_server_name.as_deref().is_some_and(|name| self.address.host_str() != Some(name)) {
            return Err(invalid("VAULT_TLS_SERVER_NAME"));
        }
        if self.skip_verify {
            builder = builder.danger(Danger::AnyCertificate);
        }
        Ok(Arc::new(builder.build()?))
    }

    /// Returns the certificates that are trusted, in the order in which the command-line clients look for them.
    fn roots(&self) -> Result<Option<Vec<u8>>, Error> {
        if let Some(bytes) = &self.ca_cert_bytes {
            return Ok(Some(bytes.clone().into_bytes()));
        }
        if let Some(file) = &self.ca_cert {
            return read(file).map(Some);
        }
        let Some(folder) = &self.ca_path else { return Ok(None) };
        let unreadable = |cause| Error::UnreadableFile { path: folder.clone(), cause };
        let mut roots = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.is_file() {
                roots.extend_from_slice(&read(&path)?);
                roots.push(b'\n');
            }
        }
        Ok(Some(roots))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    #[expect(
        clippy::disallowed_methods,
        reason = "whoever calls this wants the files to be read at that time"
    )]
    std::fs::read(path).map_err(|cause| Error::UnreadableFile { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn code(variables: &[(&str, &str)]) -> &'static str {
        let variables: BTreeMap<_, _> = variables.iter().copied().collect();
        let lookup = |name: &str| variables.get(name).map(|value| (*value).to_owned());
        let config = Config::from_environment(lookup).unwrap();
        config.transport().map_or_else(|error| error.code(), |_| "built")
    }

    #[test]
    fn nothing_about_tls_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (junk, empty) = (file("junk.pem", "no certificate"), folder.path().join("none"));
        std::fs::create_dir(&empty).unwrap();
        let missing = folder.path().join("missing");
        let (missing, empty) = (missing.to_str().unwrap(), empty.to_str().unwrap());
        for (variables, expected) in [
            (vec![], "built"),
            (vec![("VAULT_SKIP_VERIFY", "1")], "built"),
            (vec![("VAULT_CACERT", missing)], "vault_unreadable_file"),
            (vec![("VAULT_CACERT", &*junk)], "transport_misuse"),
            (vec![("VAULT_CACERT_BYTES", "junk"), ("VAULT_CACERT", missing)], "transport_misuse"),
            (vec![("VAULT_CAPATH", missing)], "vault_unreadable_file"),
            (vec![("VAULT_CAPATH", empty)], "transport_misuse"),
            (vec![("VAULT_CLIENT_CERT", &*junk)], "vault_invalid_variable"),
            (vec![("VAULT_CLIENT_KEY", &*junk)], "vault_invalid_variable"),
            (vec![("VAULT_CLIENT_CERT", &*junk), ("VAULT_CLIENT_KEY", missing)], "vault_unreadable_file"),
            (vec![("VAULT_CLIENT_CERT", &*junk), ("VAULT_CLIENT_KEY", &*junk)], "transport_misuse"),
            (vec![("VAULT_TLS_SERVER_NAME", "other.example")], "vault_invalid_variable"),
            (
                vec![("VAULT_ADDR", "https://vault.example"), ("VAULT_TLS_SERVER_NAME", "vault.example")],
                "built",
            ),
        ] {
            assert_eq!(code(&variables), expected, "{variables:?}");
        }
    }
}
