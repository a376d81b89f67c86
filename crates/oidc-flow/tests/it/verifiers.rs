//! The engines that check signatures: the contract suite, and the vectors of Wycheproof.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_oidc_flow::keys::{KeySet, PublicKey};
use latchkey_oidc_flow::suite::{self, Broken, Case, Ruling};
use latchkey_oidc_flow::{Algorithm, AwsLc, IdToken, JsonWebToken, SignatureCheck, Verifier, VerifierError};
use serde_json::{Value, json};
use wycheproof_ng_kdf_jose::json_web::{TestName, TestSet};

fn engines() -> [(&'static str, Box<dyn Verifier>); 2] {
    [("aws-lc-rs", Box::new(AwsLc::default())), ("jsonwebtoken", Box::new(JsonWebToken))]
}

#[tokio::test]
async fn every_engine_keeps_the_contract() {
    for (name, engine) in engines() {
        for case in suite::cases() {
            let is_known = name != "jsonwebtoken" || case.algorithm() != Algorithm::Es512;
            let expected = if is_known { Ruling::Right } else { Ruling::Unsupported };
            assert_eq!(case.run(&*engine).await, Ok(expected), "{name}: {}", case.name());
        }
    }
}

#[test]
fn the_suite_holds_good_and_bad_signatures_of_every_algorithm() {
    let cases = suite::cases();
    assert_eq!(cases.len(), 13 * 13 + 7 * 5 + 21);
    let of = |algorithm: Algorithm, is_good: bool| {
        cases.iter().filter(|case| case.algorithm() == algorithm && case.is_good() == is_good).count()
    };
    for name in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"] {
        let algorithm = Algorithm::from_name(name).unwrap();
        assert!(of(algorithm, true) >= 1 && of(algorithm, false) >= 12, "{name}");
    }
    let mut names: Vec<_> = cases.iter().map(Case::name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "two cases of one name");
}

/// An engine with a fault.
struct Faulty(fn(&SignatureCheck<'_>) -> Result<bool, VerifierError>);

#[async_trait::async_trait]
impl Verifier for Faulty {
    async fn verify(&self, check: &SignatureCheck<'_>) -> Result<bool, VerifierError> {
        (self.0)(check)
    }
}

/// What a sound engine says, where there is no other way.
fn sound(check: &SignatureCheck<'_>) -> Result<bool, VerifierError> {
    use std::task::{Context, Poll, Waker};
    let engine = AwsLc::default();
    let mut ruling = engine.verify(check);
    match ruling.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ruling) => ruling,
        Poll::Pending => panic!("a native engine does not wait"),
    }
}

#[tokio::test]
async fn the_suite_sees_engines_that_break_the_contract() {
    type Fault = (&'static str, fn(&SignatureCheck<'_>) -> Result<bool, VerifierError>, Broken);
    let faults: [Fault; 8] = [
        ("takes everything", |_| Ok(true), Broken::Accepted),
        ("refuses everything", |_| Ok(false), Broken::Refused),
        ("takes bad keys", |check| sound(check).or(Ok(true)), Broken::Accepted),
        (
            "knows nothing",
            |_| Err(VerifierError::UnsupportedAlgorithm),
            Broken::Failed(VerifierError::UnsupportedAlgorithm),
        ),
        ("is away", |_| Err(VerifierError::Unavailable), Broken::Failed(VerifierError::Unavailable)),
        (
            "takes what is left out for good",
            |check| if check.signature.is_empty() { Ok(true) } else { sound(check) },
            Broken::Accepted,
        ),
        (
            "reads no more than it needs",
            |check| {
                let length = match check.key.public_key() {
                    PublicKey::Rsa { modulus, .. } => modulus.len(),
                    PublicKey::Ec { x, .. } => 2 * x.len(),
                    _ => 64,
                };
                let signature = check.signature.get(..length).unwrap_or(check.signature);
                sound(&SignatureCheck::new(check.algorithm, check.key, check.signing_input, signature))
            },
            Broken::Accepted,
        ),
        (
            "takes any padding",
            |check| {
                let others = ["RS256", "PS256"].map(|name| Algorithm::from_name(name).unwrap());
                if !others.contains(&check.algorithm) {
                    return sound(check);
                }
                let with = |algorithm| {
                    sound(&SignatureCheck::new(algorithm, check.key, check.signing_input, check.signature))
                };
                Ok(others.into_iter().any(|algorithm| with(algorithm) == Ok(true)))
            },
            Broken::Accepted,
        ),
    ];
    for (fault, engine, expected) in faults {
        let engine = Faulty(engine);
        let mut broken = Vec::new();
        for case in suite::cases() {
            broken.extend(case.run(&engine).await.err());
        }
        assert!(broken.contains(&expected), "{fault}: {broken:?}");
    }
    let lacks = Faulty(|check| match check.algorithm {
        Algorithm::EdDsa => Err(VerifierError::UnsupportedAlgorithm),
        _ => sound(check),
    });
    for case in suite::cases() {
        let expected = if case.algorithm() == Algorithm::EdDsa { Ruling::Unsupported } else { Ruling::Right };
        assert_eq!(case.run(&lacks).await, Ok(expected), "{}", case.name());
    }
}

// Wycheproof.

/// Checks a compact serialization with a key set as a token is checked, claims aside: what the payload holds is none.
async fn check(jws: &str, keys: &Value, engine: &dyn Verifier) -> bool {
    let parts: Vec<_> = jws.split('.').collect();
    let [header, payload, signature] = parts[..] else { return false };
    // The payloads are no claims: the header and the form are read as a token's nevertheless.
    let Ok(token) = IdToken::parse(format!("{header}.e30.{signature}")) else { return false };
    let Some(algorithm) = Algorithm::from_name(token.algorithm()) else { return false };
    let Ok(keys) = KeySet::parse(keys.to_string().as_bytes()) else { return false };
    let Ok(candidates) = keys.candidates(algorithm, token.key_id()) else { return false };
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let input = format!("{header}.{payload}");
    for key in candidates {
        let check = SignatureCheck::new(algorithm, key, input.as_bytes(), &signature);
        if engine.verify(&check).await == Ok(true) {
            return true;
        }
    }
    false
}

/// What we are stricter about than Wycheproof, or less strict, and why.
fn is_different(name: TestName, id: usize) -> Option<&'static str> {
    match (name, id) {
        (TestName::JsonWebKey, 7) => {
            Some("a key of a broken generator (ROCA) is told from others by nobody here")
        }
        (TestName::JsonWebSignature, 347 | 351) => Some("a key that is marked ES521, which is no algorithm"),
        (TestName::JsonWebSignature, 346 | 350) => Some("PS384 with a key that is marked PS256"),
        _ => None,
    }
}

#[tokio::test]
async fn every_engine_rules_as_wycheproof_does() {
    for name in [TestName::JsonWebSignature, TestName::JsonWebKey] {
        let set = TestSet::load(name).unwrap();
        let (mut taken, mut refused, mut symmetric, mut wrong) = (0, 0, 0, Vec::new());
        for group in &set.test_groups {
            // Symmetric keys are never a provider's.
            let Some(public) = &group.public_key else {
                symmetric += group.tests.len();
                continue;
            };
            let keys = if public.get("keys").is_some() { public.clone() } else { json!({"keys": [public]}) };
            for test in &group.tests {
                if is_different(name, test.tc_id).is_some() {
                    continue;
                }
                let Some(jws) = test.jws.as_ref().and_then(Value::as_str) else { continue };
                let must = !test.result.must_fail();
                for (engine_name, engine) in engines() {
                    let ruling = check(jws, &keys, &*engine).await;
                    if ruling != must {
                        wrong.push(format!("{engine_name} {} {}: {jws}", test.tc_id, test.comment));
                    }
                }
                if must { taken += 1 } else { refused += 1 }
            }
        }
        println!("{name:?}: {taken} taken, {refused} refused, {symmetric} with symmetric keys");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(taken >= 1 && refused >= 5);
    }
}
