//! `conformance-rp`: one run of a relying party without a browser, for a conformance suite to drive.
//!
//! [`Run`] goes through the steps that were asked for, and what came of it is one line of JSON on standard output.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{env, fs, io};

use clap::{Parser, ValueEnum};
use latchkey_examples::headless::Headless;
use latchkey_examples::logout_listener::LogoutListener;
use latchkey_examples::{Exit, Failure, output};
use latchkey_oidc_flow::{
    Algorithm, Assertions, Authentication, AwsLcSigner, CallbackParams, Client, Error, FetchKeys, Provider,
    ResponseMode, Tokens,
};
use latchkey_transport::{Perform as _, ReqwestTransport, Secret, SharedTransport, SystemRandom};
use serde_json::{Map, Value};
use url::Url;

/// Signs in once, or twice, by following redirects, and tells in one line of JSON what came of it
///
/// The provider and the client come from the environment.
#[derive(Parser, Debug)]
#[command(name = "conformance-rp", version, verbatim_doc_comment, after_help = AFTER)]
struct Arguments {
    /// How the answer is sent
    #[arg(long, value_enum)]
    response_mode: Option<Mode>,

    /// How the client says who it is; by default as its secret allows: in the header, or not at all
    #[arg(long, value_enum)]
    client_auth: Option<ClientAuth>,

    /// Key that the client signs with, for `private_key_jwt`: a PEM file
    #[arg(long, value_name = "FILE", required_if_eq("client_auth", "private_key_jwt"))]
    client_key: Option<PathBuf>,

    /// Under which name the provider knows that key
    #[arg(long, value_name = "NAME", requires = "client_key")]
    client_key_id: Option<String>,

    /// Scopes beside openid, with blanks between them
    #[arg(long, default_value = "")]
    scope: String,

    /// Algorithms that ID tokens may be signed with
    #[arg(long, value_delimiter = ',', default_value = "RS256", value_parser = algorithm)]
    algorithms: Vec<Algorithm>,

    /// What is done, in this order
    #[arg(long, value_enum, value_delimiter = ',', default_value = "discovery,login,userinfo")]
    steps: Vec<Step>,

    /// How many logins are done with the keys that were fetched once
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=10))]
    logins: u8,

    /// Leave what is asked for with the provider before the login (PAR)
    #[arg(long)]
    push: bool,

    /// Listen there for logout tokens, in plain http, and wait for one after the step logout
    #[arg(long, value_name = "URL")]
    backchannel_uri: Option<Url>,

    /// How long to wait for a logout token
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
}

const AFTER: &str = "\
Examples:
  conformance-rp                                             discovery, login, userinfo
  conformance-rp --steps discovery,keys,login,refresh,logout --response-mode jwt

Environment:
  ISSUER         the issuer, taken as it is, a slash at its end too
  CLIENT_ID      the client's id
  CLIENT_SECRET  its secret, unless --client-auth says that there is none
  REDIRECT_URI   where the answer is sent; nobody needs to listen there
  SSL_CERT_FILE  a PEM file with more roots than the system's
  SIGN_IN_NAME, SIGN_IN_PASSWORD
                 what to fill in, where the provider shows a form

Exit codes:
  0  every step went well
  1  refused: by the provider, or by a check of ours; the code in the line says which
  2  usage: an argument or the environment must change
  3  network: the provider cannot be reached, cannot prove who it is, or is out of order
  4  timed out: no logout token came";

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Mode {
    Query,
    Fragment,
    FormPost,
    #[value(name = "jwt")]
    Jwt,
    #[value(name = "query.jwt")]
    QueryJwt,
    #[value(name = "fragment.jwt")]
    FragmentJwt,
    #[value(name = "form_post.jwt")]
    FormPostJwt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum ClientAuth {
    None,
    ClientSecretBasic,
    ClientSecretPost,
    ClientSecretJwt,
    PrivateKeyJwt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    /// Fetch the configuration; done first in any case
    Discovery,
    /// Fetch the keys before they are needed
    Keys,
    /// Sign in, and check the ID token
    Login,
    /// Ask what the provider tells about the person
    Userinfo,
    /// Get new tokens
    Refresh,
    /// Sign out
    Logout,
}

fn algorithm(name: &str) -> Result<Algorithm, String> {
    Algorithm::from_name(name).ok_or_else(|| "no algorithm that this library knows".to_owned())
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut run = Run { told: Map::new(), at: "environment" };
    let outcome = run.go(&Arguments::parse()).await;
    let exit = match outcome {
        Ok(()) => {
            run.tell("outcome", "passed");
            0
        }
        Err(ended) => {
            run.tell("outcome", "refused");
            run.tell("step", run.at);
            run.tell("code", ended.code);
            run.tell("message", ended.failure.message());
            ended.failure.exit() as u8
        }
    };
    match output::print(format!("{}\n", Value::Object(run.told)).as_bytes()) {
        Ok(()) => ExitCode::from(exit),
        Err(_) => ExitCode::FAILURE,
    }
}

/// Why a run ended early.
struct Ended {
    /// That of the library's error, or one of this program's own.
    code: &'static str,
    failure: Failure,
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self { code: error.code(), failure: error.into() }
    }
}

/// What has no code of its own is the environment's fault, or the page's.
impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        let code = match failure.exit() {
            Exit::Usage => "usage",
            Exit::Network => "network",
            Exit::TimedOut => "timed_out",
            Exit::Refused => "no_answer",
        };
        Self { code, failure }
    }
}

/// A run under way: what there is to tell, and where it is.
struct Run {
    told: Map<String, Value>,
    at: &'static str,
}

impl Run {
    fn tell(&mut self, name: &str, value: impl Into<Value>) {
        self.told.insert(name.to_owned(), value.into());
    }

    async fn go(&mut self, arguments: &Arguments) -> Result<(), Ended> {
        let (issuer, redirect_uri) = (variable("ISSUER")?, variable("REDIRECT_URI")?);
        let transport = transport()?;
        self.at = "discovery";
        let provider = Provider::discover(&issuer, transport.clone()).await?;
        let client = client(provider, arguments)?;
        let wants = |step| arguments.steps.contains(&step);
        let mut listener = match &arguments.backchannel_uri {
            Some(address) => Some(LogoutListener::bind(address, client.clone()).await?),
            None => None,
        };
        if wants(Step::Keys) {
            self.at = "keys";
            let address = client.provider().metadata().jwks_uri().clone();
            let keys = transport.perform(FetchKeys::new(address)).await?;
            self.tell("usable_keys", keys.keys().len());
        }
        if !wants(Step::Login) {
            return Ok(());
        }
        let mut browser = browser(transport);
        for _ in 0..arguments.logins {
            self.at = "login";
            let tokens = self.sign_in(&client, &mut browser, &redirect_uri, arguments).await?;
            self.tell("subject", tokens.id_token.subject());
            self.tell("algorithm", tokens.id_token.algorithm().name());
            if wants(Step::Userinfo) {
                self.at = "userinfo";
                let info = client.userinfo(&tokens.access_token, tokens.id_token.subject(), now()).await?;
                self.tell("userinfo_is_signed", info.is_signed());
            }
            if wants(Step::Refresh) {
                self.at = "refresh";
                self.refresh(&client, &tokens, wants(Step::Userinfo)).await?;
            }
            if wants(Step::Logout) {
                self.at = "logout";
                self.sign_out(&client, &mut browser, &tokens, &redirect_uri).await?;
                if let Some(listener) = &mut listener {
                    self.at = "logout_token";
                    let limit = Duration::from_secs(arguments.timeout);
                    let late = || Failure::new(Exit::TimedOut, "no logout token came");
                    let token = listener.next(limit).await.ok_or_else(late)??;
                    self.tell("logout_token_ends_the_session", token.ends(&tokens.id_token));
                }
            }
        }
        Ok(())
    }

    /// One login, from the address to the checked tokens.
    async fn sign_in(
        &mut self,
        client: &Client,
        browser: &mut Headless,
        redirect_uri: &str,
        arguments: &Arguments,
    ) -> Result<Tokens, Ended> {
        let mut wishes = client.authorize(redirect_uri).with_scope(&arguments.scope);
        if let Some(mode) = arguments.response_mode {
            wishes = wishes.with_response_mode(match mode {
                Mode::Query => ResponseMode::Query,
                Mode::Fragment => ResponseMode::Fragment,
                Mode::FormPost => ResponseMode::FormPost,
                Mode::Jwt => ResponseMode::Jwt,
                Mode::QueryJwt => ResponseMode::QueryJwt,
                Mode::FragmentJwt => ResponseMode::FragmentJwt,
                Mode::FormPostJwt => ResponseMode::FormPostJwt,
            });
        }
        let login = if arguments.push {
            wishes.push(&mut SystemRandom, now()).await?
        } else {
            wishes.begin(&mut SystemRandom, now())?
        };
        let answer = browser.come_back(&login.url, redirect_uri).await?;
        let answer = client.open(CallbackParams::parse(&answer).map_err(Error::from)?, now()).await?;
        self.tell("answer_is_signed", answer.is_signed());
        let callback = login.pending.accept(&answer, now())?;
        Ok(client.redeem(callback, now()).await?)
    }

    async fn refresh(&mut self, client: &Client, tokens: &Tokens, asks: bool) -> Result<(), Ended> {
        let missing = || Failure::new(Exit::Refused, "the provider gave no refresh token");
        let grant = tokens.grant().ok_or_else(missing)?;
        let refreshed = client.refresh(&grant, now()).await?;
        self.tell("refresh_token_is_new", refreshed.is_rotated());
        // Kept in memory alone: the run ends here.
        let refreshed = refreshed.release();
        if asks {
            client.userinfo(&refreshed.access_token, grant.subject(), now()).await?;
        }
        Ok(())
    }

    async fn sign_out(
        &mut self,
        client: &Client,
        browser: &mut Headless,
        tokens: &Tokens,
        redirect_uri: &str,
    ) -> Result<(), Ended> {
        let out = client.end_session().with_id_token(&tokens.id_token).with_redirect_uri(redirect_uri);
        let out = out.begin(&mut SystemRandom)?;
        let back = browser.come_back(&out.url, redirect_uri).await?;
        if let Some(pending) = out.pending {
            pending.accept(&CallbackParams::parse(&back).map_err(Error::from)?)?;
        }
        Ok(())
    }
}

fn client(provider: Provider, arguments: &Arguments) -> Result<Client, Failure> {
    let client =
        Client::new(provider, variable("CLIENT_ID")?).with_algorithms(arguments.algorithms.iter().copied());
    let secret = env::var("CLIENT_SECRET").ok().filter(|text| !text.is_empty()).map(Secret::new);
    let method = arguments.client_auth.unwrap_or(match secret {
        Some(_) => ClientAuth::ClientSecretBasic,
        None => ClientAuth::None,
    });
    let secret = || secret.clone().ok_or_else(|| Failure::new(Exit::Usage, "CLIENT_SECRET is not set"));
    let signer = match method {
        ClientAuth::None => return Ok(client),
        ClientAuth::ClientSecretBasic => {
            return Ok(client.with_authentication(Authentication::SecretBasic(secret()?)));
        }
        ClientAuth::ClientSecretPost => {
            return Ok(client.with_authentication(Authentication::SecretPost(secret()?)));
        }
        ClientAuth::ClientSecretJwt => AwsLcSigner::from_secret(&secret()?),
        ClientAuth::PrivateKeyJwt => {
            let path = arguments.client_key.clone().unwrap_or_default();
            let pem = Secret::new(
                fs::read_to_string(path)
                    .map_err(|error| Failure::of(Exit::Usage, &error).while_doing("--client-key"))?,
            );
            // By its own kind of key: nothing else says which it is.
            let signer = AwsLcSigner::from_pem(Algorithm::Es256, &pem)
                .or_else(|_| AwsLcSigner::from_pem(Algorithm::Rs256, &pem));
            match &arguments.client_key_id {
                Some(name) => signer.map(|signer| signer.with_key_id(name)),
                None => signer,
            }
        }
    };
    let unusable = |_| Failure::new(Exit::Usage, "the client's key cannot be used");
    let assertions = Assertions::new(signer.map_err(unusable)?, &mut SystemRandom);
    Ok(client.with_assertions(assertions.map_err(|error| Failure::of(Exit::Refused, &error))?))
}

fn transport() -> Result<SharedTransport, Failure> {
    let mut builder = ReqwestTransport::builder();
    if let Some(path) = env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()) {
        let unreadable = |error: io::Error| Failure::of(Exit::Usage, &error).while_doing("SSL_CERT_FILE");
        builder = builder.with_root_certificates(&fs::read(path).map_err(unreadable)?);
    }
    Ok(Arc::new(builder.build().map_err(|error| Failure::of(Exit::Usage, &error))?))
}

fn browser(transport: SharedTransport) -> Headless {
    let browser = Headless::new(transport);
    match (env::var("SIGN_IN_NAME"), env::var("SIGN_IN_PASSWORD")) {
        (Ok(name), Ok(password)) => browser.with_person(name, password),
        _ => browser,
    }
}

fn variable(name: &str) -> Result<String, Failure> {
    let found = env::var(name).ok().filter(|text| !text.is_empty());
    found.ok_or_else(|| Failure::new(Exit::Usage, format!("{name} is not set")))
}

fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::{Arguments, Step};
    use clap::Parser as _;

    #[test]
    fn steps_are_a_list() {
        let arguments = Arguments::try_parse_from(["conformance-rp", "--steps", "discovery,keys"]).unwrap();
        assert_eq!(arguments.steps, [Step::Discovery, Step::Keys]);
        assert!(Arguments::try_parse_from(["conformance-rp", "--client-auth", "private_key_jwt"]).is_err());
        assert_eq!(arguments.logins, 1);
    }
}
