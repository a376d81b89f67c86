//! The relying-party tests of the OpenID conformance suite, by their names, on the provider double.
//!
//! [`rows::ROWS`] is the table: what the provider does, and what the relying party must do. Each row is a test of its own,
//! in memory and over loopback. [`report`] writes `docs/conformance.md` from a run, and a test compares it with the one
//! that is committed.

mod bench;
mod report;
mod rows;
mod special;

use std::future::Future;
use std::pin::Pin;

use latchkey_oidc_flow::ResponseMode;
use latchkey_testbed::Misbehaviour;
use libtest_mimic::{Failed, Trial};

use self::bench::{Bench, Net};
use self::rows::ROWS;

/// A test plan of the suite.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Plan {
    /// Between `conformance::` and the test's id.
    key: &'static str,
    /// For people.
    title: &'static str,
    /// What every answer comes by.
    response_mode: Option<ResponseMode>,
    /// Which rows are its own.
    rows: Part,
}

/// A group of rows, which plans may share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Basic,
    Config,
    Refresh,
    Hybrid,
    Comprehensive,
    Dynamic,
    Logout,
    Fapi,
}

const PLANS: [Plan; 9] = [
    plan("basic", "Basic RP", Part::Basic),
    Plan {
        response_mode: Some(ResponseMode::FormPost),
        ..plan("form_post", "Form Post RP: the same, with the answer in a form", Part::Basic)
    },
    plan("config", "Config RP", Part::Config),
    plan("refresh", "Refresh token", Part::Refresh),
    plan("comprehensive", "Comprehensive", Part::Comprehensive),
    plan("hybrid", "From the hybrid and implicit plans", Part::Hybrid),
    plan("logout", "Logout and third-party initiated login", Part::Logout),
    plan("fapi2", "From the FAPI 2 security profile", Part::Fapi),
    plan("dynamic", "Dynamic RP", Part::Dynamic),
];

const fn plan(key: &'static str, title: &'static str, rows: Part) -> Plan {
    Plan { key, title, response_mode: None, rows }
}

/// One test of the suite.
struct Row {
    part: Part,
    /// Its name there.
    id: &'static str,
    /// What the relying party must do.
    must: &'static str,
    show: Show,
}

/// How a row is shown.
#[derive(Clone, Copy)]
enum Show {
    /// The provider misbehaves so, and the login ends with that code before userinfo is asked.
    Refuses(Misbehaviour, &'static str),
    /// The provider misbehaves so at the redirect, and the login ends with that code before the code is redeemed.
    Aborts(Misbehaviour, &'static str),
    /// The provider does so, and the login goes on to userinfo.
    Accepts(Misbehaviour),
    /// A story of its own. It panics where something unexpected happens, and tells what it saw.
    Runs(fn(Bench) -> Story),
    /// Not in this library, for that reason.
    Not(&'static str),
}

type Story = Pin<Box<dyn Future<Output = Verdict> + Send>>;

/// What the relying party did.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It went on to the end.
    Accepted,
    /// It ended with that code.
    Refused(&'static str),
    /// In words.
    Did(&'static str),
}

impl Row {
    async fn run(&self, bench: Bench) -> Verdict {
        match self.show {
            Show::Refuses(lie, code) => bench.refuses(lie, code).await,
            Show::Aborts(lie, code) => bench.aborts(lie, code).await,
            Show::Accepts(oddity) => bench.accepts(oddity).await,
            Show::Runs(story) => story(bench).await,
            Show::Not(why) => panic!("this row does not run: {why}"),
        }
    }

    fn runs(&self) -> bool {
        !matches!(self.show, Show::Not(_))
    }
}

impl Plan {
    fn rows(&self) -> impl Iterator<Item = &'static Row> {
        let part = self.rows;
        ROWS.iter().filter(move |row| row.part == part)
    }
}

/// The tests of this module. Rows that do not run are in the report with their reasons, and nowhere else.
pub fn trials() -> Vec<Trial> {
    let mut trials = vec![Trial::test("conformance::the_committed_table_is_that_of_this_run", || {
        block_on(report::compare())
    })];
    for net in [Net::Memory, Net::Loopback] {
        for plan in PLANS {
            for row in plan.rows().filter(|row| row.runs()) {
                let test = move || {
                    block_on(async {
                        row.run(Bench::new(net, plan.response_mode).await?).await;
                        Ok(())
                    })
                };
                let name = format!("conformance::{}::{}", plan.key, row.id);
                trials.push(Trial::test(name, test).with_kind(net.to_string()));
            }
        }
    }
    trials
}

fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> Result<T, Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    Ok(runtime.block_on(future).map_err(|error| error.to_string())?)
}
