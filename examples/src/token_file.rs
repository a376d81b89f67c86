//! A file that holds a token, and that nobody but its owner may open.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use latchkey_transport::Secret;
use latchkey_vault_client::Token;
use zeroize::Zeroizing;

use crate::{Exit, Failure};

/// Reads a token of Vault from a file of mode 0600.
///
/// # Errors
///
/// A usage failure where there is no such file, where others may open it, or where it holds no token.
pub fn read_token(path: &Path) -> Result<Token, Failure> {
    let name = path.display();
    let unreadable = |error: io::Error| Failure::of(Exit::Usage, &error).while_doing(&name.to_string());
    let file = File::open(path).map_err(unreadable)?;
    // Of what was opened, not of what has that name now.
    let found = file.metadata().map_err(unreadable)?;
    if !found.is_file() || found.permissions().mode() & 0o077 != 0 {
        return Err(Failure::new(Exit::Usage, format!("{name} can be opened by others than its owner"))
            .with_hint(format!("chmod 600 {name}, and make a new token if somebody may have read it")));
    }
    token_of(read_secret(file)?)
}

/// Reads all that is there, without the space around it.
pub fn read_secret(source: impl io::Read) -> Result<Secret, Failure> {
    /// Tokens have about a hundred signs, batch tokens some hundred.
    const LONGEST: u64 = 64 * 1024;
    let mut text = Zeroizing::new(String::new());
    source.take(LONGEST).read_to_string(&mut text)?;
    Ok(Secret::new(text.trim()))
}

/// Takes a text for a token of Vault.
pub fn token_of(text: Secret) -> Result<Token, Failure> {
    Token::new(text).map_err(|error| {
        Failure::from(error).or_hint("pipe the token in, or name a file that holds it with --token-file")
    })
}
