//! Makes new inputs of known ones: the same ones for the same seed.

/// Numbers that look random, and are the same for the same seed (`SplitMix64`).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`, 0 where there is none.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % end).unwrap_or_default()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// What breaks parsers, besides bytes at random.
const NASTY: &[&[u8]] = &[
    b"",
    b"\0",
    b"\n",
    b"\r\n",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{}",
    b"[]",
    b"[[[[[[[[[[[[[[[[",
    b"{\"a\":",
    b"null",
    b"true",
    b"-1",
    b"0",
    b"1e400",
    b"18446744073709551615",
    b"18446744073709551616",
    b"-9223372036854775808",
    b"0.0000000000000000000000001",
    b"%2e%2e",
    b"%2F",
    b"%00",
    b"..",
    b"/",
    b"?",
    b"#",
    b"&",
    b"=",
    b";",
    b":",
    b",",
    b"\xff",
    b"\xc3",
    "ß".as_bytes(),
    "\u{202e}".as_bytes(),
    "\u{feff}".as_bytes(),
    "\u{1f511}".as_bytes(),
];

/// The longest input that is made: as long as a long reply of a server.
const LONGEST: usize = 16 * 1024;

/// Changes one input in one to eight places. `others` is where parts of other inputs come from.
pub(crate) fn mutate(input: &[u8], others: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=chance.below(8) {
        change(&mut bytes, others, chance);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn change(bytes: &mut Vec<u8>, others: &[Vec<u8>], chance: &mut Chance) {
    let at = chance.below(bytes.len() + 1);
    let end = (at + 1 + chance.below(16)).min(bytes.len());
    match chance.below(9) {
        0 => {
            let nasty = NASTY.get(chance.below(NASTY.len())).copied().unwrap_or_default();
            bytes.splice(at..at, nasty.iter().copied());
        }
        1 => {
            let nasty = NASTY.get(chance.below(NASTY.len())).copied().unwrap_or_default();
            bytes.splice(at.min(end)..end, nasty.iter().copied());
        }
        2 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << chance.below(8);
            }
        }
        3 => bytes.insert(at, chance.byte()),
        4 => drop(bytes.drain(at.min(end)..end)),
        5 => {
            let part: Vec<u8> = bytes.get(at..end).unwrap_or_default().to_vec();
            let part = part.repeat(1 + chance.below(64));
            bytes.splice(at..at, part);
        }
        6 => bytes.truncate(at),
        7 => {
            let other = others.get(chance.below(others.len())).map(Vec::as_slice).unwrap_or_default();
            let from = chance.below(other.len() + 1);
            let to = (from + 1 + chance.below(64)).min(other.len());
            bytes.splice(at..at, other.get(from..to).unwrap_or_default().iter().copied());
        }
        // A digit more or less is what takes a number over a limit.
        _ => match bytes.iter().skip(at).position(u8::is_ascii_digit) {
            Some(digit) => {
                bytes.insert(at + digit, b'0' + u8::try_from(chance.below(10)).unwrap_or_default());
            }
            None => bytes.push(chance.byte()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_makes_the_same_inputs_and_another_others() {
        let inputs = |seed| {
            let mut chance = Chance::new(seed);
            (0..50).map(|_| mutate(b"{\"a\":1}", &[b"other".to_vec()], &mut chance)).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
    }

    #[test]
    fn nothing_is_too_little_to_be_changed_and_nothing_grows_for_ever() {
        let mut chance = Chance::new(1);
        let mut input = Vec::new();
        for _ in 0..20_000 {
            input = mutate(&input, &[], &mut chance);
            assert!(input.len() <= LONGEST);
        }
    }
}
