//! Random values: ids, codes and tokens in the alphabets that the servers use.

use aws_lc_rs::rand;

use crate::encoding;

/// Random bytes from the system.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if rand::fill(&mut bytes).is_err() {
        // There is no honest way on: every token would be guessable, and no test would notice.
        std::process::abort();
    }
    bytes
}

/// Letters and digits.
pub(crate) fn base62(length: usize) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    (0..length)
        .map(|_| {
            let [high, low] = bytes::<2>();
            char::from(ALPHABET[usize::from(u16::from_be_bytes([high, low])) % ALPHABET.len()])
        })
        .collect()
}

/// Capital letters, as a person can type them.
pub(crate) fn letters(length: usize) -> String {
    (0..length).map(|_| char::from(b'A' + bytes::<1>()[0] % 26)).collect()
}

/// Base64url of this many random bytes.
pub(crate) fn base64url<const N: usize>() -> String {
    encoding::base64url(&bytes::<N>())
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(digits: usize) -> String {
    (0..digits).map(|_| char::from(b"0123456789abcdef"[usize::from(bytes::<1>()[0] & 15)])).collect()
}

/// Thirty-two random digits in the shape of a UUID, as Vault makes its ids.
pub(crate) fn uuid() -> String {
    [8, 4, 4, 4, 12].map(hex).join("-")
}
