//! Serves an OpenID provider and a Vault on loopback until it is told to stop.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Parser, ValueEnum};
use latchkey_testbed::{Clock, Consent, User, Voice, World, serve};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

/// An OpenID provider and a Vault on loopback, for tests and for trying things out.
///
/// When both listen, one line of JSON with their addresses, the client and the people who may sign in is written to
/// standard output. SIGINT or SIGTERM ends the program with exit code 0. Nothing is stored.
#[derive(Parser)]
#[command(name = "testbed", version)]
struct Arguments {
    /// Port of the OpenID provider, on localhost; 0 stands for any free port
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    provider_port: u16,

    /// Port of the Vault, on 127.0.0.1; 0 stands for any free port
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    vault_port: u16,

    /// Whose words the Vault speaks
    #[arg(long, value_enum, default_value_t = Wording::Openbao)]
    voice: Wording,

    /// Who may sign in, with which password and which roles of the client; may be given more than once
    ///
    /// Without it: reader and management, each with its name as its password.
    #[arg(long, value_name = "NAME:PASSWORD[:ROLE,…]", value_parser = user)]
    users: Vec<User>,

    /// What happens after the password was right
    #[arg(long, value_enum, default_value_t = Asking::Silent)]
    consent: Asking,

    /// One more client, without a secret: for programs and pages that sign people in themselves; may be given more than once
    #[arg(long = "public-client", value_name = "ID")]
    public_clients: Vec<String>,

    /// Sends `Cross-Origin-Opener-Policy` with the provider's pages: they lose the window that opened them
    #[arg(long, value_name = "POLICY")]
    opener_policy: Option<String>,
}

fn user(text: &str) -> Result<User, String> {
    let mut parts = text.splitn(3, ':');
    let (Some(name), Some(password)) = (parts.next(), parts.next()) else {
        return Err("a name, a colon and a password are wanted".to_owned());
    };
    if name.is_empty() || password.is_empty() {
        return Err("neither the name nor the password may be empty".to_owned());
    }
    let roles: Vec<&str> = parts.next().map(|roles| roles.split(',').collect()).unwrap_or_default();
    Ok(User::new(name, password).with_roles(&roles))
}

#[derive(Clone, Copy, ValueEnum)]
enum Asking {
    /// Nothing
    Silent,
    /// The sign-in page has a button to cancel
    Asked,
    /// Every sign-in is refused
    Refused,
}

#[derive(Clone, Copy, ValueEnum)]
enum Wording {
    /// Vault 1.21
    Vault,
    /// OpenBao 2.7
    Openbao,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "testbed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<()> {
    let voice = match arguments.voice {
        Wording::Vault => Voice::Vault,
        Wording::Openbao => Voice::OpenBao,
    };
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        // Before anybody can know that we run, so that a signal is never too early.
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let mut builder = World::builder().voice(voice).clock(Clock::system());
        if !arguments.users.is_empty() {
            builder = builder.users(arguments.users.iter().cloned());
        }
        for client in &arguments.public_clients {
            builder = builder.public_client(client);
        }
        if let Some(policy) = &arguments.opener_policy {
            builder = builder.opener_policy(policy);
        }
        let served = serve(builder, arguments.provider_port, arguments.vault_port).await?;
        served.world().provider().set_consent(match arguments.consent {
            Asking::Silent => Consent::Silent,
            Asking::Asked => Consent::Asked,
            Asking::Refused => Consent::Refused,
        });
        let mut out = io::stdout();
        writeln!(out, "{}", announcement(served.world()))?;
        out.flush()?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}

fn announcement(world: &World) -> Value {
    let provider = world.provider();
    let users: Vec<Value> = provider
        .users()
        .iter()
        .map(|user| json!({ "name": user.name(), "password": user.password() }))
        .collect();
    json!({
        "provider": {
            "issuer": world.issuer(),
            "client_id": provider.client_id(),
            "client_secret": provider.client_secret(),
            "users": users,
        },
        "vault": { "address": world.vault_address(), "root_token": world.vault().root_token() },
    })
}
