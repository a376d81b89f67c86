//! Discovery documents and key sets of the usual size, beside a JSON parser that builds all of them and checks nothing: no
//! address is read as one, no key decoded.

use std::hint::black_box;
use std::time::Instant;

use latchkey_oidc_flow::Metadata;
use latchkey_oidc_flow::keys::KeySet;
use serde_json::Value;

use crate::report::{Goal, Measure, median};

/// As Keycloak 26 and Google write them: members, lengths and layout; the keys were made up.
const DOCUMENTS: [(&str, &str, &str, &str); 2] = [
    (
        "oidc-flow/documents_of_keycloak",
        "https://id.example/realms/team",
        include_str!("../data/keycloak-metadata.json"),
        include_str!("../data/keycloak-keys.json"),
    ),
    (
        "oidc-flow/documents_of_google",
        "https://accounts.google.com",
        include_str!("../data/google-metadata.json"),
        include_str!("../data/google-keys.json"),
    ),
];

const READS: u32 = 2_000;
const ROUNDS: usize = 7;

/// Compares reading metadata and keys.
pub(crate) fn measure() -> anyhow::Result<Vec<Measure>> {
    let mut measures = Vec::new();
    for (name, issuer, metadata, keys) in DOCUMENTS {
        let (mut ours, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let our_time = timed(|| {
                black_box(Metadata::parse(issuer, metadata.as_bytes())?);
                black_box(KeySet::parse(keys.as_bytes())?);
                Ok(())
            })?;
            let bare_time = timed(|| {
                black_box(serde_json::from_str::<Value>(metadata)?);
                black_box(serde_json::from_str::<Value>(keys)?);
                Ok(())
            })?;
            ours.push(our_time);
            bare.push(bare_time);
            ratios.push(our_time / bare_time);
        }
        let figures = (median(ours), median(bare));
        measures.push(Measure::with_ratio(name, "µs", figures, median(ratios), Goal::RatioAtMost(2.5)));
    }
    Ok(measures)
}

fn timed(mut call: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let start = Instant::now();
    for _ in 0..READS {
        call()?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(READS))
}
