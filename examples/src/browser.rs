//! The person's browser.

use std::thread;

use url::Url;
use webbrowser::{Browser, BrowserOptions};

use crate::terminal::say;

/// Shows the address where something is to be done: on standard error always, and in the browser if `open`. `$BROWSER`
/// chooses which one.
///
/// That no browser can be opened (over ssh, in a container) is no failure: the address can be opened anywhere.
pub fn show(what: &str, address: &Url, open: bool) {
    say(format_args!("{what}\n\n  {address}\n"));
    let address = address.clone();
    if open {
        // A browser that runs in the terminal is waited for; the callback must be answered meanwhile.
        thread::spawn(move || {
            // What a browser writes must not mix with the secret on our standard output.
            let mut options = BrowserOptions::new();
            options.with_suppress_output(true);
            if webbrowser::open_browser_with_options(Browser::Default, address.as_str(), &options).is_err() {
                say(format_args!("No browser could be opened here: open the address yourself."));
            }
        });
    }
}
