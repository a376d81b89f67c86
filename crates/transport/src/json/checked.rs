//! A reader of texts that were found to be JSON ([`super::syntax`]): small, since a browser downloads it and all that it is used for.
//!
//! It reads what `serde_json` reads, in the same way, but for what no reply needs: an array is no struct, bytes are text, a byte that
//! is not UTF-8 is refused also in what nobody wants, and what is wrong is not told.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, StringDeserializer};
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Expected, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::Problem;

/// As deep as `serde_json` goes.
const DEEPEST: u8 = 127;

/// By this name `serde_json` asks for a value as it stands. A test notices when it has another one.
const RAW: &str = "$serde_json::private::RawValue";

/// Reads a whole value in a text that has been checked.
pub(super) fn read<'de, S: DeserializeSeed<'de>>(text: &'de str, seed: S) -> Result<S::Value, Problem> {
    seed.deserialize(&mut Reader { rest: text, depth: 0 })
}

/// Every message is thrown away, and with it the code that would have written it.
impl de::Error for Problem {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Kind
    }

    fn invalid_type(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self::Kind
    }

    fn invalid_value(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self::Kind
    }

    fn invalid_length(_: usize, _: &dyn Expected) -> Self {
        Self::Kind
    }

    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Self::Kind
    }

    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Self::Kind
    }

    fn missing_field(_: &'static str) -> Self {
        Self::Kind
    }

    fn duplicate_field(_: &'static str) -> Self {
        Self::Kind
    }
}

/// What is left of a text.
struct Reader<'de> {
    rest: &'de str,
    depth: u8,
}

/// A number as `serde_json` tells it: by the smallest type that holds it.
enum Number {
    Positive(u64),
    Negative(i64),
    Fraction(f64),
}

impl Number {
    fn parse(text: &str) -> Result<Self, Problem> {
        if let Ok(number) = text.parse() {
            return Ok(Self::Positive(number));
        }
        match text.parse() {
            Ok(number) if number != 0 => Ok(Self::Negative(number)),
            _ => {
                fraction(text).filter(|number| number.is_finite()).map(Self::Fraction).ok_or(Problem::Syntax)
            }
        }
    }

    fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self {
            Self::Positive(number) => visitor.visit_u64(number),
            Self::Negative(number) => visitor.visit_i64(number),
            Self::Fraction(number) => visitor.visit_f64(number),
        }
    }
}

impl<'de> Reader<'de> {
    /// Returns the first sign of what comes next.
    fn peek(&mut self) -> Result<u8, Problem> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.as_bytes().first().copied().ok_or(Problem::Syntax)
    }

    /// Steps over as many bytes and returns them.
    fn take(&mut self, length: usize) -> Result<&'de str, Problem> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Problem::Syntax)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Steps over a sign if it comes next.
    fn skip(&mut self, sign: u8) -> Result<bool, Problem> {
        let is_next = self.peek()? == sign;
        if is_next {
            self.take(1)?;
        }
        Ok(is_next)
    }

    fn expect(&mut self, sign: u8) -> Result<(), Problem> {
        if self.skip(sign)? { Ok(()) } else { Err(Problem::Kind) }
    }

    /// Steps over a string and returns what stands between its quotes.
    fn quoted(&mut self) -> Result<&'de str, Problem> {
        self.expect(b'"')?;
        let length = length_of_string(self.rest.as_bytes());
        let inner = self.take(length)?;
        self.take(1)?;
        Ok(inner)
    }

    fn string(&mut self) -> Result<Cow<'de, str>, Problem> {
        let inner = self.quoted()?;
        if !inner.contains('\\') {
            return Ok(Cow::Borrowed(inner));
        }
        unescape(inner).map(Cow::Owned).ok_or(Problem::Syntax)
    }

    /// Steps over a number, a `true`, a `false` or a `null`.
    fn word(&mut self) -> Result<&'de str, Problem> {
        self.peek()?;
        let is_in_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let length = self.rest.bytes().take_while(is_in_word).count();
        self.take(length)
    }

    /// Steps over a value of any kind and depth and returns it as it stands.
    fn value(&mut self) -> Result<&'de str, Problem> {
        self.peek()?;
        let begin = self.rest;
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.quoted()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.take(1)?;
                    continue;
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    self.take(1)?;
                }
                b',' | b':' => {
                    self.take(1)?;
                    continue;
                }
                _ => {
                    self.word()?;
                }
            }
            if depth == 0 {
                let length = begin.len().saturating_sub(self.rest.len());
                return begin.get(..length).ok_or(Problem::Syntax);
            }
        }
    }

    fn deeper(&mut self, open: u8) -> Result<(), Problem> {
        self.expect(open)?;
        self.depth += 1;
        if self.depth > DEEPEST { Err(Problem::Syntax) } else { Ok(()) }
    }

    /// Steps over the end of an object or a list: whoever reads it has to read it whole.
    fn shallower(&mut self, close: u8) -> Result<(), Problem> {
        self.depth -= 1;
        self.expect(close)
    }

    /// Returns whether another item comes before the end.
    fn has_next(&mut self, close: u8, is_first: &mut bool) -> Result<bool, Problem> {
        if self.peek()? == close {
            return Ok(false);
        }
        if !std::mem::take(is_first) {
            self.expect(b',')?;
        }
        Ok(true)
    }
}

/// Returns the nearest number with a fraction; of one with more than sixteen digits and a power of ten, perhaps one beside it. The
/// standard library is always right, by tables of ten kilobytes.
fn fraction(text: &str) -> Option<f64> {
    const LARGEST_EXACT_POWER: i32 = 22;
    let (number, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let mut power: i32 = power.parse().unwrap_or(if power.starts_with('-') { -100_000 } else { 100_000 });
    power = power.clamp(-100_000, 100_000);
    let (mut digits, mut is_fraction) = (0_u128, false);
    for sign in number.trim_start_matches('-').bytes() {
        let room = digits.checked_mul(10);
        match (sign, room) {
            (b'.', _) => is_fraction = true,
            (b'0'..=b'9', Some(room)) if room < u128::MAX - 9 => {
                digits = room + u128::from(sign - b'0');
                power -= i32::from(is_fraction);
            }
            (b'0'..=b'9', _) => power += i32::from(!is_fraction),
            _ => return None,
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "rounded to the nearest")]
    let mut value = digits as f64;
    while power != 0 && value != 0.0 && value.is_finite() {
        let step = power.clamp(-LARGEST_EXACT_POWER, LARGEST_EXACT_POWER);
        let factor = (0..step.abs()).fold(1.0, |product, _| product * 10.0);
        value = if step < 0 { value / factor } else { value * factor };
        power -= step;
    }
    Some(if number.starts_with('-') { -value } else { value })
}

/// Returns where the quote is that ends a string.
fn length_of_string(text: &[u8]) -> usize {
    let mut is_escaped = false;
    let end = text.iter().position(|byte| match byte {
        b'\\' => {
            is_escaped = !is_escaped;
            false
        }
        b'"' if !is_escaped => true,
        _ => {
            is_escaped = false;
            false
        }
    });
    end.unwrap_or(text.len())
}

/// Returns the text of a string with escapes (RFC 8259, 7), or `None` where it is not Unicode.
fn unescape(inner: &str) -> Option<String> {
    // It only gets shorter, so this memory never moves and leaves no copy behind.
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        let escape = *after.as_bytes().first()?;
        rest = after.get(1..)?;
        text.push(match escape {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = hex(&mut rest)?;
                if (0xd800..0xdc00).contains(&first) {
                    rest = rest.strip_prefix("\\u")?;
                    let low = hex(&mut rest)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                    char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + low)?
                } else {
                    char::from_u32(first)?
                }
            }
            other => char::from(other),
        });
    }
    text.push_str(rest);
    Some(text)
}

fn hex(rest: &mut &str) -> Option<u32> {
    let (digits, after) = rest.split_at_checked(4)?;
    *rest = after;
    u32::from_str_radix(digits, 16).ok()
}

fn visit_text<'de, V: Visitor<'de>>(text: Cow<'de, str>, visitor: V) -> Result<V::Value, Problem> {
    match text {
        Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
        Cow::Owned(text) => visitor.visit_string(text),
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.peek()? {
            b'{' => self.deserialize_map(visitor),
            b'[' => self.deserialize_seq(visitor),
            b'"' => visit_text(self.string()?, visitor),
            b't' | b'f' => self.deserialize_bool(visitor),
            b'n' => self.deserialize_unit(visitor),
            _ => self.deserialize_u64(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.peek()? {
            b't' | b'f' => visitor.visit_bool(self.word()?.len() == 4),
            _ => Err(Problem::Kind),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.peek()? {
            b'-' | b'0'..=b'9' => Number::parse(self.word()?)?.visit(visitor),
            _ => Err(Problem::Kind),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visit_text(self.string()?, visitor)
    }

    // Whoever asks for these two borrows nothing, and one way to the visitor is half the code of two.
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_string(self.string()?.into_owned())
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_str(&self.string()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        if self.peek()? == b'n' {
            self.word()?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        if self.peek()? != b'n' {
            return Err(Problem::Kind);
        }
        self.word()?;
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        if name == RAW {
            return visitor.visit_map(Raw(Some(self.value()?)));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deeper(b'[')?;
        let value = visitor.visit_seq(Items { reader: self, is_first: true })?;
        self.shallower(b']')?;
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deeper(b'{')?;
        let value = visitor.visit_map(Items { reader: self, is_first: true })?;
        self.shallower(b'}')?;
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        if self.peek()? == b'"' {
            return match self.string()? {
                Cow::Borrowed(name) => visitor.visit_enum(BorrowedStrDeserializer::new(name)),
                Cow::Owned(name) => visitor.visit_enum(StringDeserializer::new(name)),
            };
        }
        self.deeper(b'{')?;
        let value = visitor.visit_enum(Variant(self))?;
        self.shallower(b'}')?;
        Ok(value)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.value()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u128 f32 char bytes byte_buf unit_struct tuple_struct
    }
}

/// What is between two braces or brackets.
struct Items<'a, 'de> {
    reader: &'a mut Reader<'de>,
    is_first: bool,
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        if self.reader.has_next(b']', &mut self.is_first)? {
            seed.deserialize(&mut *self.reader).map(Some)
        } else {
            Ok(None)
        }
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        if self.reader.has_next(b'}', &mut self.is_first)? {
            seed.deserialize(Name(&mut *self.reader)).map(Some)
        } else {
            Ok(None)
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        self.reader.expect(b':')?;
        seed.deserialize(&mut *self.reader)
    }
}

/// The name of a member. Numbers are read out of it, where a map has numbers for names.
struct Name<'a, 'de>(&'a mut Reader<'de>);

impl<'de> Deserializer<'de> for Name<'_, 'de> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visit_text(self.0.string()?, visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_str(&self.0.string()?)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        Number::parse(self.0.quoted()?).map_err(|_| Problem::Kind)?.visit(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        if name == RAW {
            return visitor.visit_map(Raw(Some(self.0.value()?)));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i128 u8 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct ignored_any
    }
}

/// A value as it stands, handed over as `serde_json` wants it: an object with one member.
struct Raw<'de>(Option<&'de str>);

impl<'de> MapAccess<'de> for Raw<'de> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        if self.0.is_none() {
            return Ok(None);
        }
        seed.deserialize(BorrowedStrDeserializer::new(RAW)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let text = self.0.take().ok_or(Problem::Kind)?;
        seed.deserialize(BorrowedStrDeserializer::new(text))
    }
}

/// A variant with something in it: an object with one member.
struct Variant<'a, 'de>(&'a mut Reader<'de>);

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Problem;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Problem> {
        let name = seed.deserialize(Name(&mut *self.0))?;
        self.0.expect(b':')?;
        Ok((name, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Problem;

    fn unit_variant(self) -> Result<(), Problem> {
        de::Deserialize::deserialize(self.0)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Problem> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Problem> {
        self.0.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.0.deserialize_map(visitor)
    }
}
