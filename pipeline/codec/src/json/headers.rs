//! Headers of a record: the value of one, and all of them as the text of `_headers`.

use crate::record::Headers;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The text of no headers.
pub(super) const NONE: &str = "{}";

/// The last header called `name`: `None` without one, `Some(None)` if it is null.
pub(super) fn last<'a>(headers: Headers<'a>, name: &str) -> Option<Option<&'a [u8]>> {
    headers.iter().rev().find(|(header, _)| *header == name).map(|(_, value)| value)
}

/// All headers as one JSON object of text by name; bytes that are no UTF-8 are replaced, the last of a name counts.
pub(super) fn text(headers: Headers<'_>) -> Cow<'static, str> {
    if headers.is_empty() {
        return Cow::Borrowed(NONE);
    }
    let mut object = Map::new();
    for (name, value) in headers.iter() {
        let value = value.map_or(Value::Null, |bytes| String::from_utf8_lossy(bytes).into());
        object.insert(name.to_owned(), value);
    }
    Cow::Owned(Value::Object(object).to_string())
}

/// No less than the bytes of [`text`]: an escape takes at most six for one.
pub(super) fn most_bytes(headers: Headers<'_>) -> usize {
    let fields = headers.iter().map(|(name, value)| 8 + 6 * (name.len() + value.map_or(0, <[u8]>::len)));
    2 + fields.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Records;

    #[test]
    fn headers_are_one_object_by_name() {
        check(&[], "{}");
        check(&[("a", Some(b"1")), ("b", None)], r#"{"a":"1","b":null}"#);
        check(&[("a", Some(b"1")), ("b", Some(b"\"")), ("a", Some(b"2"))], r#"{"a":"2","b":"\""}"#);
        check(&[("raw", Some(b"\xffx"))], "{\"raw\":\"\u{fffd}x\"}");
        check(&[("nul", Some(b"\0\0\0\0\0\0\0\0"))], &format!("{{\"nul\":\"{}\"}}", "\\u0000".repeat(8)));
    }

    fn check(headers: &[(&str, Option<&'static [u8]>)], expect: &str) {
        let mut records = Records::default();
        records.push(0, 0, None, None);
        headers.iter().for_each(|(name, value)| records.push_header(name, *value));
        let headers = records.first().unwrap().headers;
        assert_eq!(text(headers), expect);
        assert!(expect.len() <= most_bytes(headers));
    }
}
