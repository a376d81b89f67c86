//! `secrets`: a user's own store on the command line. Values come from standard input or a prompt, never as arguments.

use std::env;
use std::io::{self, IsTerminal, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use latchkey_examples::terminal::{Interrupt, ask, say};
use latchkey_examples::{Exit, Failure, VaultArguments, finish, help_after, output};
use latchkey_transport::Secret;
use latchkey_vault_client::kv2::Secret as Found;
use latchkey_vault_client::secret_store::{Layout, SecretStore, Status, Terms, UserName};
use latchkey_vault_client::{Error, Read, Token};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

const EXAMPLES: &str = "\
Examples:
  secrets put database user password       ask for both, unseen
  pass show db | secrets put database password
  secrets get database --field password
  secrets list
  secrets run --from database -- psql      its fields as environment variables, without a shell
  eval \"$(secrets env database --show)\"
  secrets delete database --field password
  secrets completion bash > ~/.local/share/bash-completion/completions/secrets";

/// Your own secrets, below secret/jupyter/users/YOU/: put, get, list, delete, and give them to a program
///
/// The server is that of `VAULT_ADDR`, the token that of `NOTEBOOK_VAULT_TOKEN`, or else of `VAULT_TOKEN`, or a prompt. A
/// token with less than ten minutes left is renewed on the way. No value is ever an argument.
#[derive(Parser, Debug)]
#[command(name = "secrets", version, verbatim_doc_comment, after_help = help_after(EXAMPLES))]
struct Arguments {
    #[command(subcommand)]
    action: Action,

    /// Whose store
    #[arg(long, global = true, value_name = "NAME", env = "JUPYTERHUB_USER", hide_env_values = true)]
    user: Option<String>,

    /// KV v2 mount that the stores are in
    #[arg(long, global = true, value_name = "MOUNT", default_value = "secret")]
    mount: String,

    /// Folder of the stores in it, with one folder for each user
    #[arg(long, global = true, value_name = "PATH", default_value = "jupyter/users")]
    folder: String,

    /// Print JSON
    #[arg(long, global = true)]
    json: bool,

    #[command(flatten)]
    vault: VaultArguments,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Set fields of a secret, and keep all its others
    ///
    /// At a terminal each value is asked for, unseen. Otherwise the value of the one field is all of standard input
    /// without the line break at its end; without a field, standard input is a JSON object of fields.
    Put {
        /// The secret
        key: String,
        /// The fields whose values to set
        fields: Vec<String>,
    },
    /// Print a secret as JSON, or one field as it is
    Get {
        /// The secret
        key: String,
        /// Print this field only
        #[arg(long, value_name = "NAME")]
        field: Option<String>,
    },
    /// List the secrets, or what is below one; nothing is printed where there is nothing
    List {
        /// List what is below this one
        key: Option<String>,
    },
    /// List the names of the fields of a secret
    Fields {
        /// The secret
        key: String,
    },
    /// Delete a secret, which `restore` brings back, or one field of it
    Delete {
        /// The secret
        key: String,
        /// Delete this field only
        #[arg(long, value_name = "NAME", conflicts_with = "purge")]
        field: Option<String>,
        /// Remove all versions, for good
        #[arg(long)]
        purge: bool,
    },
    /// Bring a deleted secret back
    Restore {
        /// The secret
        key: String,
    },
    /// Tell how the token is doing
    Status,
    /// Run a program with the fields of secrets as its environment, without a shell
    ///
    /// The program takes the place of this one. It gets no Vault token.
    Run {
        /// A secret whose fields to give (may be repeated; later ones win)
        #[arg(long = "from", value_name = "KEY", default_value = "environment")]
        keys: Vec<String>,
        /// The program and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Print the fields of a secret as lines for a shell: nothing at all without --show
    Env {
        /// The secret
        #[arg(default_value = "environment")]
        key: String,
        /// Print the values
        #[arg(long)]
        show: bool,
    },
    /// Print a completion script for a shell
    Completion {
        /// The shell
        shell: Shell,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    finish(run(&Arguments::parse()).await)
}

async fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Action::Completion { shell } = arguments.action {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Arguments::command(), "secrets", &mut script);
        return output::print(&script);
    }
    let interrupt = Interrupt::listen()?;
    let store = open(arguments, &interrupt).await?;
    interrupt.or(keep_alive(&store)).await?;
    let json = arguments.json;
    match &arguments.action {
        Action::Put { key, fields } => {
            let fields = values(fields, &interrupt).await?;
            let metadata = interrupt.or(store.put(key, &fields)).await?;
            say(format_args!("{key} is at version {}", metadata.version));
            Ok(())
        }
        Action::Get { key, field: Some(field) } => {
            let secret = present(&store, key, &interrupt).await?;
            if json {
                return output::print(secret.data().raw(field)?.as_bytes());
            }
            output::print(text(&secret, field)?.as_bytes())
        }
        Action::Get { key, field: None } => {
            let secret = present(&store, key, &interrupt).await?;
            output::print(secret.data().json().as_bytes())
        }
        Action::List { key } => {
            let listed = match key {
                Some(key) => interrupt.or(store.list_below(key)).await?,
                None => interrupt.or(store.list()).await?,
            };
            print_list(&listed, json)
        }
        Action::Fields { key } => {
            let secret = present(&store, key, &interrupt).await?;
            let names: Vec<String> = secret.data().fields().map(str::to_owned).collect();
            print_list(&names, json)
        }
        Action::Delete { key, field: Some(field), .. } => {
            if interrupt.or(store.delete_field(key, field)).await? {
                say(format_args!("{field} of {key} is deleted; older versions still have it until --purge"));
                return Ok(());
            }
            Err(Failure::new(Exit::Refused, format!("{key} has no field {field:?}")))
        }
        Action::Delete { key, purge: true, .. } => Ok(interrupt.or(store.purge(key)).await?),
        Action::Delete { key, .. } => {
            present(&store, key, &interrupt).await?;
            interrupt.or(store.delete(key)).await?;
            say(format_args!("{key} is deleted; `secrets restore {key}` brings it back"));
            Ok(())
        }
        Action::Restore { key } => {
            if interrupt.or(store.restore(key)).await? {
                return Ok(());
            }
            Err(Failure::new(Exit::Refused, format!("there is no deleted secret {key}")))
        }
        Action::Status => status(&interrupt.or(store.status()).await?, json),
        Action::Run { keys, command } => {
            let mut variables = Vec::new();
            for key in keys {
                variables.extend(environment(&present(&store, key, &interrupt).await?)?);
            }
            Err(replace_by(command, &variables))
        }
        Action::Env { key, show } => {
            let variables = environment(&present(&store, key, &interrupt).await?)?;
            if !show {
                say(format_args!("{} variables; --show prints them, for a shell to read", variables.len()));
                return Ok(());
            }
            let mut lines = Zeroizing::new(String::new());
            for (name, value) in &variables {
                for part in ["export ", name, "='", &value.replace('\'', "'\\''"), "'\n"] {
                    lines.push_str(part);
                }
            }
            output::print(lines.as_bytes())
        }
        Action::Completion { .. } => Ok(()),
    }
}

/// Opens the store with the token that a notebook has, or any other that the person has.
async fn open(arguments: &Arguments, interrupt: &Interrupt) -> Result<SecretStore, Failure> {
    let vault = arguments.vault.connect()?;
    let nobody = || {
        Failure::new(Exit::Usage, "no user is named")
            .with_hint("name one with --user, or set JUPYTERHUB_USER")
    };
    let user = arguments.user.clone().filter(|user| !user.is_empty()).ok_or_else(nobody)?;
    let (user, layout) = (UserName::new(user)?, Layout::new(&arguments.mount, &arguments.folder)?);
    let token = match env::var("NOTEBOOK_VAULT_TOKEN").ok().filter(|token| !token.is_empty()) {
        Some(token) => Token::new(token)?,
        None => arguments.vault.token(interrupt).await?,
    };
    Ok(SecretStore::in_layout(vault.with_token(&token), layout, user))
}

/// A token that may not look at itself is used all the same: the call itself tells whether it is good.
async fn keep_alive(store: &SecretStore) -> Result<(), Error> {
    match store.keep_alive(Terms::default().ttl()).await {
        Err(Error::Transport(error)) => Err(Error::Transport(error)),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Reads a secret that must be there.
async fn present(store: &SecretStore, key: &str, interrupt: &Interrupt) -> Result<Found, Failure> {
    let gone = |text: String| Err(Failure::new(Exit::Refused, text));
    match interrupt.or(store.get(key)).await? {
        Read::Found(secret) => Ok(secret),
        Read::Deleted(_) => gone(format!("{key} was deleted"))
            .map_err(|failure| failure.with_hint(format!("`secrets restore {key}` brings it back"))),
        Read::Destroyed(_) => gone(format!("{key} was destroyed")),
        Read::Missing => gone(format!("there is no secret {key}"))
            .map_err(|failure| failure.with_hint("`secrets list` tells what there is")),
    }
}

/// Returns a field as people mean it: a text as it is, anything else as its JSON.
fn text<'a>(secret: &'a Found, field: &str) -> Result<&'a str, Failure> {
    match secret.data().text(field) {
        Err(Error::FieldNotText { .. }) => Ok(secret.data().raw(field)?),
        text => Ok(text?),
    }
}

/// Reads the values of fields: unseen from the person, or from standard input.
async fn values(fields: &[String], interrupt: &Interrupt) -> Result<Values, Failure> {
    let usage = |text: &str| Failure::new(Exit::Usage, text);
    if fields.iter().any(|field| field.contains('=')) {
        return Err(usage("a value is never an argument: everybody on the machine can read those")
            .with_hint("name the field only; the value is asked for, or read from standard input"));
    }
    if io::stdin().is_terminal() {
        if fields.is_empty() {
            return Err(
                usage("no field is named").with_hint("name fields, or pipe a JSON object of fields in")
            );
        }
        let mut values = Vec::new();
        for field in fields {
            values.push((field.clone(), ask(field, "type a value", interrupt).await?));
        }
        return Ok(Values::Named(values));
    }
    let mut input = Zeroizing::new(Vec::new());
    io::stdin().lock().take(LONGEST + 1).read_to_end(&mut input)?;
    if input.len() as u64 > LONGEST {
        return Err(usage("standard input has more than a mebibyte"));
    }
    let input = std::str::from_utf8(&input)
        .map_err(|_| usage("standard input is no text").with_hint("encode it first, as `base64` does"))?;
    match fields {
        [] => {
            let object =
                serde_json::from_str::<&RawValue>(input).ok().filter(|raw| raw.get().starts_with('{'));
            let object = object.ok_or_else(|| usage("standard input is no JSON object of fields"))?;
            Ok(Values::Object(Zeroizing::new(object.get().to_owned())))
        }
        [field] => {
            let value = input.strip_suffix('\n').unwrap_or(input);
            Ok(Values::Named(vec![(field.clone(), Secret::new(value))]))
        }
        _ => Err(usage("standard input is one value, and several fields are named")
            .with_hint("pipe a JSON object of fields in, and name none")),
    }
}

/// How much is read from standard input: what a KV store takes for one secret.
const LONGEST: u64 = 1024 * 1024;

/// The values to put.
enum Values {
    Named(Vec<(String, Secret)>),
    /// As it was written, numbers and all.
    Object(Zeroizing<String>),
}

impl serde::Serialize for Values {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // Opened to be sent.
            Self::Named(values) => {
                serializer.collect_map(values.iter().map(|(name, value)| (name, value.expose_secret())))
            }
            Self::Object(object) => {
                let object: &RawValue = serde_json::from_str(object).map_err(serde::ser::Error::custom)?;
                object.serialize(serializer)
            }
        }
    }
}

/// Returns the fields as environment variables. What cannot be one is a mistake that is told, not left out.
fn environment(secret: &Found) -> Result<Vec<(String, Zeroizing<String>)>, Failure> {
    let mut variables = Vec::new();
    for name in secret.data().fields() {
        let value = text(secret, name)?;
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !name.starts_with(|sign: char| sign.is_ascii_digit())
            && !name.is_empty();
        if !is_name || value.contains('\0') {
            return Err(Failure::new(
                Exit::Refused,
                format!("the field {name:?} cannot be an environment variable"),
            )
            .with_hint(
                "variables have letters, digits and _ in their names, and no zero byte in their values",
            ));
        }
        variables.push((name.to_owned(), Zeroizing::new(value.to_owned())));
    }
    Ok(variables)
}

/// Becomes that program: no shell reads its arguments, signals reach it directly, and its exit code is ours. Returns
/// only if that fails.
fn replace_by(command: &[String], variables: &[(String, Zeroizing<String>)]) -> Failure {
    let (program, rest) = command.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let mut command = Command::new(program);
    command.args(rest);
    for token in ["NOTEBOOK_VAULT_TOKEN", "VAULT_TOKEN"] {
        command.env_remove(token);
    }
    command.envs(variables.iter().map(|(name, value)| (name, value.as_str())));
    let error = command.exec();
    Failure::of(Exit::Usage, &error).while_doing(&format!("running {program}"))
}

fn print_list(names: &[String], json: bool) -> Result<(), Failure> {
    if json {
        return output::print(format!("{}\n", Value::from(names)).as_bytes());
    }
    let lines: Vec<u8> = names.iter().flat_map(|name| [name.as_bytes(), b"\n"].concat()).collect();
    output::print(&lines)
}

fn status(status: &Status, json: bool) -> Result<(), Failure> {
    let (token, lease) = (&status.token, &status.token.lease);
    let left = lease.time_to_live().map(|left| left.as_secs());
    if json {
        let mut told = Map::new();
        for (name, value) in [
            ("user", json!(status.user.as_str())),
            ("path", json!(status.path)),
            ("seconds_left", json!(left)),
            ("renewable", json!(lease.renewable)),
            ("policies", json!(token.policies)),
            ("accessor", json!(token.accessor)),
        ] {
            told.insert(name.to_owned(), value);
        }
        return output::print(format!("{}\n", Value::Object(told)).as_bytes());
    }
    let left = left
        .map_or_else(|| "does not end".to_owned(), |left| format!("{} min {} s left", left / 60, left % 60));
    let renewable = if lease.renewable { "can be renewed" } else { "cannot be renewed" };
    let lines = format!(
        "user      {}\nstore     {}\ntoken     {left}, {renewable}\npolicies  {}\n",
        status.user,
        status.path,
        token.policies.join(", ")
    );
    output::print(lines.as_bytes())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::Arguments;

    #[test]
    fn no_value_can_be_an_argument() {
        for arguments in [&["put", "k", "--value", "v"][..], &["put", "k", "f=v", "--field", "x"]] {
            assert!(Arguments::try_parse_from([&["secrets"], arguments].concat()).is_err());
        }
    }

    #[test]
    fn what_follows_run_belongs_to_the_program() {
        let arguments = ["secrets", "run", "--from", "db", "--", "psql", "--json", "-c", "x"];
        let parsed = Arguments::try_parse_from(arguments).unwrap();
        assert!(!parsed.json);
        let super::Action::Run { keys, command } = parsed.action else { panic!("another action") };
        assert_eq!(
            (keys, command),
            (vec!["db".to_owned()], vec!["psql".into(), "--json".into(), "-c".into(), "x".into()])
        );
    }
}
