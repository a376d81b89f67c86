//! Whether a text is JSON ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)), however deep.

/// What may come next.
#[derive(Clone, Copy, PartialEq)]
enum Next {
    Value,
    /// A value, or the end of a list that is empty.
    FirstItem,
    /// A name, or the end of an object that is empty.
    FirstName,
    Name,
    /// A comma or the end.
    AfterValue,
}

/// Returns the text if it is JSON as a whole.
pub(super) fn check(text: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(text).ok()?;
    let mut rest = text.as_bytes();
    // What is open: an object or a list.
    let mut open = Vec::new();
    let mut next = Next::Value;
    loop {
        rest = rest.trim_ascii_start();
        // White space of other kinds is none of JSON's.
        let Some((first, after)) = rest.split_first() else {
            return (open.is_empty() && next == Next::AfterValue && !has_form_feed(text)).then_some(text);
        };
        if next == Next::AfterValue {
            rest = after;
            next = match (first, open.last()?) {
                (b',', b'{') => Next::Name,
                (b',', b'[') => Next::Value,
                (b'}', b'{') | (b']', b'[') => {
                    open.pop();
                    Next::AfterValue
                }
                _ => return None,
            };
            continue;
        }
        match (first, next) {
            (b'}', Next::FirstName) | (b']', Next::FirstItem) => {
                open.pop();
                rest = after;
                next = Next::AfterValue;
            }
            (b'"', Next::FirstName | Next::Name) => {
                rest = string(after)?.trim_ascii_start().strip_prefix(b":")?;
                next = Next::Value;
            }
            (_, Next::FirstName | Next::Name) => return None,
            (b'{' | b'[', _) => {
                open.push(*first);
                rest = after;
                next = if *first == b'{' { Next::FirstName } else { Next::FirstItem };
            }
            _ => {
                rest = match first {
                    b'"' => string(after)?,
                    b't' => rest.strip_prefix(b"true")?,
                    b'f' => rest.strip_prefix(b"false")?,
                    b'n' => rest.strip_prefix(b"null")?,
                    _ => number(rest)?,
                };
                next = Next::AfterValue;
            }
        }
    }
}

/// `trim_ascii_start` takes a form feed for white space. Inside a string it would have been refused as well.
fn has_form_feed(text: &str) -> bool {
    text.contains('\u{c}')
}

/// Returns what comes after a string whose first quote is gone.
fn string(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let (first, after) = rest.split_first()?;
        rest = after;
        match first {
            b'"' => return Some(rest),
            b'\\' => {
                let (escape, after) = rest.split_first()?;
                rest = match escape {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => after,
                    b'u' => {
                        let (digits, after) = after.split_at_checked(4)?;
                        digits.iter().all(u8::is_ascii_hexdigit).then_some(after)?
                    }
                    _ => return None,
                };
            }
            ..0x20 => return None,
            _ => {}
        }
    }
}

/// Returns what comes after a number.
fn number(rest: &[u8]) -> Option<&[u8]> {
    let rest = rest.strip_prefix(b"-").unwrap_or(rest);
    let mut rest = match rest.strip_prefix(b"0") {
        Some(rest) => rest,
        None => digits(rest)?,
    };
    if let Some(fraction) = rest.strip_prefix(b".") {
        rest = digits(fraction)?;
    }
    if let [b'e' | b'E', power @ ..] = rest {
        let [b'+' | b'-', power @ ..] = power else { return digits(power) };
        rest = digits(power)?;
    }
    Some(rest)
}

/// Returns what comes after one digit or more.
fn digits(rest: &[u8]) -> Option<&[u8]> {
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 { None } else { rest.get(count..) }
}
