//! The [`Verifier`] contract as cases that any implementation can run.
//!
//! A test of your own engine is a loop:
//!
//! ```
//! # #[cfg(all(feature = "aws-lc-rs", not(target_arch = "wasm32")))] {
//! use latchkey_oidc_flow::{AwsLc, suite};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let engine = AwsLc::default();
//! for case in suite::cases() {
//!     case.run(&engine).await.map_err(|broken| format!("{}: {broken}", case.name()))?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Every good signature must be taken, and every bad one refused: with `false`, or, where the key itself is bad, with
//! [`VerifierError::UnusableKey`]. An engine may lack an algorithm, and says so with
//! [`VerifierError::UnsupportedAlgorithm`]; `RS256` every provider has, so every engine must.

mod vectors;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::keys::{Jwk, KeySet};
use crate::{Algorithm, SignatureCheck, Verifier, VerifierError};
use vectors::{GOOD, Good, HOSTILE, INPUT};

/// One signature, and whether it is good ([RFC 7515, 5.2](https://www.rfc-editor.org/rfc/rfc7515#section-5.2)).
#[derive(Clone, Debug)]
pub struct Case {
    name: String,
    algorithm: Algorithm,
    key: Jwk,
    input: Vec<u8>,
    signature: Vec<u8>,
    is_good: bool,
}

/// What an engine that keeps the contract makes of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ruling {
    /// It ruled as it must.
    Right,
    /// It does not know the algorithm.
    Unsupported,
}

/// How an engine broke the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// It took a bad signature: anybody can sign in as anybody.
    #[error("a bad signature was taken")]
    Accepted,
    /// It refused a good one.
    #[error("a good signature was refused")]
    Refused,
    /// It gave no ruling.
    #[error("no ruling was given")]
    Failed(#[source] VerifierError),
}

impl Case {
    /// Returns what the case is about, with `_` for blanks.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns whether the signature is good.
    pub fn is_good(&self) -> bool {
        self.is_good
    }

    /// Runs the case.
    ///
    /// # Errors
    ///
    /// [`Broken`] where the engine does not keep the contract.
    pub async fn run(&self, verifier: &dyn Verifier) -> Result<Ruling, Broken> {
        let check = SignatureCheck::new(self.algorithm, &self.key, &self.input, &self.signature);
        match (verifier.verify(&check).await, self.is_good) {
            (Ok(true), true) | (Ok(false) | Err(VerifierError::UnusableKey), false) => Ok(Ruling::Right),
            (Ok(true), false) => Err(Broken::Accepted),
            (Ok(false), true) => Err(Broken::Refused),
            (Err(VerifierError::UnsupportedAlgorithm), _) if self.algorithm != Algorithm::Rs256 => {
                Ok(Ruling::Unsupported)
            }
            (Err(error), _) => Err(Broken::Failed(error)),
        }
    }
}

/// Returns all cases: the examples of RFC 7515 and RFC 8037, one good signature of each algorithm, and what can be done
/// to them.
pub fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = GOOD.iter().filter_map(Case::good).flat_map(variations).collect();
    let hostile = HOSTILE.iter().filter_map(|hostile| {
        let (algorithm, key) = parts(hostile.algorithm, hostile.key)?;
        let signature = URL_SAFE_NO_PAD.decode(hostile.signature).ok()?;
        let (name, input) = (hostile.name.to_owned(), INPUT.as_bytes().to_vec());
        Some(Case { name, algorithm, key, input, signature, is_good: false })
    });
    cases.extend(hostile);
    cases
}

impl Case {
    fn good(good: &Good) -> Option<(Self, Jwk)> {
        let (algorithm, key) = parts(good.algorithm, good.key)?;
        let (_, other_key) = parts(good.algorithm, good.other_key)?;
        let signature = URL_SAFE_NO_PAD.decode(good.signature).ok()?;
        let (name, input) = (good.name.to_owned(), good.input.as_bytes().to_vec());
        Some((Self { name, algorithm, key, input, signature, is_good: true }, other_key))
    }

    fn bad(&self, what: &str, change: impl FnOnce(&mut Self)) -> Self {
        let mut bad = Self { name: format!("{}_{what}", self.name), is_good: false, ..self.clone() };
        change(&mut bad);
        bad
    }
}

fn parts(algorithm: &str, key: &str) -> Option<(Algorithm, Jwk)> {
    let keys = KeySet::parse(format!(r#"{{"keys":[{key}]}}"#).as_bytes()).ok()?;
    Some((Algorithm::from_name(algorithm)?, keys.keys().first()?.clone()))
}

/// A good signature, and everything that makes it a bad one.
fn variations((good, other_key): (Case, Jwk)) -> Vec<Case> {
    let flip = |bytes: &mut Vec<u8>, at: usize| {
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1;
        }
    };
    let last = good.signature.len().saturating_sub(1);
    let mut cases = vec![
        good.bad("over_other_text", |case| flip(&mut case.input, 0)),
        good.bad("over_longer_text", |case| case.input.push(b'x')),
        good.bad("over_shorter_text", |case| case.input.truncate(case.input.len().saturating_sub(1))),
        good.bad("over_nothing", |case| case.input.clear()),
        good.bad("with_a_changed_beginning", |case| flip(&mut case.signature, 0)),
        good.bad("with_a_changed_middle", |case| flip(&mut case.signature, last / 2)),
        good.bad("with_a_changed_end", |case| flip(&mut case.signature, last)),
        good.bad("cut_off", |case| case.signature.truncate(last)),
        good.bad("with_more_behind", |case| case.signature.push(0)),
        good.bad("twice", |case| case.signature.extend_from_within(..)),
        good.bad("left_out", |case| case.signature.clear()),
        good.bad("of_another_key", |case| case.key = other_key),
    ];
    let others = RSA_ALGORITHMS
        .into_iter()
        .filter(|other| RSA_ALGORITHMS.contains(&good.algorithm) && *other != good.algorithm);
    cases.extend(
        others.map(|other| good.bad(&format!("taken_for_{}", other.name()), |case| case.algorithm = other)),
    );
    cases.insert(0, good);
    cases
}

const RSA_ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];
