//! What was asked for of a secret, as bytes.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use clap::ValueEnum;
use latchkey_vault_client::{Data, Error};
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};

/// What a field is to be decoded from.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Encoding {
    /// Base64 (RFC 4648, 4), with or without padding and line breaks
    Base64,
}

/// Returns what was asked for of a secret, in memory that is wiped.
pub fn content(
    data: &Data,
    field: Option<&str>,
    decode: Option<Encoding>,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let Some(field) = field else { return Ok(Zeroizing::new(data.json().as_bytes().to_vec())) };
    match decode {
        None => {
            // A number, a list or an object is printed as JSON.
            let text = data.text(field).or_else(|error| match error {
                Error::FieldNotText { .. } => data.raw(field),
                error => Err(error),
            })?;
            Ok(Zeroizing::new(text.as_bytes().to_vec()))
        }
        Some(Encoding::Base64) => {
            let padding =
                GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
            let text: Zeroizing<String> =
                Zeroizing::new(data.text(field)?.split_ascii_whitespace().collect());
            // What the decoder says quotes the value.
            let bytes = GeneralPurpose::new(&STANDARD, padding).decode(text.as_bytes()).map_err(|_| {
                Failure::new(Exit::Refused, format!("the field {field:?} is not base64"))
                    .with_hint("leave --decode away to have it as it is")
            })?;
            Ok(Zeroizing::new(bytes))
        }
    }
}

#[cfg(test)]
mod tests {
    use latchkey_transport::{Exchange, Reply};
    use latchkey_vault_client::kv2::ReadSecret;
    use latchkey_vault_client::{Data, Read};

    use super::{Encoding, content};
    use crate::{Exit, Failure};

    const SECRET: &str = r#"{"data":{"data":{"text":"a \"b\"","port":12345678901234567890.50,"wrapped":"AAH/\nfw==","bare":"AAH/fw","other":"no!"},
        "metadata":{"version":1,"created_time":"2026-01-01T00:00:00Z"}}}"#;

    fn data() -> Data {
        match ReadSecret::new("secret", "test").unwrap().receive(Reply::new(200, SECRET)).unwrap() {
            Read::Found(secret) => secret.data().clone(),
            other => panic!("{other:?}"),
        }
    }

    fn read(field: &str, decode: Option<Encoding>) -> Result<Vec<u8>, Failure> {
        content(&data(), Some(field), decode).map(|bytes| bytes.to_vec())
    }

    #[test]
    fn a_text_comes_out_without_its_quotes_and_a_number_with_all_its_digits() {
        assert_eq!(read("text", None).unwrap(), br#"a "b""#);
        assert_eq!(read("port", None).unwrap(), b"12345678901234567890.50");
    }

    #[test]
    fn without_a_field_all_of_them_come_out_as_json() {
        let whole = content(&data(), None, None).unwrap();
        assert!(whole.starts_with(b"{\"text\"") && whole.ends_with(b"}"));
    }

    #[test]
    fn base64_may_be_wrapped_and_bare() {
        for field in ["wrapped", "bare"] {
            assert_eq!(read(field, Some(Encoding::Base64)).unwrap(), [0, 1, 255, 127], "{field}");
        }
    }

    #[test]
    fn what_is_not_base64_is_refused_without_being_quoted() {
        let failure = read("other", Some(Encoding::Base64)).unwrap_err();
        assert_eq!(failure.exit(), Exit::Refused);
        assert!(!format!("{failure:?}").contains("no!"));
    }

    #[test]
    fn a_missing_field_is_answered_with_those_that_exist() {
        let failure = read("nope", None).unwrap_err();
        for name in ["text", "port", "wrapped", "bare", "other"] {
            assert!(failure.message().contains(name), "{}", failure.message());
        }
    }
}
