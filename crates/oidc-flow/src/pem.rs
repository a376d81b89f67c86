//! Private keys as people keep them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use latchkey_transport::Secret;
use zeroize::Zeroizing;

/// A private key out of a PEM file ([RFC 7468](https://www.rfc-editor.org/rfc/rfc7468)).
pub(crate) struct PrivateKey {
    der: Zeroizing<Vec<u8>>,
    is_wrapped: bool,
}

impl PrivateKey {
    /// Returns the key with its kind around it ([RFC 5208, 5](https://www.rfc-editor.org/rfc/rfc5208#section-5)).
    pub(crate) fn pkcs8(&self) -> Option<&[u8]> {
        self.is_wrapped.then_some(&*self.der)
    }

    /// Returns the key alone, as its own standard writes it (RFC 8017, A.1.2 for RSA).
    pub(crate) fn inner(&self) -> Option<&[u8]> {
        if !self.is_wrapped {
            return Some(&self.der);
        }
        // PrivateKeyInfo ::= SEQUENCE { version INTEGER, algorithm SEQUENCE, key OCTET STRING, … }
        let (sequence, _) = element(&self.der, 0x30)?;
        let (_, rest) = element(sequence, 0x02)?;
        let (_, rest) = element(rest, 0x30)?;
        element(rest, 0x04).map(|(key, _)| key)
    }
}

/// Reads the first private key of a PEM text. One that is protected by a pass phrase is none.
pub(crate) fn private_key(pem: &Secret) -> Option<PrivateKey> {
    // Opened to be read.
    let pem = pem.expose_secret();
    let labels = [("PRIVATE KEY", true), ("RSA PRIVATE KEY", false)];
    labels.into_iter().find_map(|(label, is_wrapped)| {
        let (_, after) = pem.split_once(&format!("-----BEGIN {label}-----"))?;
        let (text, _) = after.split_once(&format!("-----END {label}-----"))?;
        let mut compact = Zeroizing::new(String::with_capacity(text.len()));
        compact.extend(text.chars().filter(|sign| !sign.is_whitespace()));
        let der = Zeroizing::new(STANDARD.decode(compact.as_bytes()).ok()?);
        Some(PrivateKey { der, is_wrapped })
    })
}

/// Takes one element of that tag off, and returns its contents and what follows (X.690, 8.1).
pub(crate) fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 | 0x82 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    (found == tag).then_some((contents, rest))
}

#[cfg(test)]
mod tests {
    use latchkey_transport::Secret;

    use super::{element, private_key};

    #[test]
    fn what_is_no_private_key_is_none() {
        for text in [
            "",
            "-----BEGIN PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        ] {
            assert!(private_key(&Secret::new(text)).is_none(), "{text}");
        }
    }

    #[test]
    fn a_key_is_taken_out_of_its_wrapping() {
        // 30 0a 02 01 00 30 00 04 03 "key"
        let pem = "x\n-----BEGIN PRIVATE KEY-----\r\nMAoCAQAw\r\nAAQDa2V5\r\n-----END PRIVATE KEY-----\n";
        let key = private_key(&Secret::new(pem)).unwrap();
        assert_eq!(key.inner(), Some(&b"key"[..]));
        assert_eq!(key.pkcs8().unwrap().len(), 12);
    }

    #[test]
    fn an_element_that_lies_about_its_length_is_none() {
        assert_eq!(element(&[4, 0x81, 2, 1, 2, 3], 4), Some((&[1, 2][..], &[3][..])));
        for der in [&[][..], &[4], &[4, 2, 1], &[4, 0x82, 1], &[4, 0x84, 0, 0, 0, 1, 1], &[4, 0x80], &[5, 0]]
        {
            assert_eq!(element(der, 4), None, "{der:?}");
        }
    }
}
