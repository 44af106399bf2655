//! What a tape says of a message is what the parser says of it.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// JSON as producers write it: blanks or none, keys in any order, escapes, numbers in every form, empty things.
pub(crate) fn any_json(depth: u32) -> BoxedStrategy<String> {
    let character = prop_oneof![
        6 => "[a-z =:/@.%&?]".prop_map(|c| c),
        1 => Just("é€😀".to_owned()),
        1 => prop::sample::select(vec![r#"\""#, r"\\", r"\/", r"\n", r"\b", r"\u0041", r"\u00e9", r"\ud83d\ude00", r"\u0000"])
            .prop_map(str::to_owned),
    ];
    let text = prop::collection::vec(character, 0..6).prop_map(|c| format!("\"{}\"", c.concat()));
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "null",
            "true",
            "false",
            "0",
            "-0",
            "-0.0",
            "1",
            "7.0",
            "-12.50",
            "1e3",
            "2E-2",
            "123456789012345678901"
        ])
        .prop_map(str::to_owned),
        "-?[1-9][0-9]{0,6}",
        text,
        prop::sample::select(vec![
            "\"2026-01-10T23:15:51.5801239+01:00\"",
            "\"2026-01-10\"",
            "\" 12 \"",
            "\"007\"",
            "\"\""
        ])
        .prop_map(str::to_owned),
        prop::sample::select(vec![
            "\"https://u:p@h/f?sig=aB%2F&x=1\"",
            "\"Bearer abc\"",
            "\"b@c\"",
            "\"token=x,key=y\""
        ])
        .prop_map(str::to_owned),
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    let blank = prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\n\t")];
    let list = (prop::collection::vec(any_json(depth - 1), 0..4), blank.clone())
        .prop_map(|(elements, blank)| format!("[{blank}{}{blank}]", elements.join(&format!("{blank},{blank}"))));
    // A key of one letter is often there twice.
    let key = prop_oneof![6 => "[a-h]{1,2}", 2 => "prefix[a-e]{0,6}", 1 => Just("é".to_owned()), 1 => Just(r"\u0062".to_owned())];
    let object = (prop::collection::vec((key, any_json(depth - 1)), 0..7), blank, any::<bool>()).prop_map(
        |(mut members, blank, sorted)| {
            if sorted {
                members.sort();
                members.dedup_by(|a, b| a.0 == b.0);
            }
            let members: Vec<String> =
                members.into_iter().map(|(key, value)| format!("\"{key}\"{blank}:{blank}{value}")).collect();
            format!("{{{blank}{}{blank}}}", members.join(&format!("{blank},{blank}")))
        },
    );
    prop_oneof![1 => leaf, 2 => list, 4 => object].boxed()
}

/// What is read here means what the parser says.
fn agrees(text: &str) -> bool {
    let Some(tape) = Tape::read(text) else { return false };
    let parsed = json::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    let canonical = json::to_text(&parsed);
    assert_eq!(tape.root().to_text(), canonical, "{text}");
    assert_eq!(json::to_text(&tape.root().to_json()), canonical, "{text}");
    // Every part on its own.
    for number in 0..tape.marks.len() {
        let part = tape.part(number);
        let own = part.to_text();
        assert_eq!(json::to_text(&part.make()), own, "part {number} of {text}");
        assert_eq!(part.canonical().unwrap_or(&own), own);
    }
    true
}

#[test]
fn what_is_broken_is_not_read() {
    for text in [
        "",
        " ",
        "{",
        "[",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{\"a\":}",
        "NaN",
        "[NaN]",
        "01",
        "1.",
        "+1",
        "-",
        "'a'",
        "\"a",
        "tru",
        "truex",
        "1 2",
        "{} x",
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\u{1}\"",
        "[\"\t\"]",
        "{a:1}",
        "{1:1}",
        "{\"a\":1]",
        "\0",
        "1\0",
        "[1\u{b}]",
        "\u{feff}1",
        "\"\\",
        "\"\\u00",
        "1e",
        "1.5.2",
        "2-3",
    ] {
        assert!(Tape::read(text).is_none(), "{text:?}");
    }
}

#[test]
fn what_is_whole_is_read() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(agrees(&nested(json::MAX_DEPTH)) && Tape::read(&nested(json::MAX_DEPTH + 1)).is_none());
    for text in [
        "null",
        " true ",
        "0",
        "-0",
        "\"\"",
        "[]",
        "{}",
        "[[],{}]",
        r#"{"a":1,"b":[1,2,{"c":null}]}"#,
        r#"{"b":1,"a":2}"#,
        r#"{"":1,"a":2}"#,
        r#"{"a":1,"ab":2,"abcdefgh":3,"abcdefghi":4}"#,
        r#"{"abcdefghi":4,"abcdefgh":3}"#,
        r#"{"a":"x\ny"}"#,
        r#"{"b":"é","a":{"d":1,"c":"\u0041"}}"#,
        "{\"a\":\"\u{7f}\"}",
    ] {
        assert!(agrees(text), "{text}");
    }
    for text in [r#"{"a":1,"a":2}"#, r#"{"b":1,"a":1,"b":2}"#, r#"{"\u0061":1,"b":2}"#] {
        assert!(Tape::read(text).is_none(), "{text}");
    }
}

proptest! {
    #[test]
    fn any_message_means_the_same(text in any_json(3)) {
        let simple = !text.contains(r"\u0062") && {
            // Without a key twice: then the parser's text has as many colons that end keys.
            let parsed = json::parse(text.as_bytes()).unwrap();
            json::to_text(&parsed).matches("\":").count() == text.replace([' ', '\n', '\t'], "").matches("\":").count()
        };
        prop_assert!(agrees(&text) || !simple, "{} was not read", text);
    }

    #[test]
    fn what_is_changed_is_refused_or_means_the_same(text in any_json(2), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte & 0x7f;
        if let Ok(text) = String::from_utf8(bytes) {
            agrees(&text);
        }
    }
}
