//! Proof Key for Code Exchange, method S256 and no other.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_transport::{Random, RandomUnavailable, Secret};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// The method's name in requests and in a provider's metadata.
pub(crate) const METHOD: &str = "S256";

/// Returns 32 random octets as 43 signs of base64url.
///
/// RFC 7636, 4.1: "It is RECOMMENDED that the output of a suitable random number generator be used to create a
/// 32-octet sequence. The octet sequence is then base64url-encoded to produce a 43-octet URL safe string". State
/// and nonce are made alike: twice the 128 bits that nobody can guess, and one rule less to remember.
pub(crate) fn random_text(random: &mut impl Random) -> Result<Secret, RandomUnavailable> {
    let mut octets = Zeroizing::new([0_u8; 32]);
    random.fill(&mut *octets)?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(*octets)))
}

/// Returns the code challenge of a verifier ([RFC 7636, 4.2](https://www.rfc-editor.org/rfc/rfc7636#section-4.2)).
pub(crate) fn challenge(verifier: &Secret) -> String {
    // Opened to be hashed: the challenge is public, and nobody can turn it back.
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose_secret().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting;

    impl Random for Counting {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), RandomUnavailable> {
            for (byte, value) in bytes.iter_mut().zip(0..) {
                *byte = value;
            }
            Ok(())
        }
    }

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        let verifier = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_verifier_is_32_octets_as_43_signs() {
        let text = random_text(&mut Counting).unwrap();
        assert_eq!(text.expose_secret(), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
        assert_eq!(text.expose_secret().len(), 43);
    }
}
