//! A relying party on the provider double, as the conformance suite wants one: discovery, login, tokens, userinfo.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use latchkey_oidc_flow::{
    Authorization, Authorize, CallbackParams, Client, Error, Provider, ResponseMode, Tokens, UserInfo,
};
use latchkey_testbed::{Clock, Misbehaviour, Served, Side, Span, User, World, serve};
use latchkey_tests::{Browser, MemoryTransport};
use latchkey_transport::{
    Error as TransportError, Reply, Request, ReqwestTransport, SharedTransport, SystemRandom, Transport,
};
use serde_json::json;
use url::form_urlencoded;

use super::Verdict;

/// Where the browser is sent back to; nobody listens there.
pub(super) const REDIRECT_URI: &str = "http://localhost:8250/oidc/callback";

const PASSWORD: &str = "password-of-the-reader";

/// Where logout tokens would be posted; the tests hand them over themselves.
const LOGOUT_URI: &str = "http://localhost:9/logout";

/// The paths that end a login well or badly.
const TOKEN: &str = "/protocol/openid-connect/token";
const USERINFO: &str = "/protocol/openid-connect/userinfo";

/// How the relying party and the double talk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Net {
    Memory,
    Loopback,
}

impl fmt::Display for Net {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if *self == Self::Memory { "memory" } else { "loopback" })
    }
}

/// A provider that serves the suite's odd keys, and a relying party of it.
pub(super) struct Bench {
    world: World,
    _served: Option<Served>,
    transport: Arc<Watched>,
    response_mode: Option<ResponseMode>,
}

/// What a relying party has in the end.
pub(super) struct Done {
    pub(super) tokens: Tokens,
    pub(super) info: UserInfo,
}

impl Bench {
    pub(super) async fn new(net: Net, response_mode: Option<ResponseMode>) -> anyhow::Result<Self> {
        let reader = User::new("reader", PASSWORD)
            .with_roles(&["reader"])
            .with_claim("phone_number", json!("+1 555 0100"))
            .with_claim("address", json!({"country": "US"}));
        let builder = World::builder().users([reader]).backchannel_logout_uri(LOGOUT_URI);
        let (world, served, inner): (_, _, SharedTransport) = match net {
            Net::Memory => {
                let world = builder.build();
                (world.clone(), None, Arc::new(MemoryTransport::new(world)))
            }
            Net::Loopback => {
                let served = serve(builder.clock(Clock::system()), 0, 0).await?;
                (served.world().clone(), Some(served), Arc::new(ReqwestTransport::new()?))
            }
        };
        world.provider().misbehave(Misbehaviour::OddKeys, Span::Always);
        let transport = Arc::new(Watched { inner, queries: Mutex::default() });
        Ok(Self { world, _served: served, transport, response_mode })
    }

    pub(super) fn world(&self) -> &World {
        &self.world
    }

    pub(super) fn transport(&self) -> SharedTransport {
        self.transport.clone()
    }

    pub(super) fn now(&self) -> SystemTime {
        self.world.clock().now()
    }

    pub(super) fn misbehave(&self, how: Misbehaviour) {
        self.world.provider().misbehave(how, Span::Always);
    }

    pub(super) async fn client(&self) -> Result<Client, Error> {
        let provider = Provider::discover(&self.world.issuer(), self.transport()).await?;
        Ok(Client::new(provider, "vault-oidc").with_secret("s3cr3t"))
    }

    /// A login as this plan wants it: the answer by query or form.
    pub(super) fn authorize(&self, client: &Client) -> Authorize {
        let login = client.authorize(REDIRECT_URI).with_scope("email profile");
        match self.response_mode {
            Some(mode) => login.with_response_mode(mode),
            None => login,
        }
    }

    pub(super) fn begin(&self, authorize: Authorize) -> Authorization {
        authorize.begin(&mut SystemRandom, self.now()).unwrap()
    }

    /// Signs in in a browser, and returns what it brought back.
    pub(super) async fn answer(
        &self,
        login: &Authorization,
        browser: &Browser,
    ) -> Result<CallbackParams, Error> {
        let mut page = browser.open(&login.url, Some(REDIRECT_URI)).await.unwrap();
        if page.html.contains("name=\"password\"") {
            let fields = [("username", "reader"), ("password", PASSWORD)];
            page = browser.submit(&page, &fields, Some(REDIRECT_URI)).await.unwrap();
        }
        if page.address.as_str().starts_with(REDIRECT_URI) {
            return Ok(CallbackParams::from_address(page.address.as_str())?);
        }
        let fields = page.hidden_fields();
        Ok(CallbackParams::parse(
            &form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish(),
        )?)
    }

    pub(super) fn browser(&self) -> Browser {
        // Not the watched one: a browser carries codes in its addresses.
        Browser::new(self.transport.inner.clone())
    }

    /// Signs in and gets the tokens.
    pub(super) async fn login(&self, client: &Client, authorize: Authorize) -> Result<Tokens, Error> {
        let login = self.begin(authorize);
        let answer = self.answer(&login, &self.browser()).await?;
        let answer = client.open(answer, self.now()).await?;
        client.redeem(login.pending.accept(&answer, self.now())?, self.now()).await
    }

    pub(super) async fn userinfo(&self, client: &Client, tokens: &Tokens) -> Result<UserInfo, Error> {
        client.userinfo(&tokens.access_token, tokens.id_token.subject(), self.now()).await
    }

    /// The whole way, with this client.
    pub(super) async fn run_with(&self, client: &Client) -> Result<Done, Error> {
        let tokens = self.login(client, self.authorize(client)).await?;
        let info = self.userinfo(client, &tokens).await?;
        assert_eq!(info.subject(), tokens.id_token.subject());
        Ok(Done { tokens, info })
    }

    /// The whole way, from discovery to userinfo.
    pub(super) async fn run(&self) -> Result<Done, Error> {
        let client = self.client().await?;
        self.run_with(&client).await
    }

    /// How often one of the provider's paths was asked.
    pub(super) fn asked(&self, end: &str) -> usize {
        let requests = self.world.requests();
        requests.iter().filter(|one| one.side == Side::Provider && one.path.ends_with(end)).count()
    }

    /// The run ends with this code, and userinfo is not asked, which is how the suite sees a refusal.
    pub(super) fn refused(&self, error: &Error, code: &'static str) -> Verdict {
        assert_eq!(error.code(), code, "{error:?}");
        assert_eq!(self.asked(USERINFO), 0, "userinfo was asked all the same");
        self.transport.saw_no_secret_in_an_address();
        Verdict::Refused(code)
    }

    /// The run went to its end.
    pub(super) fn accepted(&self) -> Verdict {
        assert!(self.asked(USERINFO) > 0, "userinfo was not asked");
        self.transport.saw_no_secret_in_an_address();
        Verdict::Accepted
    }

    pub(super) async fn refuses(self, lie: Misbehaviour, code: &'static str) -> Verdict {
        self.misbehave(lie);
        let Err(error) = self.run().await else { panic!("{lie:?} was accepted") };
        self.refused(&error, code)
    }

    pub(super) async fn aborts(self, lie: Misbehaviour, code: &'static str) -> Verdict {
        self.misbehave(lie);
        let Err(error) = self.run().await else { panic!("{lie:?} was accepted") };
        self.aborted(&error, code)
    }

    /// The run ends with this code before the code is redeemed.
    pub(super) fn aborted(&self, error: &Error, code: &'static str) -> Verdict {
        assert_eq!(self.asked(TOKEN), 0, "the code was redeemed all the same");
        self.refused(error, code)
    }

    pub(super) async fn accepts(self, oddity: Misbehaviour) -> Verdict {
        self.misbehave(oddity);
        let outcome = self.run().await;
        assert!(outcome.is_ok(), "{:?}", outcome.err());
        self.accepted()
    }
}

/// A transport that remembers which addresses had a query: the relying party's own calls never put anything there.
struct Watched {
    inner: SharedTransport,
    queries: Mutex<Vec<String>>,
}

impl Watched {
    /// "Access tokens MUST NOT be in the query", and nothing else of ours is.
    fn saw_no_secret_in_an_address(&self) {
        let queries = self.queries.lock().unwrap();
        assert!(queries.is_empty(), "a query at {queries:?}");
    }
}

#[async_trait::async_trait]
impl Transport for Watched {
    async fn send(&self, request: Request) -> Result<Reply, TransportError> {
        if request.check(false)?.query().is_some() {
            self.queries.lock().unwrap().push(request.path().to_owned());
        }
        self.inner.send(request).await
    }
}
