//! Sign-ins that are kept between runs, so that the next run needs nobody: one file each, one program at a time.
//!
//! A sign-in is found by who it is at and for: issuer, client and scopes. Two programs that mean the same share it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{env, fmt};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_oidc_flow::{Client, Error, Grant, IdTokenProblem, Tokens, VerifiedIdToken};
use latchkey_transport::Secret;
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};
use crate::output::OutputFile;
use crate::terminal::Interrupt;

/// How much of a file is read at the most: an ID token and a refresh token are a few kilobytes.
const LONGEST: u64 = 256 * 1024;

/// How often a lock that somebody holds is tried: a person does not notice it, nor does the machine.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// The folder that holds the sign-ins, for its owner only (mode 0700).
#[derive(Clone, Debug)]
pub struct Sessions {
    folder: PathBuf,
}

/// Where one sign-in is kept.
#[derive(Clone, Debug)]
pub struct Place {
    path: PathBuf,
}

/// The same while no other program may write there.
#[derive(Debug)]
pub struct Locked {
    place: Place,
    _lock: File,
}

/// A sign-in as it is kept.
#[derive(Default, Serialize, Deserialize)]
pub struct Session {
    version: u32,
    id_token: Option<Kept>,
    /// What gets new tokens without the person.
    pub grant: Option<Grant>,
    /// What came of the last attempt to sign in, where it was no sign-in.
    pub attempt: Option<Attempt>,
}

/// An ID token that was checked when it came.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(serialize_with = "written_out")]
    text: Secret,
    /// Seconds since 1970.
    received_at: u64,
    expires_at: u64,
}

/// The only place where it is written out: into a file for its owner.
fn written_out<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

/// An attempt to sign in that has not become a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Whether it is over. One that is not, and whose program no longer holds the lock, was ended by force.
    pub is_over: bool,
    /// When it began or ended, in seconds since 1970.
    pub at: u64,
    /// For how long nobody is asked again, in seconds.
    pub rest: u64,
}

/// The version of what is written. A file of another one is as good as none.
const VERSION: u32 = 1;

impl Sessions {
    /// Opens the folder, or makes it: that one, or `latchkey` among the caches of this account.
    ///
    /// # Errors
    ///
    /// A usage failure where it lies open to others, or cannot be made.
    pub fn open(folder: Option<&Path>) -> Result<Self, Failure> {
        let folder = folder.map_or_else(usual_folder, |folder| Ok(folder.to_path_buf()))?;
        let failed = |error: io::Error| {
            Failure::of(Exit::Usage, &error)
                .while_doing(&format!("the folder {} for sign-ins", folder.display()))
                .with_hint("name another with --cache-dir")
        };
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&folder).map_err(failed)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let found = fs::metadata(&folder).map_err(failed)?;
            if found.mode() & 0o077 != 0 || found.uid() != rustix::process::geteuid().as_raw() {
                return Err(Failure::new(
                    Exit::Usage,
                    format!("the folder {} lies open to others, or is somebody else's", folder.display()),
                )
                .with_hint(format!("chmod 700 {}, or name another with --cache-dir", folder.display())));
            }
        }
        Ok(Self { folder })
    }

    /// Returns where the sign-in of that client at that issuer with these scopes is kept.
    pub fn place(&self, issuer: &str, client_id: &str, scopes: &str) -> Place {
        /// In this order, whatever a map would do: the name of the file hangs on it.
        #[derive(Serialize)]
        struct Key<'a> {
            version: u32,
            issuer: &'a str,
            client_id: &'a str,
            scopes: Vec<&'a str>,
        }
        let mut scopes: Vec<_> = scopes.split_ascii_whitespace().collect();
        scopes.sort_unstable();
        scopes.dedup();
        let key = Key { version: VERSION, issuer, client_id, scopes };
        // Texts and a number are JSON without fail.
        let hash = Sha256::digest(serde_json::to_vec(&key).unwrap_or_default());
        let name = URL_SAFE_NO_PAD.encode(hash);
        Place { path: self.folder.join(name + ".json") }
    }
}

fn usual_folder() -> Result<PathBuf, Failure> {
    let named = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = named("XDG_CACHE_HOME").or_else(|| named("HOME").map(|home| home.join(".cache")));
    caches.map(|caches| caches.join("latchkey")).ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            "there is no place to keep a sign-in: neither XDG_CACHE_HOME nor HOME is set",
        )
        .with_hint("name a folder with --cache-dir")
    })
}

impl Place {
    /// Returns what is kept there. What cannot be read is nothing: a sign-in mends it.
    pub fn read(&self) -> Session {
        let read = || {
            let mut text = Zeroizing::new(Vec::new());
            File::open(&self.path).ok()?.take(LONGEST).read_to_end(&mut text).ok()?;
            serde_json::from_slice::<Session>(&text).ok().filter(|session| session.version == VERSION)
        };
        read().unwrap_or_default()
    }

    /// Waits until no other program writes there. The lock ends with the program that holds it, however that ends.
    ///
    /// # Errors
    ///
    /// [`Exit::TimedOut`] after `limit`.
    pub async fn lock(&self, limit: Duration, interrupt: &Interrupt) -> Result<Locked, Failure> {
        let path = self.path.with_extension("lock");
        let failed = |error: &io::Error| {
            Failure::of(Exit::Refused, error).while_doing(&format!("the lock {}", path.display()))
        };
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(|error| failed(&error))?;
        let until = Instant::now() + limit;
        interrupt
            .or(async {
                while !try_lock(&file).map_err(|error| failed(&error))? {
                    if Instant::now() >= until {
                        return Err(Failure::new(
                            Exit::TimedOut,
                            format!("another program signs in since more than {} s", limit.as_secs()),
                        )
                        .with_hint("finish or stop that sign-in, and run this again"));
                    }
                    sleep(TRY_AGAIN).await;
                }
                Ok(())
            })
            .await?;
        Ok(Locked { place: self.clone(), _lock: file })
    }
}

#[cfg(unix)]
fn try_lock(file: &File) -> io::Result<bool> {
    use rustix::fs::{FlockOperation, flock};
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Nobody is kept out: two programs may then ask the person at a time.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
fn try_lock(_: &File) -> io::Result<bool> {
    Ok(true)
}

impl Locked {
    /// Returns what is kept there now.
    pub fn read(&self) -> Session {
        self.place.read()
    }

    /// Writes what is to be kept: as a whole or not at all, for its owner only, through to the disk.
    pub fn write(&self, session: &mut Session) -> Result<(), Failure> {
        session.version = VERSION;
        let text = serde_json::to_vec(session).map(Zeroizing::new);
        let text = text.map_err(|error| Failure::new(Exit::Refused, error.to_string()))?;
        OutputFile::new(self.place.path.clone(), true)?.write(&text)
    }

    /// Gets new tokens out of what is kept, and keeps them before they are used: the old refresh token may be void by
    /// then. So it is written once more before it is spent: a disk that is full takes no sign-in away. `None` where that sign-in is over, or the provider does not repeat who it was.
    ///
    /// # Errors
    ///
    /// Whatever is not the end of the sign-in: nobody has to be asked because the network is down.
    pub async fn refresh(&self, client: &Client, session: &mut Session) -> Result<Option<Secret>, Failure> {
        if session.grant.is_some() {
            self.write(session)?;
        }
        let Some(grant) = session.grant.take() else { return Ok(None) };
        let now = SystemTime::now();
        // Not to be interrupted: the refresh token is spent, and the new one not kept yet.
        let refreshed = match client.refresh(&grant, now).await {
            Ok(refreshed) => refreshed,
            Err(Error::GrantOver { .. } | Error::IdToken(IdTokenProblem::NotContinued { .. })) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let stored = refreshed.store(|grant| {
            session.grant = Some(grant.clone());
            self.write(session)
        });
        let tokens = stored.map_err(|(_, failure)| failure)?;
        let Some(id_token) = tokens.id_token else { return Ok(None) };
        session.keep(&id_token, now);
        self.write(session)?;
        Ok(Some(id_token.as_secret().clone()))
    }

    /// Keeps what a sign-in gave.
    pub fn keep(&self, tokens: &Tokens) -> Result<(), Failure> {
        let mut session = Session { grant: tokens.grant(), ..Session::default() };
        session.keep(&tokens.id_token, SystemTime::now());
        self.write(&mut session)
    }

    /// Keeps nothing there any more.
    pub fn forget(&self) -> Result<(), Failure> {
        match fs::remove_file(&self.place.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl Session {
    /// An ID token counts as expired this long before it does: a request that carries it has to arrive. 45 s, or a
    /// quarter of the life of a token that lives for less than three minutes.
    pub const EARLY: Duration = Duration::from_secs(45);

    /// Nothing but an attempt.
    pub fn of(attempt: Attempt) -> Self {
        Self { attempt: Some(attempt), ..Self::default() }
    }

    /// Keeps an ID token that has just come.
    pub fn keep(&mut self, id_token: &VerifiedIdToken, now: SystemTime) {
        let life = id_token.expires_at().duration_since(id_token.issued_at()).unwrap_or_default();
        self.id_token = Some(Kept::new(id_token.as_secret().clone(), now, id_token.expires_at(), life));
        self.attempt = None;
    }

    /// Returns the ID token and when it counts as expired, where that is to come.
    pub fn fresh(&self, now: SystemTime) -> Option<(Secret, SystemTime)> {
        let kept = self.id_token.as_ref()?;
        // A clock that was set back makes the token one of the future: who knows how old it is.
        let is_past = kept.received_at <= seconds(now);
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(kept.good_until());
        (is_past && now < end).then(|| (kept.text.clone(), end))
    }

    /// Returns when its ID token came.
    pub fn received_at(&self) -> Option<SystemTime> {
        self.id_token.as_ref().map(|kept| SystemTime::UNIX_EPOCH + Duration::from_secs(kept.received_at))
    }
}

impl Kept {
    /// A clock that is behind, as far as is tolerated, takes the token for one that lives longer than it does: it counts as
    /// expired once it has been here for as long as it lives.
    fn new(text: Secret, received_at: SystemTime, expires_at: SystemTime, life: Duration) -> Self {
        let received_at = seconds(received_at);
        let expires_at = seconds(expires_at).min(received_at.saturating_add(life.as_secs()));
        Self { text, received_at, expires_at }
    }

    fn good_until(&self) -> u64 {
        let quarter = self.expires_at.saturating_sub(self.received_at) / 4;
        self.expires_at.saturating_sub(quarter.min(Session::EARLY.as_secs()))
    }
}

impl Attempt {
    /// An attempt that begins or ends now.
    pub fn new(is_over: bool, now: SystemTime, rest: Duration) -> Self {
        Self { is_over, at: seconds(now), rest: rest.as_secs() }
    }

    /// Returns how long ago it was, and for how long nobody is asked again. `None` where somebody may be asked: the rest
    /// is over, or the clock was set back.
    pub fn rests(&self, now: SystemTime) -> Option<(u64, u64)> {
        let ago = seconds(now).checked_sub(self.at)?;
        (ago < self.rest).then(|| (ago, self.rest - ago))
    }
}

/// Shows neither tokens nor the person.
impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("has_id_token", &self.id_token.is_some())
            .field("grant", &self.grant)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, SystemTime};

    use tempfile::TempDir;

    use super::{Attempt, Kept, Session, Sessions};
    use crate::Exit;
    use crate::terminal::Interrupt;

    fn time(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn session(received_at: u64, expires_at: u64) -> Session {
        let id_token = Some(Kept { text: "e30.e30.e30".into(), received_at, expires_at });
        Session { id_token, ..Session::default() }
    }

    #[test]
    fn the_place_hangs_on_issuer_client_and_scopes_and_not_on_their_order() {
        let folder = TempDir::new().unwrap();
        let sessions = Sessions::open(Some(&folder.path().join("kept"))).unwrap();
        let place = |issuer, client, scopes| sessions.place(issuer, client, scopes).path;
        let one = place("https://id", "kube", "email groups");
        assert_eq!(one, place("https://id", "kube", "groups  email groups"));
        for (issuer, client, scopes) in [
            ("https://id/", "kube", "email groups"),
            ("https://id", "kub", "email groups"),
            ("https://id", "kube", "email"),
            ("https://idk", "ube", "email groups"),
        ] {
            assert_ne!(one, place(issuer, client, scopes));
        }
        let name = one.file_name().unwrap().to_str().unwrap();
        assert!(name.len() == 43 + 5 && name.is_ascii(), "{name}");
        // The name must never change by itself, or everybody has to sign in anew.
        assert!(name.starts_with(NAME), "{name}");
    }

    const NAME: &str = "SZbVHEKgwHBvXIZ3";

    #[cfg(unix)]
    #[tokio::test]
    async fn folder_and_files_are_for_their_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = TempDir::new().unwrap();
        let kept = folder.path().join("a/b");
        let place = Sessions::open(Some(&kept)).unwrap().place("https://id", "kube", "");
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let interrupt = Interrupt::listen().unwrap();
        let locked = place.lock(Duration::ZERO, &interrupt).await.unwrap();
        locked.write(&mut session(0, 600)).unwrap();
        assert_eq!((mode(&kept), mode(&place.path)), (0o700, 0o600));
        assert_eq!(mode(&place.path.with_extension("lock")), 0o600);
        fs::set_permissions(&kept, fs::Permissions::from_mode(0o750)).unwrap();
        let failure = Sessions::open(Some(&kept)).unwrap_err();
        assert!(failure.hint().unwrap().contains("chmod 700"), "{failure:?}");
    }

    #[tokio::test]
    async fn one_at_a_time_holds_the_lock_and_the_others_give_up_in_time() {
        let folder = TempDir::new().unwrap();
        let place =
            Sessions::open(Some(&folder.path().join("kept"))).unwrap().place("https://id", "kube", "");
        let interrupt = Interrupt::listen().unwrap();
        let held = place.lock(Duration::ZERO, &interrupt).await.unwrap();
        let failure = place.lock(Duration::from_millis(120), &interrupt).await.unwrap_err();
        assert_eq!(failure.exit(), Exit::TimedOut);
        drop(held);
        assert!(place.lock(Duration::ZERO, &interrupt).await.is_ok());
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_nothing() {
        let folder = TempDir::new().unwrap();
        let place =
            Sessions::open(Some(&folder.path().join("kept"))).unwrap().place("https://id", "kube", "");
        let locked = place.lock(Duration::ZERO, &Interrupt::listen().unwrap()).await.unwrap();
        locked.write(&mut session(100, 700)).unwrap();
        assert!(place.read().fresh(time(200)).is_some());
        for text in ["", "{", "[]", "null", r#"{"version":2}"#] {
            fs::write(&place.path, text).unwrap();
            assert!(place.read().fresh(time(200)).is_none(), "{text}");
        }
        locked.forget().unwrap();
        locked.forget().unwrap();
    }

    #[test]
    fn a_token_counts_as_expired_before_it_is() {
        // 600 s: 45 s early. 100 s: a quarter, so that there is time left to use it.
        for (life, good) in [(600, 555), (100, 75)] {
            let session = session(1000, 1000 + life);
            assert!(session.fresh(time(1000 + good - 1)).is_some(), "{life}");
            assert!(session.fresh(time(1000 + good)).is_none(), "{life}");
        }
        assert!(session(1000, 1600).fresh(time(999)).is_none(), "the clock was set back");
    }

    #[test]
    fn a_clock_that_is_off_lets_no_token_live_longer_than_it_does() {
        // It was issued at 1000, and lives for 60 s.
        let good_until = |received_at| {
            let life = Duration::from_secs(60);
            Kept::new("e30.e30.e30".into(), time(received_at), time(1060), life).good_until()
        };
        assert_eq!(good_until(1000), 1045);
        // 20 s behind: by that clock it ends at 1040. 20 s ahead: what it says itself counts.
        assert_eq!((good_until(980), good_until(1020)), (1025, 1050));
    }

    #[test]
    fn after_an_attempt_nobody_is_asked_for_a_while() {
        let attempt = Attempt::new(true, time(100), Duration::from_secs(30));
        assert_eq!(attempt.rests(time(100)), Some((0, 30)));
        assert_eq!(attempt.rests(time(129)), Some((29, 1)));
        assert_eq!(attempt.rests(time(130)), None);
        assert_eq!(attempt.rests(time(99)), None, "the clock was set back");
    }

    #[test]
    fn nothing_secret_is_shown() {
        assert!(!format!("{:?}", session(0, 1)).contains("e30"));
    }
}
