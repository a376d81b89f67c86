//! A person signs in at the provider: which way suits, and each of the ways.

use std::path::Path;
use std::time::{Duration, SystemTime};
use std::{env, io};

use clap::{Args, ValueEnum};
use latchkey_oidc_flow::flow::{self, Choice, Flow, Surroundings};
use latchkey_oidc_flow::oob::{self, Pasted};
use latchkey_oidc_flow::{
    CallbackProblem, Client, DeviceLogin, DeviceProgress, Endpoint, Error, Loopback, LoopbackAddress,
    RefusalReason, Tokens,
};
use latchkey_transport::SystemRandom;

use crate::failure::{Exit, Failure};
use crate::terminal::{Interrupt, say, wait_for_paste, wait_for_person};
use crate::{browser, qr};

/// What is said while the person is in the browser.
pub const IN_BROWSER: &str = "Waiting for your sign-in in the browser";

/// How a person signs in.
#[derive(Args, Debug)]
#[command(next_help_heading = "Sign-in")]
pub struct SignInArguments {
    /// How the answer of the sign-in page comes back
    #[arg(long, value_enum, default_value_t = FlowArgument::Auto)]
    flow: FlowArgument,

    /// Ports that the browser may come back to: the first free one is taken; 0 is any free one
    #[arg(long = "port", value_name = "PORT,…", value_delimiter = ',', default_value = "8250,18250")]
    ports: Vec<u16>,

    /// Only print the address to sign in at
    #[arg(long)]
    no_browser: bool,

    /// How long you have to sign in; servers forget a sign-in after 600 s
    #[arg(long, value_name = "SECONDS", default_value_t = 300,
        value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
}

/// A way of signing in, as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FlowArgument {
    /// Whatever suits this terminal; it says which way, and why
    Auto,
    /// By itself: the page sends the browser back to this machine
    Loopback,
    /// On any device: you type a code in there
    Device,
    /// By your hand: the page shows a code, you paste it here
    Oob,
}

impl SignInArguments {
    /// Returns the way that was asked for, or the one that suits where none was.
    ///
    /// # Errors
    ///
    /// A usage failure where nobody is there who could sign in.
    pub fn flow(&self, surroundings: &Surroundings) -> Result<Flow, Failure> {
        Ok(match self.flow {
            FlowArgument::Loopback => Flow::Loopback,
            FlowArgument::Device => Flow::Device,
            FlowArgument::Oob => Flow::Oob,
            FlowArgument::Auto => {
                let choice: Choice = flow::choose(surroundings).map_err(|nobody| {
                    Failure::of(Exit::Usage, &nobody)
                        .with_hint("--flow loopback, device or oob signs in without a terminal all the same")
                })?;
                say(format_args!("Signing in with {choice} (--flow chooses another way)."));
                choice.flow
            }
        })
    }

    /// Returns whether the browser is on this machine, as far as anybody can tell.
    pub fn comes_back(&self, surroundings: &Surroundings) -> bool {
        match self.flow {
            FlowArgument::Loopback => true,
            FlowArgument::Device | FlowArgument::Oob => false,
            FlowArgument::Auto => {
                flow::choose(surroundings).is_ok_and(|choice| choice.flow == Flow::Loopback)
            }
        }
    }

    /// Returns where the browser may come back to.
    pub fn loopback(&self) -> LoopbackAddress {
        LoopbackAddress::ports(self.ports.iter().copied())
    }

    /// Returns whether a browser may be opened.
    pub fn opens_browser(&self) -> bool {
        !self.no_browser
    }

    /// Returns how long the person has.
    pub fn time_limit(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    /// Signs somebody in at the client's provider.
    ///
    /// A provider that knows of devices may still keep this client from using them. Where nobody insisted on that way,
    /// the next best is taken.
    pub async fn at_provider(
        &self,
        client: &Client,
        scopes: &str,
        surroundings: Surroundings,
        interrupt: &Interrupt,
    ) -> Result<Tokens, Failure> {
        let offers_device = client.provider().metadata().endpoint(Endpoint::DeviceAuthorization).is_some();
        let surroundings = Surroundings { offers_device, ..surroundings };
        let flow = self.flow(&surroundings)?;
        if flow != Flow::Device {
            return self.with_callback(flow, client, scopes, interrupt).await;
        }
        let begun = interrupt.or(async {
            Ok::<_, Failure>(client.device().with_scope(scopes).begin(SystemTime::now()).await)
        });
        match begun.await? {
            Ok(login) => self.on_device(client, login, interrupt).await,
            Err(Error::Refused(refusal))
                if self.flow == FlowArgument::Auto && refusal.reason == RefusalReason::UnauthorizedClient =>
            {
                say(format_args!("The provider keeps this client from that."));
                let flow = self.flow(&Surroundings { offers_device: false, ..surroundings })?;
                self.with_callback(flow, client, scopes, interrupt).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The page sends the answer back: to this machine, or by the person's hand.
    async fn with_callback(
        &self,
        flow: Flow,
        client: &Client,
        scopes: &str,
        interrupt: &Interrupt,
    ) -> Result<Tokens, Failure> {
        let limit = self.time_limit();
        let begin = |redirect_uri: &str| {
            let login = client.authorize(redirect_uri).with_scope(scopes);
            login.begin(&mut SystemRandom, SystemTime::now())
        };
        let callback = if flow == Flow::Oob {
            let login = begin(oob::REDIRECT_URI)?;
            browser::show("Sign in at", &login.url, self.opens_browser());
            let pasted = wait_for_paste(limit, interrupt, |text| {
                let pasted = Pasted::parse(text)?;
                if login.pending.matches_pasted(&pasted) {
                    Ok(pasted)
                } else {
                    Err(Error::from(CallbackProblem::StateMismatch).into())
                }
            });
            let pasted = pasted.await?;
            login.pending.accept_pasted(&pasted, SystemTime::now())?
        } else {
            let door = Loopback::bind(self.loopback()).await?;
            let login = begin(door.redirect_uri())?;
            browser::show("Sign in at", &login.url, self.opens_browser());
            let answer = door.wait(login.pending, limit, SystemTime::now());
            wait_for_person(IN_BROWSER, limit, interrupt, answer).await?
        };
        interrupt.or(client.redeem(callback, SystemTime::now())).await
    }

    /// The person types a code in on any device, while the provider is asked whether they are done.
    async fn on_device(
        &self,
        client: &Client,
        mut login: DeviceLogin,
        interrupt: &Interrupt,
    ) -> Result<Tokens, Failure> {
        say(format_args!("On any device, open\n\n  {}\n", login.verification_uri));
        say(format_args!("and type in the code\n\n  {}\n", login.user_code));
        // The page with the code filled in is for a camera; the code stands beside it, to be compared.
        if let Some(complete) = &login.verification_uri_complete
            && io::IsTerminal::is_terminal(&io::stderr())
            && let Some(code) = qr::drawn(complete.as_str())
        {
            say(format_args!("or point a camera here, and compare the code:\n\n{code}"));
        }
        let done = async {
            loop {
                match client.poll_device(&mut login.pending, SystemTime::now()).await? {
                    DeviceProgress::SignedIn(tokens) => return Ok::<_, Error>(*tokens),
                    DeviceProgress::Waiting { until } => {
                        let wait = until.duration_since(SystemTime::now()).unwrap_or_default();
                        tokio::time::sleep(wait).await;
                    }
                    // Whatever else a later version says is no answer yet.
                    _ => tokio::time::sleep(Duration::from_secs(5)).await,
                }
            }
        };
        wait_for_person("Waiting for your sign-in on the other device", self.time_limit(), interrupt, done)
            .await
    }
}

/// Finds out where this program runs. What the provider offers is for whoever knows it.
pub fn surroundings() -> Surroundings {
    let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    Surroundings {
        is_interactive: io::IsTerminal::is_terminal(&io::stdin())
            && io::IsTerminal::is_terminal(&io::stderr()),
        has_display: cfg!(any(target_os = "macos", windows))
            || ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"].into_iter().any(is_set),
        is_ssh: is_set("SSH_CONNECTION") || is_set("SSH_TTY"),
        is_container: ["/.dockerenv", "/run/.containerenv"].iter().any(|file| Path::new(file).exists()),
        offers_device: false,
        // Nothing tells. A provider that does not offer it says so on its page.
        offers_oob: true,
    }
}
