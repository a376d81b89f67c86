//! The hub that started this server: its API, and the address at which a person restarts the server.

use std::env;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use latchkey_jupyterhub_auth::{Holder, HubApi};
use latchkey_oidc_flow::IdToken;
use latchkey_transport::{Perform as _, SharedTransport};
use url::Url;

use crate::environment::{from_environment, path, transport};
use crate::failure::{Exit, Failure};

/// Which hub is meant: by the variables that a hub gives to each server. Its token comes from `JUPYTERHUB_API_TOKEN`.
#[derive(Args, Debug)]
#[command(next_help_heading = "JupyterHub")]
pub struct HubArguments {
    /// Address of the hub's API
    #[arg(long, value_name = "URL", env = "JUPYTERHUB_API_URL")]
    hub: Option<String>,

    /// Whose server this is
    #[arg(long, value_name = "NAME", env = "JUPYTERHUB_USER", hide_env_values = true)]
    user: Option<String>,

    /// Page at which you restart your server [default: as the hub's variables tell]
    #[arg(long, value_name = "URL")]
    restart_page: Option<String>,

    /// Trust the certificates in this PEM file, and no others, for the hub
    #[arg(long, value_name = "FILE", value_parser = path)]
    hub_ca: Option<PathBuf>,

    /// Speak http with a hub on another machine, which whoever is on the way can read: for a cluster's own network
    #[arg(long)]
    danger_plain_http_hub: bool,
}

/// The API of a hub, and one person of it.
#[derive(Clone)]
pub struct Hub {
    api: HubApi,
    user: String,
    transport: SharedTransport,
}

impl HubArguments {
    /// Returns the hub, where one is named.
    ///
    /// # Errors
    ///
    /// A usage failure where a part of it is missing or is no address.
    pub fn connect(&self) -> Result<Option<Hub>, Failure> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let Some(address) = given(&self.hub) else { return Ok(None) };
        let address: Url = address.parse().map_err(|error: url::ParseError| {
            Failure::of(Exit::Usage, &error)
                .while_doing("the address of the hub")
                .with_hint("--hub or JUPYTERHUB_API_URL is an address such as http://hub:8081/hub/api")
        })?;
        let missing = |name: &str| {
            Failure::new(Exit::Usage, format!("the hub is named, and {name} is not set"))
                .with_hint("run it in a terminal or a notebook of your server, where the hub sets it")
        };
        let user = given(&self.user).ok_or_else(|| missing("JUPYTERHUB_USER"))?;
        let token =
            from_environment("JUPYTERHUB_API_TOKEN").ok_or_else(|| missing("JUPYTERHUB_API_TOKEN"))?;
        let transport = transport(self.hub_ca.as_deref(), "--hub-ca", self.danger_plain_http_hub)?;
        Ok(Some(Hub { api: HubApi::new(address, token), user, transport }))
    }

    /// Returns where a person restarts the server: a whole address where the hub knows its own, or else a path on it.
    pub fn restart_page(&self) -> Option<String> {
        let variable = |name: &str| env::var(name).ok().filter(|text| !text.is_empty());
        let below = |base: String, page: &str| format!("{}/{page}", base.trim_end_matches('/'));
        self.restart_page
            .clone()
            .or_else(|| variable("JUPYTERHUB_PUBLIC_HUB_URL").map(|hub| below(hub, "home")))
            .or_else(|| variable("JUPYTERHUB_BASE_URL").map(|base| below(base, "hub/home")))
    }
}

impl Hub {
    /// Returns the ID token that the hub has of the person now, if it has not expired.
    pub async fn id_token(&self) -> Result<IdToken, latchkey_jupyterhub_auth::Error> {
        let user = self.transport.perform(self.api.user(&self.user)?).await?;
        user.id_token(Holder::Server, SystemTime::now())
    }
}
