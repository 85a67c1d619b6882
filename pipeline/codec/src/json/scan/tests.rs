//! The quick way against [`Tree::find`]: where it says yes, the tokens are the same; ordinary records never need the other.

use super::*;
use crate::json::tree::is_too_deep;
use proptest::prelude::*;

fn tree() -> Tree {
    let mut tree = Tree::new();
    for path in ["a", "b", "o", "o/a", "o/p/b", "é", "n/x"] {
        tree.node(&path.split('/').map(str::to_owned).collect::<Vec<_>>());
    }
    tree
}

/// Checks one body; true if it went the quick way.
fn agree(tree: &Tree, body: &str) -> bool {
    let (mut quick, mut slow) = (Vec::new(), Vec::new());
    let is_quick = find(tree, body, &mut quick).is_some();
    if is_quick {
        assert!(body.starts_with('{') && !is_too_deep(body), "{body}");
        tree.find(body, &mut slow).unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(quick, slow, "{body}");
    }
    is_quick
}

#[test]
fn ordinary_records_go_the_quick_way() {
    for body in [
        "{}",
        " {} "[1..].trim_start(),
        r#"{"a": 1,"b":-2.50 , "o":{"a":"x","p":{"b":null}},"é":true}"#,
        r#"{"b":[],"a":[1, {"a":[false]}, "]"],"other":{"a":9,"q":[{}]} }"#,
        r#"{"a":"a longer text, of more than eight bytes: é😀","n":{"x":0.0}}"#,
        "{\n\t\"a\" :\r\n0}\n",
        r#"{"other":1,"other":2,"x":{"y":1,"y":2}}"#,
    ] {
        assert!(agree(&tree(), body), "{body}");
    }
}

#[test]
fn the_rest_is_left_to_the_slow_way() {
    let deep = |levels: usize| format!("{{\"x\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(agree(&tree(), &deep(63)));
    let deeper = deep(64);
    for body in [
        "",
        "1",
        "{",
        "}",
        "{}}",
        "{} x",
        "{,}",
        "[]",
        " {}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1 \"b\":2}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":01}",
        "{\"a\":-}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":1e5}",
        "{\"a\":nul}",
        "{\"a\":nullx}",
        "{\"a\":truefalse}",
        "{\"a\":\"\\n\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"x}",
        "{\"a\\u0062\":1}",
        "{\"a\":1,\"a\":2}",
        "{\"o\":null}",
        "{\"o\":1}",
        "{\"o\":[]}",
        "{\"o\":{},\"o\":{}}",
        "{\"a\":[1,]}",
        "{\"a\":[1 2]}",
        "{\"x\":{\"a\":1,}}",
        "{\"a\":NaN}",
        "{\"a\":+1}",
        "\0",
        "{\"a\":\"\u{1f}\"}",
        &deeper,
    ] {
        assert!(!agree(&tree(), body), "{body:?}");
    }
}

#[test]
fn names_that_are_written_otherwise_are_not_compared() {
    for name in ["a\"b", "a\\b", "a\nb", "\u{7f}"] {
        let mut tree = Tree::new();
        tree.node(&[name.to_owned()]);
        assert!(!agree(&tree, "{}"), "{name:?}");
    }
}

#[test]
fn the_end_of_plain_text_is_found_at_every_place() {
    for len in 0..40 {
        for (end, odd) in (0..len).zip([b'"', b'\\', 0, 0x1f, b'\n'].iter().cycle()) {
            for filler in [b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xa2, 0xdc, 0xff] {
                let mut text = vec![filler; len];
                assert_eq!(plain(&text), len);
                text[end] = *odd;
                assert_eq!(plain(&text), end);
                text[len - 1] = b'"';
                assert_eq!(plain(&text), end);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn both_ways_find_the_same(body in super::super::reference::body(), at in any::<prop::sample::Index>(), byte in "[{}\\[\\]\",:\\\\ \n0-9a-en.-]") {
        let mut tree = Tree::new();
        for path in ["i", "d", "t", "o/i", "p/q/t", "p/i", "at"] {
            tree.node(&path.split('/').map(str::to_owned).collect::<Vec<_>>());
        }
        agree(&tree, &body);
        let mut damaged: Vec<char> = body.chars().collect();
        let at = at.index(damaged.len());
        damaged[at] = byte.chars().next().unwrap();
        agree(&tree, &damaged.into_iter().collect::<String>());
    }
}
