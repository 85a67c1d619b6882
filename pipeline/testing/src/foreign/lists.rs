//! Lists as text, since SQLite has none: `n` for NULL, `i12;` for a number, `t3:abc` for a text of three bytes.

use rusqlite::types::Value;

/// Writes `item` behind the others.
pub(super) fn push(list: &mut String, item: &Value) {
    match item {
        Value::Integer(number) => *list += &format!("i{number};"),
        Value::Text(text) => *list += &format!("t{}:{text}", text.len()),
        _ => list.push('n'),
    }
}

/// The items of a list.
pub(super) fn items(list: &str) -> Result<Vec<Value>, String> {
    let (mut items, mut rest) = (Vec::new(), list);
    while !rest.is_empty() {
        let (item, next) = split(rest).ok_or_else(|| format!("found the list {list:?}"))?;
        items.push(item);
        rest = next;
    }
    Ok(items)
}

fn split(list: &str) -> Option<(Value, &str)> {
    if let Some(rest) = list.strip_prefix('i') {
        let (number, rest) = rest.split_once(';')?;
        return Some((Value::Integer(number.parse().ok()?), rest));
    }
    if let Some(rest) = list.strip_prefix('t') {
        let (length, rest) = rest.split_once(':')?;
        let (text, rest) = rest.split_at_checked(length.parse().ok()?)?;
        return Some((Value::Text(text.to_owned()), rest));
    }
    Some((Value::Null, list.strip_prefix('n')?))
}
