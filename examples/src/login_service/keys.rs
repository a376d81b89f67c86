//! What is kept in Redis is sealed by keys that Redis does not have, and that change.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use tracing::{info, warn};
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};

/// How long a key is: 256 bits.
const KEY: usize = 32;
/// How long the name of a key is, which stands before what it has sealed.
const NAME: usize = 8;
/// How long a nonce is ([RFC 8452, 4](https://www.rfc-editor.org/rfc/rfc8452#section-4)).
const NONCE: usize = 12;
/// How large a file is read: a hundred keys and more.
const LARGEST_FILE: u64 = 16 * 1024;
/// How often the file is looked at for the sake of a key that nobody here knows.
const SPACING: Duration = Duration::from_secs(1);

/// The keys of a file: the first one seals, and all of them open.
///
/// The file has one key a line, 32 bytes in Base64. Whoever replaces it puts a new key before the old ones, and takes an
/// old one out when nothing lives any more that it has sealed. It is read again when something was sealed by a key that is
/// not in it yet: another replica may have seen the new file before this one.
///
/// Sealed is with AES-256-GCM-SIV ([RFC 8452](https://www.rfc-editor.org/rfc/rfc8452)), which forgives a nonce that comes
/// twice, and together with the place where it is kept: what was moved elsewhere does not open.
pub struct KeyRing {
    path: PathBuf,
    ring: RwLock<Ring>,
}

struct Ring {
    /// What stood in the file.
    text: Zeroizing<String>,
    keys: Vec<Key>,
    looked: Instant,
}

struct Key {
    /// The beginning of its digest.
    name: [u8; NAME],
    key: RandomizedNonceKey,
}

impl KeyRing {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// A wrong use where everybody may read it, or where it has no keys.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        let ring = Ring::read(path)?;
        Ok(Self { path: path.to_owned(), ring: RwLock::new(ring) })
    }

    /// Takes what stands in the file now, if that is new and usable. Until then the old keys serve on.
    pub fn look_again(&self) {
        let known = self.with_ring(|ring| ring.text.clone());
        let read = Ring::read(&self.path);
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        ring.looked = Instant::now();
        match read {
            Ok(read) if *read.text != *known => {
                info!(keys = read.keys.len(), "the keys were replaced");
                *ring = read;
            }
            Ok(_) => {}
            Err(failure) => warn!(problem = failure.message(), "the old keys serve on"),
        }
    }

    /// Seals what is kept at that place. `None` where there are no random numbers.
    pub(super) fn seal(&self, place: &str, text: &[u8]) -> Option<Vec<u8>> {
        self.with_ring(|ring| {
            let Key { name, key } = ring.keys.first()?;
            let mut sealed = Zeroizing::new(text.to_vec());
            let nonce = key.seal_in_place_append_tag(Aad::from(place.as_bytes()), &mut *sealed).ok()?;
            Some([name.as_slice(), nonce.as_ref(), &sealed].concat())
        })
    }

    /// Opens what was kept at that place. `None` where no key of the file has sealed it there.
    pub(super) fn open(&self, place: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (name, rest) = sealed.split_at_checked(NAME)?;
        let knows = |ring: &Ring| ring.keys.iter().any(|key| key.name == name);
        if self.with_ring(|ring| !knows(ring) && ring.looked.elapsed() >= SPACING) {
            self.look_again();
        }
        let (nonce, text) = rest.split_at_checked(NONCE)?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = self.with_ring(|ring| {
            let key = ring.keys.iter().find(|key| key.name == name)?;
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let opened = key.key.open_in_place(nonce, Aad::from(place.as_bytes()), &mut text).ok()?;
            Some(opened.len())
        })?;
        text.truncate(length);
        Some(text)
    }

    fn with_ring<T>(&self, look: impl FnOnce(&Ring) -> T) -> T {
        look(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeyRing").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Ring {
    fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let unreadable =
            |error: std::io::Error| Failure::of(Exit::Usage, &error).while_doing(&format!("--keys {shown}"));
        let file = File::open(path).map_err(unreadable)?;
        // Of what was opened, not of what has that name now. Kubernetes lets a group read what a pod shall read.
        if file.metadata().map_err(unreadable)?.permissions().mode() & 0o007 != 0 {
            return Err(Failure::new(Exit::Usage, format!("--keys {shown}: everybody may read it"))
                .with_hint("chmod 600, or `defaultMode: 0440` of a volume, and make new keys"));
        }
        let mut text = Zeroizing::new(String::new());
        file.take(LARGEST_FILE).read_to_string(&mut text).map_err(unreadable)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys: Option<Vec<_>> = lines.map(Key::read).collect();
        match keys {
            Some(keys) if !keys.is_empty() => Ok(Self { text, keys, looked: Instant::now() }),
            _ => {
                Err(Failure::new(Exit::Usage, format!("--keys {shown}: not a key of 32 bytes in each line"))
                    .with_hint("`head -c 32 /dev/urandom | base64` makes a key"))
            }
        }
    }
}

impl Key {
    fn read(line: &str) -> Option<Self> {
        let bytes = Zeroizing::new(STANDARD.decode(line).ok()?);
        let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, bytes.get(..KEY).filter(|_| bytes.len() == KEY)?);
        let mut name = [0; NAME];
        name.copy_from_slice(Sha256::digest(&bytes).get(..NAME)?);
        Some(Self { name, key: key.ok()? })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread::sleep;

    use super::*;

    fn write(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn key(byte: u8) -> String {
        STANDARD.encode([byte; KEY]) + "\n"
    }

    fn ring(text: &str) -> (tempfile::TempDir, KeyRing) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        write(&path, text);
        let ring = KeyRing::load(&path).unwrap();
        (folder, ring)
    }

    #[test]
    fn what_was_sealed_opens_at_its_place_alone() {
        let (_folder, ring) = ring(&key(1));
        let sealed = ring.seal("here", b"hush").unwrap();
        assert!(!sealed.windows(4).any(|window| window == b"hush"));
        assert_eq!(ring.open("here", &sealed).unwrap().as_slice(), b"hush");
        assert!(ring.open("there", &sealed).is_none());
        assert_ne!(ring.seal("here", b"hush").unwrap(), sealed, "the nonce is another one each time");
    }

    #[test]
    fn what_was_bent_or_cut_does_not_open() {
        let (_folder, ring) = ring(&key(1));
        let sealed = ring.seal("here", b"hush").unwrap();
        for place in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[place] ^= 1;
            assert!(ring.open("here", &bent).is_none(), "{place}");
            assert!(ring.open("here", &sealed[..place]).is_none(), "{place}");
        }
    }

    #[test]
    fn an_old_key_opens_until_it_is_taken_out() {
        let (folder, ring) = ring(&key(1));
        let path = folder.path().join("keys");
        let old = ring.seal("here", b"hush").unwrap();
        write(&path, &(key(2) + &key(1)));
        ring.look_again();
        let new = ring.seal("here", b"hush").unwrap();
        assert_ne!(new[..NAME], old[..NAME]);
        assert!(ring.open("here", &old).is_some() && ring.open("here", &new).is_some());
        write(&path, &key(2));
        ring.look_again();
        assert!(ring.open("here", &old).is_none() && ring.open("here", &new).is_some());
    }

    #[test]
    fn a_key_that_another_replica_has_is_looked_for() {
        let (_theirs_folder, theirs) = ring(&(key(2) + &key(1)));
        let (folder, ours) = ring(&key(1));
        let sealed = theirs.seal("here", b"hush").unwrap();
        assert!(ours.open("here", &sealed).is_none());
        write(&folder.path().join("keys"), &(key(2) + &key(1)));
        sleep(SPACING);
        assert!(ours.open("here", &sealed).is_some());
    }

    #[test]
    fn a_file_that_is_spoilt_leaves_the_old_keys_in_place() {
        let (folder, ring) = ring(&key(1));
        let sealed = ring.seal("here", b"hush").unwrap();
        write(&folder.path().join("keys"), "nothing\n");
        ring.look_again();
        assert!(ring.open("here", &sealed).is_some());
    }

    #[test]
    fn a_file_that_is_no_key_file_is_refused_and_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        for text in ["", "\n", "hush", "aHVzaA==", &(key(1) + "hush")] {
            write(&path, text);
            let failure = KeyRing::load(&path).unwrap_err();
            assert_eq!(failure.exit(), Exit::Usage);
            assert!(!format!("{failure:?}").contains("hush"), "{failure:?}");
        }
        write(&path, &key(1));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        assert!(KeyRing::load(&path).unwrap_err().message().contains("everybody"));
    }
}
