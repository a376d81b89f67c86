//! Which way of signing in suits a terminal.
//!
//! A program finds out where it runs ([`Surroundings`]) and [`choose`] says which [`Flow`] suits, and why. Nothing here
//! looks at the machine: what is passed in decides, so that every case can be tested.

use std::fmt;

/// A way of signing in from a program.
///
/// Specified in [RFC 8252, 7](https://www.rfc-editor.org/rfc/rfc8252#section-7) and [RFC 8628, 1](https://www.rfc-editor.org/rfc/rfc8628#section-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flow {
    /// A browser on this machine, and a door that waits for it (`Loopback`;
    /// [RFC 8252, 7.3](https://www.rfc-editor.org/rfc/rfc8252#section-7.3)).
    Loopback,
    /// A browser on any device, where the person types a code ([`Client::device`](crate::Client::device);
    /// [RFC 8628, 1](https://www.rfc-editor.org/rfc/rfc8628#section-1)).
    Device,
    /// A browser on any device, and the person carries the code back ([`oob`](crate::oob)).
    Oob,
}

impl fmt::Display for Flow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Loopback => "a browser on this machine",
            Self::Device => "a code typed in on any device",
            Self::Oob => "a code carried over by hand",
        })
    }
}

/// Where a program runs, as far as it matters for a sign-in. The program finds it out.
///
/// ```
/// use latchkey_oidc_flow::flow::{Flow, Reason, Surroundings, choose};
///
/// let desktop = Surroundings { is_interactive: true, has_display: true, ..Surroundings::default() };
/// assert_eq!(choose(&desktop)?.flow, Flow::Loopback);
///
/// let server = Surroundings { is_ssh: true, offers_device: true, ..desktop };
/// let choice = choose(&server)?;
/// assert_eq!((choice.flow, choice.reason), (Flow::Device, Reason::Ssh));
/// assert_eq!(choice.to_string(), "a code typed in on any device, since this is an SSH session");
/// # Ok::<(), latchkey_oidc_flow::flow::NobodyThere>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a program states every fact; a new one must be noticed")]
pub struct Surroundings {
    /// A person reads what the program writes, and can answer: standard error and input are terminals.
    pub is_interactive: bool,
    /// There is a display: macOS, Windows and WSL have one, elsewhere `DISPLAY` or `WAYLAND_DISPLAY` names it.
    pub has_display: bool,
    /// The terminal is that of another machine: `SSH_CONNECTION` or `SSH_TTY` is set. A display may still be there, and
    /// be that of another person.
    pub is_ssh: bool,
    /// It runs in a container: `/.dockerenv` or `/run/.containerenv` is there. Its loopback is not that of the browser.
    pub is_container: bool,
    /// The provider signs in on other devices: it has a device authorization endpoint, and lets this client use it.
    pub offers_device: bool,
    /// The client may use the out-of-band address at the provider.
    pub offers_oob: bool,
}

/// A choice, and what decided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Choice {
    /// The way that suits.
    pub flow: Flow,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for Choice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, since {}", self.flow, self.reason)
    }
}

/// Why a way of signing in was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// A browser can be opened here.
    Display,
    /// This is an SSH session: the person's browser is elsewhere.
    Ssh,
    /// This is a container: the person's browser cannot reach its loopback.
    Container,
    /// There is no display.
    NoDisplay,
    /// Nothing better is offered: the person can open the address by hand, on this machine or through a forwarded port.
    NothingElse,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Display => "a browser can be opened here",
            Self::Ssh => "this is an SSH session",
            Self::Container => "this is a container",
            Self::NoDisplay => "there is no display",
            Self::NothingElse => "the provider offers this client nothing else",
        })
    }
}

/// Nobody is there who could sign in: no person reads what the program writes.
///
/// A program without a person uses its own identity ([`Client::client_credentials`](crate::Client::client_credentials))
/// or a stored grant, and never opens a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody is there who could sign in: this program does not run in a terminal")]
pub struct NobodyThere;

/// Chooses the way of signing in that suits, and says why.
///
/// A loopback is the safest, since the code never leaves the machine, and comes first wherever the person's browser is
/// on it. Where it is not, a device code comes before a code that is carried by hand: what is shown there cannot be
/// pasted into the wrong program.
///
/// # Errors
///
/// [`NobodyThere`] where no person reads what the program writes.
pub fn choose(surroundings: &Surroundings) -> Result<Choice, NobodyThere> {
    if !surroundings.is_interactive {
        return Err(NobodyThere);
    }
    // SSH first: a display beside it was forwarded, and its browser would run on this machine, not on the person's.
    let reason = if surroundings.is_ssh {
        Reason::Ssh
    } else if surroundings.is_container {
        Reason::Container
    } else if surroundings.has_display {
        return Ok(Choice { flow: Flow::Loopback, reason: Reason::Display });
    } else {
        Reason::NoDisplay
    };
    Ok(if surroundings.offers_device {
        Choice { flow: Flow::Device, reason }
    } else if surroundings.offers_oob {
        Choice { flow: Flow::Oob, reason }
    } else {
        Choice { flow: Flow::Loopback, reason: Reason::NothingElse }
    })
}

#[cfg(test)]
mod tests {
    use super::{Flow, NobodyThere, Reason, Surroundings, choose};

    /// Every combination of the six facts.
    fn all() -> impl Iterator<Item = Surroundings> {
        (0_u8..64).map(|bits| Surroundings {
            is_interactive: bits & 1 != 0,
            has_display: bits & 2 != 0,
            is_ssh: bits & 4 != 0,
            is_container: bits & 8 != 0,
            offers_device: bits & 16 != 0,
            offers_oob: bits & 32 != 0,
        })
    }

    #[test]
    fn without_a_person_nothing_is_opened() {
        for surroundings in all().filter(|this| !this.is_interactive) {
            assert_eq!(choose(&surroundings), Err(NobodyThere), "{surroundings:?}");
        }
    }

    #[test]
    fn what_is_not_offered_is_not_chosen() {
        for surroundings in all().filter(|this| this.is_interactive) {
            let choice = choose(&surroundings).unwrap();
            assert!(choice.flow != Flow::Device || surroundings.offers_device, "{surroundings:?}");
            assert!(choice.flow != Flow::Oob || surroundings.offers_oob, "{surroundings:?}");
        }
    }

    #[test]
    fn a_loopback_is_chosen_where_the_browser_is_here_and_else_only_for_want_of_better() {
        for surroundings in all().filter(|this| this.is_interactive) {
            let choice = choose(&surroundings).unwrap();
            let is_here = surroundings.has_display && !surroundings.is_ssh && !surroundings.is_container;
            let has_better = surroundings.offers_device || surroundings.offers_oob;
            assert_eq!(choice.flow == Flow::Loopback, is_here || !has_better, "{surroundings:?}");
            assert_eq!(choice.reason == Reason::Display, is_here, "{surroundings:?}");
        }
    }

    #[test]
    fn a_device_comes_before_a_code_carried_by_hand() {
        let there = Surroundings { is_interactive: true, offers_oob: true, ..Surroundings::default() };
        assert_eq!(choose(&there).unwrap().flow, Flow::Oob);
        let choice = choose(&Surroundings { offers_device: true, ..there }).unwrap();
        assert_eq!((choice.flow, choice.reason), (Flow::Device, Reason::NoDisplay));
        let choice = choose(&Surroundings { offers_device: true, is_container: true, ..there }).unwrap();
        assert_eq!(choice.reason, Reason::Container);
    }
}
