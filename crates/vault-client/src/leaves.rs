//! The texts inside a JSON body, to leave them out of what a server says about it.

use std::fmt;

use latchkey_transport::{Body, Secret, json};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::Error;

impl Error {
    /// Leaves out every text that a body holds as a value: servers quote what they cannot use.
    pub(crate) fn cleaned_of_body(self, body: &Body) -> Self {
        if self.refusal().is_none() {
            return self;
        }
        // Opened to be found in what the server said.
        let leaves = json::from_slice::<Leaves>(body.expose_secret()).unwrap_or_default();
        leaves.0.iter().fold(self, Self::cleaned_of)
    }
}

/// Texts of fewer signs are parts of any sentence.
const SHORTEST: usize = 4;

#[derive(Default)]
struct Leaves(Vec<Secret>);

impl<'de> Deserialize<'de> for Leaves {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Collect)
    }
}

struct Collect;

impl<'de> Visitor<'de> for Collect {
    type Value = Leaves;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Leaves, E> {
        Ok(Leaves(if text.len() < SHORTEST { Vec::new() } else { vec![Secret::new(text)] }))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Leaves, E> {
        Ok(Leaves::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Leaves, E> {
        Ok(Leaves::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Leaves, E> {
        Ok(Leaves::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Leaves, E> {
        Ok(Leaves::default())
    }

    fn visit_unit<E>(self) -> Result<Leaves, E> {
        Ok(Leaves::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Leaves, A::Error> {
        let mut leaves = Leaves::default();
        while let Some(item) = items.next_element::<Leaves>()? {
            leaves.0.extend(item.0);
        }
        Ok(leaves)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Leaves, A::Error> {
        let mut leaves = Leaves::default();
        while let Some((_, value)) = fields.next_entry::<IgnoredAny, Leaves>()? {
            leaves.0.extend(value.0);
        }
        Ok(leaves)
    }
}

#[cfg(test)]
mod tests {
    use latchkey_transport::Reply;

    use super::*;
    use crate::reply::refused;

    #[test]
    fn a_value_that_the_server_quotes_is_left_out() {
        let body =
            Body::from(r#"{"data":{"a":["hunter22"],"b":{"c":"pass word"}},"n":123456,"d":"no","e":null}"#);
        let said = r#"{"errors":["got value: 'hunter22', 'pass word'; no 123456"]}"#;
        let error = refused(&Reply::new(400, said), &[]).cleaned_of_body(&body);
        assert_eq!(
            error.to_string(),
            "the server refused the request (status 400: got value: '…', '…'; no 123456)"
        );
    }
}
