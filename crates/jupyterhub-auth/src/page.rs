//! What a person reads whose server does not start.

use std::fmt;

use crate::UserProblem;

/// Why a server does not start, for the person who waits for it: what happened, and what to do.
///
/// Nothing in it is secret, and nothing is copied from a server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    reason: Reason,
    message: String,
}

/// What a server was not started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The sign-in has ended.
    SignInOver,
    /// The hub holds no ID token.
    NotSignedIn,
    /// The ID token does not prove what it should.
    NotProven,
    /// Clocks do not agree: this machine's, the provider's, or Vault's.
    ClockWrong,
    /// The identity provider cannot be asked now.
    ProviderDown,
    /// Vault cannot be asked now, or is sealed.
    VaultDown,
    /// Vault does not give what the server should get.
    VaultRefused,
    /// Vault does not take the hub's own token any more.
    HubTokenOver,
    /// The file for the person's secret cannot be written: the disk is full, or the folder is not as it should be.
    FileNotWritten,
    /// There is no Unix user for the person.
    NoUser,
    /// The hub's own machinery does not work.
    HubBroken,
}

/// What helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// To sign in again.
    SignIn,
    /// To try again in a while.
    TryAgain,
    /// To ask whoever runs the hub.
    AskOperator,
}

impl Page {
    /// Returns a page with what can be said to anybody.
    pub fn new(reason: Reason) -> Self {
        Self { reason, message: reason.message().to_owned() }
    }

    /// Returns the page for a person without a Unix user, which tells them why.
    pub fn no_user(problem: &UserProblem) -> Self {
        let message = format!(
            "Your server was not started: {problem}. Show this to whoever runs this hub: an account must be changed \
             there, or your entry at the sign-in server."
        );
        Self { reason: Reason::NoUser, message }
    }

    /// Returns why.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Returns what happened and what to do: a few whole sentences, without markup.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the status that a hub answers with.
    pub fn status(&self) -> u16 {
        self.reason.status()
    }

    /// Returns what helps.
    pub fn remedy(&self) -> Remedy {
        self.reason.remedy()
    }
}

impl Reason {
    /// Returns the stable name, for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::SignInOver => "sign_in_over",
            Self::NotSignedIn => "not_signed_in",
            Self::NotProven => "not_proven",
            Self::ClockWrong => "clock_wrong",
            Self::ProviderDown => "provider_down",
            Self::VaultDown => "vault_down",
            Self::VaultRefused => "vault_refused",
            Self::HubTokenOver => "hub_token_over",
            Self::FileNotWritten => "file_not_written",
            Self::NoUser => "no_user",
            Self::HubBroken => "hub_broken",
        }
    }

    fn status(self) -> u16 {
        match self {
            Self::SignInOver | Self::NotSignedIn | Self::NotProven => 401,
            Self::VaultRefused | Self::NoUser => 403,
            Self::ProviderDown
            | Self::VaultDown
            | Self::ClockWrong
            | Self::HubTokenOver
            | Self::FileNotWritten => 503,
            Self::HubBroken => 500,
        }
    }

    fn remedy(self) -> Remedy {
        match self {
            Self::SignInOver | Self::NotSignedIn | Self::NotProven => Remedy::SignIn,
            Self::ProviderDown | Self::VaultDown => Remedy::TryAgain,
            Self::VaultRefused
            | Self::NoUser
            | Self::HubBroken
            | Self::ClockWrong
            | Self::HubTokenOver
            | Self::FileNotWritten => Remedy::AskOperator,
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::SignInOver => {
                "Your server was not started, because your sign-in has ended. Sign in again, then start it."
            }
            Self::NotSignedIn => {
                "Your server was not started, because this hub knows nothing of a sign-in of yours. Sign in again, then \
                 start it. If that does not help, whoever runs this hub must let it keep sign-ins (enable_auth_state)."
            }
            Self::NotProven => {
                "Your server was not started, because your sign-in does not prove who you are. Sign in again, then start \
                 it. If it happens again, show this to whoever runs this hub."
            }
            Self::ClockWrong => {
                "Your server was not started, because clocks do not agree: that of this hub, of the sign-in server, or of \
                 the server of your secrets is wrong. To sign in again does not help: show this to whoever runs this hub, \
                 so that the clock is set."
            }
            Self::ProviderDown => {
                "Your server was not started, because the sign-in server does not answer. Nothing is lost: try again in a \
                 few minutes."
            }
            Self::VaultDown => {
                "Your server was not started, because the server of your secrets does not answer or is sealed. Nothing is \
                 lost: try again in a few minutes."
            }
            Self::VaultRefused => {
                "Your server was not started, because the server of your secrets does not give it what it needs. Show \
                 this to whoever runs this hub."
            }
            Self::HubTokenOver => {
                "Your server was not started, because the server of your secrets does not know this hub any more: the \
                 hub's own token there has ended. Nothing is lost: show this to whoever runs this hub, who gives it a new \
                 one."
            }
            Self::FileNotWritten => {
                "Your server was not started, because the file for your secret cannot be written: the disk of this hub is \
                 full, or the folder is not as it should be. Nothing is lost: show this to whoever runs this hub, then \
                 try again."
            }
            Self::NoUser => {
                "Your server was not started, because you have no account on its machine. Show this to whoever runs this \
                 hub."
            }
            Self::HubBroken => {
                "Your server was not started, because of a fault of this hub. Nothing is lost: try again, and show this \
                 to whoever runs this hub if it happens again."
            }
        }
    }
}

impl Remedy {
    /// Returns the stable name, for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::TryAgain => "try_again",
            Self::AskOperator => "ask_operator",
        }
    }
}

impl fmt::Display for Page {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::{Page, Reason, Remedy};
    use crate::UserProblem;

    #[test]
    fn every_page_says_what_happened_and_what_to_do() {
        for reason in [
            Reason::SignInOver,
            Reason::NotSignedIn,
            Reason::NotProven,
            Reason::ClockWrong,
            Reason::ProviderDown,
            Reason::VaultDown,
            Reason::VaultRefused,
            Reason::HubTokenOver,
            Reason::FileNotWritten,
            Reason::NoUser,
            Reason::HubBroken,
        ] {
            let page = Page::new(reason);
            assert!(page.message().starts_with("Your server was not started"), "{page}");
            let told = match page.remedy() {
                Remedy::SignIn => "Sign in again",
                Remedy::TryAgain => "try again",
                Remedy::AskOperator => "whoever runs this hub",
            };
            assert!(page.message().contains(told), "{page}");
            assert!((400..600).contains(&page.status()), "{}", reason.code());
        }
    }

    #[test]
    fn a_person_without_an_account_reads_why() {
        let page = Page::no_user(&UserProblem::SystemAccount { name: "daemon".into() });
        assert_eq!((page.status(), page.remedy()), (403, Remedy::AskOperator));
        assert!(page.message().contains("that of an account of the system, daemon."), "{page}");
    }
}
