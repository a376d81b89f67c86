//! The Unix user whose server it is: with a uid and a gid that stay the same, and never somebody else's account.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{NameProblem, UnixName};

/// The Unix user that a person of a hub is: the name is the hub's, the uid the provider's, and the gid the same number or
/// [the provider's, too](Self::with_gid).
///
/// `useradd` by itself pins the uid only: above `UID_MAX` the gid is the next one that is free, so that the homes of a
/// machine that was made anew belong to the groups of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixUser {
    name: UnixName,
    uid: u32,
    group: Group,
    home: PathBuf,
}

/// The first group of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    /// Of their own, with the number of the uid.
    Own,
    /// The one that the provider tells, which may be one of several people.
    Told(u32),
}

/// Why a person gets no Unix user. Each says it so that the person, or whoever they show it to, knows what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserProblem {
    /// The name cannot be one.
    #[error("your name cannot be the name of a Unix user: {0}")]
    Name(#[from] NameProblem),
    /// The provider does not tell a uid.
    #[error("the sign-in server does not tell your user id (the claim {claim:?})")]
    UidMissing {
        /// The claim that should have it.
        claim: String,
    },
    /// What the provider tells is no number.
    #[error("the sign-in server tells a user id that is no number (the claim {claim:?})")]
    UidMalformed {
        /// The claim that has it.
        claim: String,
    },
    /// The uid belongs to the system: below [`UnixUser::LOWEST_UID`], `nobody`, or beyond what every file system keeps.
    #[error("the user id {uid} is one of the system's own")]
    UidReserved {
        /// The uid.
        uid: u64,
    },
    /// The provider does not tell a gid.
    #[error("the sign-in server does not tell your group id (the claim {claim:?})")]
    GidMissing {
        /// The claim that should have it.
        claim: String,
    },
    /// What the provider tells is no number.
    #[error("the sign-in server tells a group id that is no number (the claim {claim:?})")]
    GidMalformed {
        /// The claim that has it.
        claim: String,
    },
    /// The gid belongs to the system, as a uid of that number would: among those are the groups of administrators, and those
    /// that open disks and passwords.
    #[error("the group id {gid} is one of the system's own")]
    GidReserved {
        /// The gid.
        gid: u64,
    },
    /// An account of the system has the name.
    #[error("your name is that of an account of the system, {name}")]
    SystemAccount {
        /// The name.
        name: String,
    },
    /// An account has the name, with another uid: somebody else's.
    #[error("the account {name} is here already with the user id {found}, and yours is {wanted}")]
    OtherUid {
        /// The name.
        name: String,
        /// Its uid here.
        found: u32,
        /// The person's.
        wanted: u32,
    },
    /// An account has the name and the uid, with another gid.
    #[error("the account {name} is here already with the group id {found}, and yours is {wanted}")]
    OtherGid {
        /// The name.
        name: String,
        /// Its gid here.
        found: u32,
        /// The person's.
        wanted: u32,
    },
    /// Another account has the uid.
    #[error("your user id, {uid}, is taken by another account")]
    UidTaken {
        /// The uid.
        uid: u32,
    },
    /// A group has the name with another gid, or the gid with another name. Where the provider tells the gid, only the group
    /// of another person is taken, or one whose name is.
    #[error("the group of your account ({gid}) is taken by another one, or its name is")]
    GroupTaken {
        /// The gid.
        gid: u32,
    },
    /// The account's home is elsewhere.
    #[error("the home of the account {name} is not where it should be")]
    OtherHome {
        /// The name.
        name: String,
    },
    /// Where the home should be is something else: a file, or a link that leads elsewhere.
    #[error("what is in the place of your home is no folder")]
    HomeNoFolder,
    /// The home belongs to somebody else. It is never made the person's.
    #[error("the home of your account belongs to somebody else (user {uid}, group {gid})")]
    HomeOfOther {
        /// Who owns it.
        uid: u32,
        /// Which group.
        gid: u32,
    },
}

/// What a machine knows of accounts that could be in the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a program states every part")]
pub struct Found {
    /// The account of that name.
    pub by_name: Option<Account>,
    /// The account of that uid.
    pub by_uid: Option<Account>,
    /// The group of that name, by its gid.
    pub group_by_name: Option<u32>,
    /// The group of that gid, by its name.
    pub group_by_gid: Option<String>,
    /// Whether that group is called like an account: then it is the own group of somebody.
    pub group_is_of_account: bool,
    /// What is where the home should be.
    pub home: Home,
}

/// An account, as `getpwnam` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a program states every part")]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: u32,
    /// The gid of its first group.
    pub gid: u32,
    /// Its home.
    pub home: PathBuf,
}

/// What is at a path, without following a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Home {
    /// Nothing.
    #[default]
    Absent,
    /// A folder.
    Folder {
        /// Who owns it.
        uid: u32,
        /// Which group.
        gid: u32,
    },
    /// Something else.
    Other,
}

/// Something to be done. In the order of [`UnixUser::steps`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `groupadd --gid GID NAME`.
    AddGroup,
    /// `useradd --uid UID --gid GID --home-dir HOME NAME`, without a home.
    AddUser,
    /// A home of the person's own, which nobody else may open.
    MakeHome,
}

impl UnixUser {
    /// The lowest uid of a person, as every distribution has it. Below are accounts of the system.
    pub const LOWEST_UID: u32 = 1000;

    /// The highest uid: file systems, `tar` and NFS agree up to here.
    pub const HIGHEST_UID: u32 = 2_147_483_647;

    /// Says who a person is: `uid` is what the provider tells (a number, or a text of digits) in `claim`, and the home is
    /// the folder of that name in `homes`.
    ///
    /// Fails with [`UserProblem::Name`], [`UserProblem::UidMissing`], [`UserProblem::UidMalformed`] or
    /// [`UserProblem::UidReserved`].
    pub fn new(name: &str, claim: &str, uid: Option<&Value>, homes: &Path) -> Result<Self, UserProblem> {
        let name = UnixName::new(name)?;
        let claim = || claim.to_owned();
        let uid = match Told::of(uid) {
            Told::Nothing => return Err(UserProblem::UidMissing { claim: claim() }),
            Told::Nonsense => return Err(UserProblem::UidMalformed { claim: claim() }),
            Told::Number(uid) => persons(uid).ok_or(UserProblem::UidReserved { uid })?,
        };
        let home = homes.join(name.as_str());
        Ok(Self { name, uid, group: Group::Own, home })
    }

    /// Gives them the gid that the provider tells in `claim`, written like the uid, in place of a group of their own.
    ///
    /// A group that has it already may be one of several people; it is not made theirs, and they become no member of any
    /// other. Whoever may set the claim decides whose files the person opens.
    ///
    /// Fails with [`UserProblem::GidMissing`], [`UserProblem::GidMalformed`] or [`UserProblem::GidReserved`].
    pub fn with_gid(self, claim: &str, gid: Option<&Value>) -> Result<Self, UserProblem> {
        let claim = || claim.to_owned();
        let gid = match Told::of(gid) {
            Told::Nothing => return Err(UserProblem::GidMissing { claim: claim() }),
            Told::Nonsense => return Err(UserProblem::GidMalformed { claim: claim() }),
            Told::Number(gid) => persons(gid).ok_or(UserProblem::GidReserved { gid })?,
        };
        Ok(Self { group: Group::Told(gid), ..self })
    }

    /// Returns the name.
    pub fn name(&self) -> &UnixName {
        &self.name
    }

    /// Returns the uid.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Returns the gid: the same number, unless the provider tells another.
    pub fn gid(&self) -> u32 {
        match self.group {
            Group::Own => self.uid,
            Group::Told(gid) => gid,
        }
    }

    /// Returns the home.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Returns what is to be done so that the machine has this user: nothing where it has.
    ///
    /// An account that is there is never changed, and a home keeps its owner: whatever is not as it should be is a
    /// [`UserProblem`]. So a person who is called like an account of the system does not get it.
    pub fn steps(&self, found: &Found) -> Result<Vec<Step>, UserProblem> {
        let mut steps = Vec::new();
        let is_ours = |name: &str| name == self.name.as_str();
        match &found.by_name {
            Some(account) => self.check(account)?,
            None => steps.push(Step::AddUser),
        }
        // Of two accounts with one uid each has all of the other.
        if found.by_uid.as_ref().is_some_and(|account| !is_ours(&account.name)) {
            return Err(UserProblem::UidTaken { uid: self.uid });
        }
        match (found.group_by_name, found.group_by_gid.as_deref()) {
            (None, None) => steps.insert(0, Step::AddGroup),
            (Some(gid), Some(name)) if gid == self.gid() && is_ours(name) => {}
            (_, Some(name)) if self.group != Group::Own && !is_ours(name) && !found.group_is_of_account => {}
            _ => return Err(UserProblem::GroupTaken { gid: self.gid() }),
        }
        match found.home {
            Home::Absent => steps.push(Step::MakeHome),
            Home::Folder { uid, gid } if (uid, gid) == (self.uid, self.gid()) => {}
            Home::Folder { uid, gid } => return Err(UserProblem::HomeOfOther { uid, gid }),
            Home::Other => return Err(UserProblem::HomeNoFolder),
        }
        Ok(steps)
    }

    fn check(&self, account: &Account) -> Result<(), UserProblem> {
        let name = || account.name.clone();
        if account.uid < Self::LOWEST_UID || matches!(account.uid, 65534 | 65535) {
            return Err(UserProblem::SystemAccount { name: name() });
        }
        if account.uid != self.uid {
            return Err(UserProblem::OtherUid { name: name(), found: account.uid, wanted: self.uid });
        }
        if account.gid != self.gid() {
            return Err(UserProblem::OtherGid { name: name(), found: account.gid, wanted: self.gid() });
        }
        if account.home != self.home {
            return Err(UserProblem::OtherHome { name: name() });
        }
        Ok(())
    }
}

/// What a provider tells in a claim that should have an id: a number, or a text of digits.
enum Told {
    Nothing,
    Nonsense,
    Number(u64),
}

impl Told {
    fn of(value: Option<&Value>) -> Self {
        let number = match value {
            None | Some(Value::Null) => return Self::Nothing,
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            Some(_) => None,
        };
        number.map_or(Self::Nonsense, Self::Number)
    }
}

/// Returns an id that may be a person's: 65534 is `nobody`, and 65535 was -1 once.
fn persons(id: u64) -> Option<u32> {
    let range = UnixUser::LOWEST_UID..=UnixUser::HIGHEST_UID;
    u32::try_from(id).ok().filter(|id| range.contains(id) && !matches!(id, 65534 | 65535))
}

/// Shows a step as an operator reads it.
impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::AddGroup => "add a group",
            Self::AddUser => "add a user",
            Self::MakeHome => "make a home",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn user(uid: &Value) -> Result<UnixUser, UserProblem> {
        UnixUser::new("alice", "uid", Some(uid), Path::new("/home"))
    }

    fn alice() -> UnixUser {
        user(&json!(70001)).unwrap()
    }

    fn account(name: &str, uid: u32) -> Account {
        Account { name: name.to_owned(), uid, gid: uid, home: Path::new("/home").join(name) }
    }

    /// A machine that has alice.
    fn settled() -> Found {
        Found {
            by_name: Some(account("alice", 70001)),
            by_uid: Some(account("alice", 70001)),
            group_by_name: Some(70001),
            group_by_gid: Some("alice".to_owned()),
            group_is_of_account: true,
            home: Home::Folder { uid: 70001, gid: 70001 },
        }
    }

    #[test]
    fn a_uid_is_a_number_or_a_text_of_digits() {
        for uid in [json!(70001), json!("70001"), json!("0070001")] {
            assert_eq!(user(&uid).map(|user| (user.uid(), user.gid())), Ok((70001, 70001)), "{uid}");
        }
        for uid in
            [json!(-5), json!(1.5), json!(""), json!("7e4"), json!("+70001"), json!(" 70001"), json!([70001])]
        {
            assert_eq!(user(&uid), Err(UserProblem::UidMalformed { claim: "uid".into() }), "{uid}");
        }
        let missing = UserProblem::UidMissing { claim: "posix".into() };
        assert_eq!(UnixUser::new("alice", "posix", None, Path::new("/home")), Err(missing));
    }

    #[test]
    fn a_uid_of_the_system_is_nobodys() {
        for uid in [0, 1, 999, 65534, 65535, 2_147_483_648, 4_294_967_295, 4_294_967_296] {
            assert_eq!(user(&json!(uid)), Err(UserProblem::UidReserved { uid }));
        }
        for uid in [1000, 65533, 65536, 2_147_483_647_u64] {
            assert!(user(&json!(uid)).is_ok(), "{uid}");
        }
    }

    #[test]
    fn a_gid_of_its_own_is_judged_like_a_uid() {
        let with = |gid: Option<&Value>| alice().with_gid("group", gid);
        for gid in [json!(70500), json!("70500")] {
            assert_eq!(with(Some(&gid)).map(|user| (user.uid(), user.gid())), Ok((70001, 70500)), "{gid}");
        }
        for gid in [0, 27, 999, 65534, 65535, 2_147_483_648, 4_294_967_295] {
            assert_eq!(with(Some(&json!(gid))), Err(UserProblem::GidReserved { gid }));
        }
        for gid in [json!(-5), json!(""), json!("root"), json!([70500])] {
            assert_eq!(with(Some(&gid)), Err(UserProblem::GidMalformed { claim: "group".into() }), "{gid}");
        }
        for gid in [None, Some(&Value::Null)] {
            assert_eq!(with(gid), Err(UserProblem::GidMissing { claim: "group".into() }));
        }
    }

    #[test]
    fn a_group_that_the_provider_tells_is_made_or_shared_and_never_that_of_another_person() {
        let alice = alice().with_gid("group", Some(&json!(70500))).unwrap();
        let all = vec![Step::AddGroup, Step::AddUser, Step::MakeHome];
        assert_eq!(alice.steps(&Found::default()), Ok(all.clone()));
        let own =
            Found { group_by_name: Some(70500), group_by_gid: Some("alice".into()), ..Found::default() };
        assert_eq!(alice.steps(&own), Ok(all[1..].to_vec()));
        let team = |group_is_of_account| Found {
            group_by_gid: Some("team".into()),
            group_is_of_account,
            ..Found::default()
        };
        assert_eq!(alice.steps(&team(false)), Ok(all[1..].to_vec()));
        assert_eq!(alice.steps(&team(true)), Err(UserProblem::GroupTaken { gid: 70500 }));
        let other = Found { group_by_name: Some(5), ..Found::default() };
        assert_eq!(alice.steps(&other), Err(UserProblem::GroupTaken { gid: 70500 }));
        // The account that is there, and the home, must have it.
        let account = Account { gid: 70500, ..account("alice", 70001) };
        let settled = Found {
            by_name: Some(account.clone()),
            by_uid: Some(account),
            home: Home::Folder { uid: 70001, gid: 70500 },
            ..team(false)
        };
        assert_eq!(alice.steps(&settled), Ok(vec![]));
        let mut moved = settled;
        moved.home = Home::Folder { uid: 70001, gid: 70001 };
        assert_eq!(alice.steps(&moved), Err(UserProblem::HomeOfOther { uid: 70001, gid: 70001 }));
    }

    #[test]
    fn a_user_who_is_not_there_is_made_with_their_own_group_and_home() {
        assert_eq!(alice().steps(&Found::default()), Ok(vec![Step::AddGroup, Step::AddUser, Step::MakeHome]));
    }

    #[test]
    fn a_second_time_nothing_is_done() {
        assert_eq!(alice().steps(&settled()), Ok(vec![]));
    }

    #[test]
    fn a_home_that_outlived_its_machine_is_kept() {
        let found = Found { home: settled().home, ..Found::default() };
        assert_eq!(alice().steps(&found), Ok(vec![Step::AddGroup, Step::AddUser]));
    }

    #[test]
    fn whatever_is_somebody_elses_is_refused() {
        let with = |change: fn(&mut Found)| {
            let mut found = settled();
            change(&mut found);
            alice().steps(&found).unwrap_err()
        };
        let name = || "alice".to_owned();
        assert_eq!(
            with(|found| found.by_name = Some(account("alice", 999))),
            UserProblem::SystemAccount { name: name() }
        );
        assert_eq!(
            with(|found| found.by_name = Some(account("alice", 65534))),
            UserProblem::SystemAccount { name: name() }
        );
        assert_eq!(
            with(|found| found.by_name = Some(account("alice", 70002))),
            UserProblem::OtherUid { name: name(), found: 70002, wanted: 70001 }
        );
        assert_eq!(
            with(|found| found.by_name = Some(Account { gid: 100, ..account("alice", 70001) })),
            UserProblem::OtherGid { name: name(), found: 100, wanted: 70001 }
        );
        assert_eq!(
            with(|found| found.by_name = Some(Account { home: "/".into(), ..account("alice", 70001) })),
            UserProblem::OtherHome { name: name() }
        );
        assert_eq!(
            with(|found| {
                found.by_name = None;
                found.by_uid = Some(account("bob", 70001));
            }),
            UserProblem::UidTaken { uid: 70001 }
        );
        assert_eq!(
            with(|found| found.by_uid = Some(account("bob", 70001))),
            UserProblem::UidTaken { uid: 70001 }
        );
        for change in [
            (|found: &mut Found| found.group_by_name = Some(27)) as fn(&mut Found),
            |found| found.group_by_name = None,
            |found| found.group_by_gid = Some("bob".to_owned()),
            |found| found.group_by_gid = None,
        ] {
            assert_eq!(with(change), UserProblem::GroupTaken { gid: 70001 });
        }
        assert_eq!(with(|found| found.home = Home::Other), UserProblem::HomeNoFolder);
        for (uid, gid) in [(0, 0), (70001, 0), (70002, 70001)] {
            let found = Found { home: Home::Folder { uid, gid }, ..settled() };
            assert_eq!(alice().steps(&found), Err(UserProblem::HomeOfOther { uid, gid }));
        }
    }
}
