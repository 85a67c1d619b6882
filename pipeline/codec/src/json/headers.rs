//! Headers of a record: the value of one, and all of them as the text of `_headers`.

use bytes::Bytes;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Headers as a record has them.
type Headers = [(String, Option<Bytes>)];

/// The last header called `name`: `None` without one, `Some(None)` if it is null.
pub(super) fn last<'a>(headers: &'a Headers, name: &str) -> Option<Option<&'a [u8]>> {
    let (_, value) = headers.iter().rev().find(|(header, _)| header == name)?;
    Some(value.as_deref())
}

/// All headers as one JSON object of text by name; bytes that are no UTF-8 are replaced, the last of a name counts.
pub(super) fn text(headers: &Headers) -> Cow<'static, str> {
    if headers.is_empty() {
        return Cow::Borrowed("{}");
    }
    let mut object = Map::new();
    for (name, value) in headers {
        let value = value.as_ref().map_or(Value::Null, |bytes| String::from_utf8_lossy(bytes).into());
        object.insert(name.clone(), value);
    }
    Cow::Owned(Value::Object(object).to_string())
}

/// No less than the bytes of [`text`]: an escape takes at most six for one.
pub(super) fn most_bytes(headers: &Headers) -> usize {
    let fields = headers.iter().map(|(name, value)| 8 + 6 * (name.len() + value.as_ref().map_or(0, Bytes::len)));
    2 + fields.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_one_object_by_name() {
        check(&[], "{}");
        check(&[("a", Some(b"1")), ("b", None)], r#"{"a":"1","b":null}"#);
        check(&[("a", Some(b"1")), ("b", Some(b"\"")), ("a", Some(b"2"))], r#"{"a":"2","b":"\""}"#);
        check(&[("raw", Some(b"\xffx"))], "{\"raw\":\"\u{fffd}x\"}");
        check(&[("nul", Some(b"\0\0\0\0\0\0\0\0"))], &format!("{{\"nul\":\"{}\"}}", "\\u0000".repeat(8)));
    }

    fn check(headers: &[(&str, Option<&'static [u8]>)], expect: &str) {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), value.map(Bytes::from_static))).collect();
        assert_eq!(text(&headers), expect);
        assert!(expect.len() <= most_bytes(&headers));
    }
}
