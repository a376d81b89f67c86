//! Whether a person's server may start.

use std::time::{Duration, SystemTime};

use crate::{Page, Reason};

/// What must hold before a person's server starts.
///
/// ```text
///            +-- no token, or one that proves nothing ------------------------> Stop
///            +-- of another time ---------------------------------------------> Stop: a clock is wrong
///   token ---+-- ended, or soon: Refresh ---- refused: the sign-in is over ---> Stop
///            |                     +--------- a fresh one -----------------+
///            +-- fine: AskSession ----------- not alive: Refresh           |
///                                  +--------- alive -----------------------+--> Start
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpawnPolicy {
    fresh_for: Duration,
    asks_session: bool,
    starts_unproven: bool,
}

/// What is known of the person's sign-in so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a program states every part")]
pub struct Known {
    /// How the ID token is.
    pub token: Standing,
    /// Whether the session at the provider lives.
    pub session: Session,
    /// Whether there is a refresh token that was not tried yet.
    pub can_refresh: bool,
}

/// How an ID token is that was looked at in full, its signature too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is none.
    Missing,
    /// It does not prove what it should, whatever the time.
    Bad,
    /// It is of another time than this machine's: it comes from the future, or had ended before it was issued anew. A clock
    /// is wrong, and to sign in again would not help.
    Mistimed,
    /// It cannot be checked now: the provider's keys cannot be had.
    Unchecked,
    /// It passes every check until then, which may be over.
    Good {
        /// When it ends.
        until: SystemTime,
    },
}

/// Whether the person's session at the provider lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// Nobody has asked.
    Unasked,
    /// It does: the provider has just answered for it, or given new tokens.
    Alive,
    /// The provider does not take the access token, which may just have ended.
    Doubtful,
    /// The provider refuses to refresh it.
    Over,
    /// The provider cannot be asked now.
    Unknown,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Start the server with what the sign-in gives.
    Start,
    /// Start it without what the sign-in would give: nothing is proven now, and the operator wants that.
    StartWithout(Reason),
    /// Ask the provider whether the session lives, by the access token. Then decide again.
    AskSession,
    /// Refresh the sign-in. Then decide again.
    Refresh,
    /// Do not start the server, and show this.
    Stop(Page),
}

/// Fresh for ten minutes, the session asked about, nothing started that is not proven.
impl Default for SpawnPolicy {
    fn default() -> Self {
        Self { fresh_for: Duration::from_secs(600), asks_session: true, starts_unproven: false }
    }
}

impl SpawnPolicy {
    /// Sets how much an ID token should have left: one with less is refreshed where it can be, and is taken as it is where
    /// the provider gives none that lives longer.
    pub fn with_fresh_for(mut self, fresh_for: Duration) -> Self {
        self.fresh_for = fresh_for;
        self
    }

    /// Sets whether the provider is asked if the session lives. Without that a person who has signed out there is served
    /// until the ID token ends: Vault looks at no session either.
    pub fn with_session_asked(mut self, asks: bool) -> Self {
        self.asks_session = asks;
        self
    }

    /// Sets whether a server starts, without tokens, while the provider cannot be asked.
    pub fn with_unproven_started(mut self, starts: bool) -> Self {
        self.starts_unproven = starts;
        self
    }

    /// Says what to do. Whoever asks does it, notes what came of it in `known`, and asks again.
    ///
    /// It comes to an end: a session is asked about once, and a refresh token tried once.
    pub fn decide(&self, known: &Known, now: SystemTime) -> Decision {
        let left = match (known.token, known.session) {
            (Standing::Missing, _) => return Decision::Stop(Page::new(Reason::NotSignedIn)),
            (Standing::Bad, _) => return Decision::Stop(Page::new(Reason::NotProven)),
            (Standing::Mistimed, _) => return Decision::Stop(Page::new(Reason::ClockWrong)),
            (_, Session::Over) => return Decision::Stop(Page::new(Reason::SignInOver)),
            (Standing::Unchecked, _) | (_, Session::Unknown) => return self.unproven(),
            // A token that ends now has ended.
            (Standing::Good { until }, _) => until.duration_since(now).unwrap_or_default(),
        };
        let is_doubtful = known.session == Session::Doubtful;
        if known.can_refresh && (is_doubtful || left < self.fresh_for) {
            return Decision::Refresh;
        }
        if is_doubtful || left.is_zero() {
            return Decision::Stop(Page::new(Reason::SignInOver));
        }
        if self.asks_session && known.session == Session::Unasked {
            return Decision::AskSession;
        }
        Decision::Start
    }

    fn unproven(self) -> Decision {
        if self.starts_unproven {
            Decision::StartWithout(Reason::ProviderDown)
        } else {
            Decision::Stop(Page::new(Reason::ProviderDown))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    /// A token with so many seconds left.
    fn good(left: u64) -> Known {
        Known { token: Standing::Good { until: at(left) }, session: Session::Unasked, can_refresh: true }
    }

    fn decide(known: Known) -> Decision {
        SpawnPolicy::default().decide(&known, at(0))
    }

    fn stops(known: Known) -> Reason {
        match decide(known) {
            Decision::Stop(page) => page.reason(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_fine_token_starts_a_server_once_its_session_answers() {
        assert_eq!(decide(good(600)), Decision::AskSession);
        assert_eq!(decide(Known { session: Session::Alive, ..good(600) }), Decision::Start);
        let trusting = SpawnPolicy::default().with_session_asked(false);
        assert_eq!(trusting.decide(&good(600), at(0)), Decision::Start);
    }

    #[test]
    fn a_token_with_less_than_it_should_have_is_refreshed() {
        assert_eq!(decide(good(599)), Decision::Refresh);
        assert_eq!(decide(good(0)), Decision::Refresh);
        let patient = SpawnPolicy::default().with_fresh_for(Duration::from_secs(60));
        assert_eq!(patient.decide(&good(60), at(0)), Decision::AskSession);
    }

    #[test]
    fn a_fresh_token_that_lives_for_minutes_only_is_taken_and_not_refreshed_again() {
        let refreshed = Known { session: Session::Alive, can_refresh: false, ..good(300) };
        assert_eq!(decide(refreshed), Decision::Start);
    }

    #[test]
    fn a_token_that_has_ended_and_cannot_be_refreshed_stops_the_spawn() {
        assert_eq!(stops(Known { can_refresh: false, ..good(0) }), Reason::SignInOver);
        let late = SpawnPolicy::default()
            .with_session_asked(false)
            .decide(&Known { can_refresh: false, ..good(0) }, at(1));
        assert_eq!(late, Decision::Stop(Page::new(Reason::SignInOver)));
    }

    #[test]
    fn a_session_that_is_over_stops_the_spawn_however_good_the_token_is() {
        assert_eq!(stops(Known { session: Session::Over, ..good(3600) }), Reason::SignInOver);
        let doubtful = Known { session: Session::Doubtful, ..good(3600) };
        assert_eq!(decide(doubtful), Decision::Refresh);
        assert_eq!(stops(Known { can_refresh: false, ..doubtful }), Reason::SignInOver);
    }

    #[test]
    fn what_proves_nothing_is_never_refreshed() {
        assert_eq!(stops(Known { token: Standing::Bad, ..good(0) }), Reason::NotProven);
        assert_eq!(stops(Known { token: Standing::Missing, ..good(0) }), Reason::NotSignedIn);
        // Whatever the policy, and whoever cannot be reached.
        let lenient = SpawnPolicy::default().with_unproven_started(true).with_session_asked(false);
        let known = Known { token: Standing::Bad, session: Session::Unknown, ..good(0) };
        assert_eq!(lenient.decide(&known, at(0)), Decision::Stop(Page::new(Reason::NotProven)));
        let over = Known { token: Standing::Unchecked, session: Session::Over, ..good(0) };
        assert_eq!(lenient.decide(&over, at(0)), Decision::Stop(Page::new(Reason::SignInOver)));
    }

    #[test]
    fn a_token_of_another_time_stops_the_spawn_and_names_the_clock() {
        for session in [Session::Unasked, Session::Alive, Session::Over, Session::Unknown] {
            let mistimed = Known { token: Standing::Mistimed, session, ..good(0) };
            assert_eq!(stops(mistimed), Reason::ClockWrong);
            let lenient = SpawnPolicy::default().with_unproven_started(true).with_session_asked(false);
            assert_eq!(lenient.decide(&mistimed, at(0)), Decision::Stop(Page::new(Reason::ClockWrong)));
        }
    }

    #[test]
    fn while_the_provider_is_down_nothing_starts_unless_the_operator_wants_it_without_tokens() {
        for known in [
            Known { token: Standing::Unchecked, ..good(0) },
            Known { session: Session::Unknown, ..good(3600) },
            Known { session: Session::Unknown, can_refresh: false, ..good(0) },
        ] {
            assert_eq!(stops(known), Reason::ProviderDown);
            let lenient = SpawnPolicy::default().with_unproven_started(true);
            assert_eq!(lenient.decide(&known, at(0)), Decision::StartWithout(Reason::ProviderDown));
        }
    }

    #[test]
    fn every_way_through_comes_to_an_end() {
        // Each answer that the provider can give to each question.
        fn walk(known: Known, policy: &SpawnPolicy, depth: u32) {
            assert!(depth < 4, "{known:?}");
            let spent = Known { can_refresh: false, ..known };
            match policy.decide(&known, at(0)) {
                Decision::AskSession => {
                    for session in [Session::Alive, Session::Doubtful, Session::Unknown] {
                        walk(Known { session, ..known }, policy, depth + 1);
                    }
                }
                Decision::Refresh => {
                    for session in [Session::Over, Session::Unknown] {
                        walk(Known { session, ..spent }, policy, depth + 1);
                    }
                    for left in [0, 1, 3600] {
                        let token = Standing::Good { until: at(left) };
                        walk(Known { token, session: Session::Alive, ..spent }, policy, depth + 1);
                    }
                }
                Decision::Start | Decision::StartWithout(_) | Decision::Stop(_) => {}
            }
        }
        for asks in [true, false] {
            for left in [0, 1, 599, 3600] {
                walk(good(left), &SpawnPolicy::default().with_session_asked(asks), 0);
                walk(
                    Known { can_refresh: false, ..good(left) },
                    &SpawnPolicy::default().with_session_asked(asks),
                    0,
                );
            }
        }
    }
}
