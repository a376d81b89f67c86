use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::*;

/// What a browser makes of a text.
fn checked<'de, T: Deserialize<'de>>(text: &'de [u8]) -> Result<T, Problem> {
    checked::read(syntax::check(text).ok_or(Problem::Syntax)?, PhantomData)
}

/// Fails where a browser reads something else than everybody else.
fn compare<'de, T: Deserialize<'de> + PartialEq + Debug>(text: &'de [u8]) {
    let shown = String::from_utf8_lossy(text);
    // Of two things that are wrong with a text, each may tell the other one.
    assert_eq!(checked::<T>(text).ok(), from_slice::<T>(text).ok(), "{shown}");
}

#[derive(Debug, Deserialize, PartialEq)]
enum Kind {
    Unit,
    Tuple(u8, u8),
    New(String),
    Struct { a: i64 },
}

#[derive(Debug, Default, Deserialize, PartialEq)]
struct All<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
    #[serde(default)]
    borrowed: &'a str,
    #[serde(default)]
    flag: bool,
    #[serde(default)]
    number: u64,
    #[serde(default)]
    signed: i32,
    #[serde(default)]
    float: f64,
    #[serde(default)]
    list: Option<Vec<String>>,
    #[serde(default)]
    map: BTreeMap<u64, Option<bool>>,
    #[serde(default)]
    names: BTreeMap<String, Value>,
    #[serde(default, rename = "kinds")]
    kinds: Vec<Kind>,
    #[serde(default)]
    pair: Option<(u16, ())>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum Either {
    List(Vec<String>),
    Text(String),
    Nothing(()),
}

const TEXTS: &[&str] = &[
    "null",
    "true",
    "false",
    " 0 ",
    "-0",
    "-1",
    "18446744073709551615",
    "1.5e3",
    "1e999",
    "-0.0",
    r#""""#,
    r#""a\"b\\""#,
    r#""\u0041\ud83d\ude00\n\/\b\f\r\t""#,
    r#""\ud800""#,
    r#""\ud800\u0041""#,
    r#""\udc00""#,
    r#""\\\\""#,
    "[]",
    "[ ]",
    r#"["a" , "b"]"#,
    "[1,[2,[3]],{}]",
    "{}",
    r#"{"text":"x"}"#,
    r#"{"text":"x","text":"y"}"#,
    r#"{"t\u0065xt":"\u0078","unknown":{"a":["}","\""]},"borrowed":"y","flag":true,"number":7,"signed":-7,"float":1}"#,
    r#"{"text":"x","borrowed":"a\u0062"}"#,
    r#"{"text":"x","list":null,"map":{"1":true,"22":null},"names":{"a":[1.5,"b",{"c":null}]}}"#,
    r#"{"text":"x","map":{"a":true}}"#,
    r#"{"text":"x","map":{"-1":true}}"#,
    r#"{"text":"x","kinds":["Unit",{"Tuple":[1,2]},{"New":"n"},{"Struct":{"a":-5}},{"Unit":null}]}"#,
    r#"{"text":"x","kinds":["Nobody"]}"#,
    r#"{"text":"x","kinds":[{"Tuple":[1,2,3]}]}"#,
    r#"{"text":"x","pair":[1,null]}"#,
    r#"{"text":"x","pair":[1,null,2]}"#,
    r#"{"text":"x","pair":[70000,null]}"#,
    r#"{"text":"x","list":["a",1]}"#,
    r#"{"text":"x","number":-1}"#,
    r#"{"text":"x","number":1.0}"#,
    r#"{"text":"x","flag":0}"#,
    "{\"text\":\"\u{e4}\u{1f600}\",\n\t\"flag\" : false }",
    // No JSON at all.
    "",
    "{",
    "nul",
    "{\"text\":\"x\"} x",
    "[1,]",
    "{\"a\":1,}",
    "01",
    "\"\n\"",
    "\u{c}1",
    "\"\u{c}\"",
    "1.",
    ".5",
    "+1",
    "1e",
    "1e+",
    "1e+2",
    "-",
    "\"\\x\"",
    "\"\\u12g4\"",
    "[1 2]",
    "{\"a\" 1}",
    "{1:2}",
    "[}",
    "{]",
    "\u{a0}1",
];

fn compare_all(text: &[u8]) {
    compare::<Value>(text);
    compare::<Any>(text);
    assert_eq!(from_slice::<Any>(text).map(|any| any.0).ok(), from_slice::<Value>(text).ok());
    if !text.trim_ascii_start().starts_with(b"[") {
        // A list is no struct in a browser.
        compare::<All<'_>>(text);
    }
    compare::<Either>(text);
    compare::<String>(text);
    compare::<Vec<Value>>(text);
    compare::<Option<u64>>(text);
    compare::<[bool; 0]>(text);
    compare::<f64>(text);
}

#[test]
fn a_browser_reads_what_everybody_reads() {
    for text in TEXTS {
        compare_all(text.as_bytes());
    }
}

#[test]
fn a_browser_reads_broken_texts_as_everybody_does() {
    // The last digit of a very long number is anybody's guess, also `serde_json`'s.
    for text in TEXTS.iter().filter(|text| !text.starts_with('1')) {
        for at in 0..text.len() {
            compare_all(&text.as_bytes()[..at]);
            for byte in [0, b'"', b'{', b']', b'\\', b',', b'1', 0xff] {
                let mut broken = text.as_bytes().to_vec();
                broken[at] = byte;
                if std::str::from_utf8(&broken).is_err() {
                    // RFC 8259, 8.1. `serde_json` does not look at it in what nobody wants.
                    assert_eq!(checked::<Value>(&broken), Err(Problem::Syntax));
                } else {
                    compare_all(&broken);
                }
            }
        }
    }
}

#[test]
fn a_text_is_json_for_both_or_for_none() {
    for text in TEXTS {
        for at in 0..=text.len() {
            for insert in [
                "", " ", "\t", "\u{c}", "0", "e5", ".", "-", "\"", "\\", "{", "[", "}", "]", ",", ":",
                "null", "\u{1}",
            ] {
                let Some((before, after)) = text.split_at_checked(at) else { continue };
                let text = format!("{before}{insert}{after}");
                let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
                assert_eq!(syntax::check(text.as_bytes()).is_some(), is_json, "{text}");
            }
        }
    }
}

#[test]
fn a_fraction_is_the_nearest_or_stands_beside_it() {
    for text in [
        "0.1",
        "-2.5e-3",
        "1795400823.25",
        "1e22",
        "123456789012345e-22",
        "0.000001",
        "1e-999",
        "-0.0",
        "0e999",
    ] {
        assert_eq!(checked::<f64>(text.as_bytes()), from_str::<f64>(text), "{text}");
    }
    for text in [
        "1.7976931348623157e308",
        "2.2250738585072014e-308",
        "3.141592653589793238462643383279502884197169399e77",
    ] {
        let (ours, theirs) = (checked::<f64>(text.as_bytes()).unwrap(), from_str::<f64>(text).unwrap());
        assert!((ours / theirs - 1.0).abs() < 1e-14, "{text} {ours}");
    }
    assert_eq!(checked::<i64>(b"-9223372036854775808"), Ok(i64::MIN));
    assert_eq!(checked::<f64>(b"1e999"), Err(Problem::Syntax));
    assert_eq!(checked::<f64>(b"1e99999999999"), Err(Problem::Syntax));
}

#[test]
fn a_part_is_kept_as_it_stands() {
    #[derive(Deserialize)]
    struct Parts<'a> {
        #[serde(borrow)]
        first: &'a RawValue,
        #[serde(borrow, default)]
        second: Option<&'a RawValue>,
    }
    let text = br#"{"first": { "a" : [1.50 , "}"] } ,"second":null}"#;
    let parts: Parts<'_> = checked(text).unwrap();
    assert_eq!((parts.first.get(), parts.second.is_none()), (r#"{ "a" : [1.50 , "}"] }"#, true));
    let owned: Box<RawValue> = checked(b" [1, 2] ").unwrap();
    assert_eq!(owned.get(), "[1, 2]");
    let names: BTreeMap<String, Box<RawValue>> = checked(br#"{"a":"\u0041"}"#).unwrap();
    assert_eq!(names["a"].get(), r#""\u0041""#);
}

#[test]
fn an_object_is_read_member_by_member() {
    struct Names;
    impl<'de> Visitor<'de> for Names {
        type Value = Vec<&'de str>;
        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("an object")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut names = Vec::new();
            while let Some((name, _)) = map.next_entry::<&RawValue, serde::de::IgnoredAny>()? {
                names.push(name.get());
            }
            Ok(names)
        }
    }
    let text = r#"{"a":1,"\u0062":[2]}"#;
    assert_eq!(object(text, Names).unwrap(), [r#""a""#, r#""\u0062""#]);
    assert_eq!(object("[]", Names), Err(Problem::Kind));
}

#[test]
fn nesting_has_an_end_for_everybody() {
    fn nested<T: DeserializeOwned>(depth: usize) -> (Option<Problem>, Option<Problem>) {
        let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        (from_str::<T>(&text).err(), checked::<T>(text.as_bytes()).err())
    }
    assert_eq!(nested::<Value>(127), (None, None));
    assert_eq!(nested::<Value>(128), (Some(Problem::Syntax), Some(Problem::Syntax)));
    assert_eq!(nested::<Value>(50_000), (Some(Problem::Syntax), Some(Problem::Syntax)));
}
