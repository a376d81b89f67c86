//! A browser without a screen: opens the address it is given, signs in, and follows every redirect to the end.
//!
//! `BROWSER=headless-browser login …` is a sign-in without a person. The name and the password come from
//! `LATCHKEY_USERNAME` and `LATCHKEY_PASSWORD`. It prints the host and the status of the page where it ended, no more:
//! the address may hold a code.

use std::env;
use std::sync::Arc;

use anyhow::{Context, bail};
use latchkey_tests::Browser;
use latchkey_transport::ReqwestTransport;
use url::Url;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let address = env::args().nth(1).context("usage: headless-browser ADDRESS")?;
    let name = env::var("LATCHKEY_USERNAME").context("LATCHKEY_USERNAME is not set")?;
    let password = env::var("LATCHKEY_PASSWORD").context("LATCHKEY_PASSWORD is not set")?;
    let browser = Browser::new(Arc::new(ReqwestTransport::new()?));
    let page = browser.sign_in(&Url::parse(&address)?, &name, &password, None).await?;
    let host = page.address.host_str().unwrap_or_default();
    eprintln!("headless-browser: {} on {host}, port {:?}", page.status, page.address.port());
    if page.html.contains("name=\"password\"") {
        bail!("the provider did not accept the name and the password");
    }
    Ok(())
}
