//! The column list: columns, the WATERMARK, and what has no place in a stream's declaration.

use crate::ddl::flink::Pair;
use crate::text::windows::is_keyword;
use crate::text::{Statement, place, print};
use citystream_model::Diagnostic;
use citystream_model::duration::format_duration;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use std::time::Duration;

/// What became of a part of the column list.
enum Item {
    Column { tokens: Vec<TokenWithSpan>, path: Option<Pair> },
    Watermark([Pair; 2]),
}

/// The columns in our spelling, and the options that stand among them.
pub(super) fn rewrite(
    statement: &Statement,
    list: &[TokenWithSpan],
    findings: &mut Vec<Diagnostic>,
) -> (Vec<TokenWithSpan>, Vec<Pair>) {
    let (mut columns, mut pairs): (Vec<TokenWithSpan>, Vec<Pair>) = (Vec::new(), Vec::new());
    for item in items(list) {
        match read(statement, item) {
            Ok(Item::Watermark(both)) => pairs.extend(both),
            Ok(Item::Column { tokens, path }) => {
                let comma = tokens.first().map(|first| TokenWithSpan { token: Token::Comma, span: first.span });
                columns.extend(comma.filter(|_| !columns.is_empty()));
                columns.extend(tokens);
                pairs.extend(path);
            }
            Err(finding) => {
                // A watermark that cannot be read still says which column the time is.
                if let [_, _, Some(column)] = [0, 1, 2].map(|at| item.get(at))
                    && is_watermark(item)
                {
                    pairs.push(("time.column".to_owned(), name_of(column), column.span));
                }
                findings.push(*finding);
            }
        }
    }
    (columns, pairs)
}

pub(super) fn is_watermark(item: &[TokenWithSpan]) -> bool {
    matches!(item, [first, second, ..] if is_keyword(first, "watermark") && is_keyword(second, "for"))
}

fn read(statement: &Statement, item: &[TokenWithSpan]) -> Result<Item, Box<Diagnostic>> {
    let [first, rest @ ..] = item else {
        return Ok(Item::Column { tokens: Vec::new(), path: None });
    };
    let at = place(first.span.start);
    let refuse = |code, message: String, help: &str| Err(Box::new(statement.finding(code, at, message, help)));
    let has = |word: &str| item.iter().any(|token| is_keyword(token, word));
    if is_watermark(item) {
        return watermark(statement, item);
    }
    if has("primary") && has("key") || is_keyword(first, "unique") {
        let message = "found a PRIMARY KEY, which would make rows replace one another; a stream keeps every row";
        let help = "remove it; 'key' = '<column>' names the Kafka key, and last_value(x ORDER BY <time column>) in a window gives the newest row of a key";
        return refuse("S003", message.to_owned(), help);
    }
    let name = print(&first.token);
    if rest.first().is_some_and(|token| is_keyword(token, "as")) {
        let is_clock = has("proctime");
        let help = if is_clock {
            "leave it out: the clock would give another answer in each run; _timestamp is the time of the Kafka record"
                .to_owned()
        } else if has("to_timestamp_ltz") || has("to_timestamp") || has("from_unixtime") {
            format!(
                "declare the time itself: {name} TIMESTAMP, with 'path.{name}' = '/<field>' and 'time.format' = 'epoch_ms' (or epoch_s, epoch_us, rfc3339)"
            )
        } else {
            format!("leave it out, and compute it in the job: SELECT {} AS {name}", text(&rest[1..]))
        };
        return refuse("S003", format!("column {name} is computed, which a declaration does not take"), &help);
    }
    if let Some(metadata) = rest.iter().position(|token| is_keyword(token, "metadata")) {
        let key = rest[metadata..].iter().find_map(|token| match &token.token {
            Token::SingleQuotedString(key) => Some(key.clone()),
            _ => None,
        });
        let hidden = hidden(&key.unwrap_or_else(|| name.trim_matches(['`', '"']).to_lowercase()));
        let help = format!(
            "leave it out: every stream has the hidden columns _topic, _partition, _offset, _timestamp, _key and _headers; write SELECT {hidden} AS {name}"
        );
        return refuse("S003", format!("column {name} is metadata of the Kafka record, which is not declared"), &help);
    }
    if let Some(nested) = rest.first().filter(|token| NESTED.iter().any(|word| is_keyword(token, word))) {
        let help = format!(
            "declare each field that you need as a column of its own: speed DOUBLE with 'path.speed' = '/{}/speed'",
            name.trim_matches(['`', '"'])
        );
        return refuse(
            "S020",
            format!("column {name}: found the type {}, which is not supported", print(&nested.token)),
            &help,
        );
    }
    Ok(Item::Column { path: path(first), tokens: column(item) })
}

const NESTED: [&str; 5] = ["row", "array", "map", "multiset", "struct"];

/// Our name of Flink's metadata.
fn hidden(key: &str) -> &'static str {
    match key {
        "topic" => "_topic",
        "partition" => "_partition",
        "offset" => "_offset",
        "headers" => "_headers",
        "key" => "_key",
        _ => "_timestamp",
    }
}

/// Flink knows columns by their case: the field keeps it where our name, in lower case, does not.
fn path(name: &TokenWithSpan) -> Option<Pair> {
    let Token::Word(word) = &name.token else { return None };
    let lower = word.value.to_lowercase();
    let is_changed = word.quote_style.is_none() && lower != word.value;
    is_changed.then(|| (format!("path.{lower}"), format!("/{}", word.value), name.span))
}

/// A column without its comment, with a time that is a TIMESTAMP.
fn column(item: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let comment = item.iter().position(|token| is_keyword(token, "comment")).filter(|at| *at > 1);
    let mut tokens = item[..comment.unwrap_or(item.len())].to_vec();
    let Some(time) = tokens.get_mut(1) else { return tokens };
    let is_local = is_keyword(time, "timestamp_ltz");
    if is_local {
        time.token = Token::make_word("TIMESTAMP", None);
    } else if !is_keyword(time, "timestamp") {
        return tokens;
    }
    let is_precise = |token: &Token| matches!(token, Token::Number(digits, _) if matches!(digits.as_str(), "3" | "6"));
    if matches!(&tokens[2..], [open, digits, _, ..] if open.token == Token::LParen && is_precise(&digits.token)) {
        tokens.drain(2..5);
    }
    let is_zoned = ["with", "local", "time", "zone"].iter().enumerate();
    if is_zoned.clone().all(|(at, word)| tokens.get(at + 2).is_some_and(|token| is_keyword(token, word))) {
        tokens.drain(2..6);
    }
    tokens
}

/// `WATERMARK FOR at AS at - INTERVAL '30' SECOND` as options.
fn watermark(statement: &Statement, item: &[TokenWithSpan]) -> Result<Item, Box<Diagnostic>> {
    let span = item[0].span;
    let expected = |found: &[TokenWithSpan], expected: &str| {
        let at = found.first().map_or(span.start, |token| token.span.start);
        let message = format!("WATERMARK: found {}, expected {expected}", text(found));
        let help = "write WATERMARK FOR at AS at - INTERVAL '30' SECOND, or the options 'time.column' 'at', 'time.out_of_order' '30 seconds'";
        Box::new(statement.finding("S006", place(at), message, help))
    };
    let [_, _, column, alias, time, delay @ ..] = item else { return Err(expected(item, "FOR a column AS it")) };
    if !is_keyword(alias, "as") || name_of(column) != name_of(time) {
        return Err(expected(&item[2..], "FOR a column AS the same column"));
    }
    let delay = match delay {
        [] => Duration::ZERO,
        [minus, interval, length @ ..] if minus.token == Token::Minus && is_keyword(interval, "interval") => {
            length_of(length).ok_or_else(|| expected(length, "a length such as '30' SECOND"))?
        }
        other => return Err(expected(other, "- INTERVAL '30' SECOND, or nothing")),
    };
    let column = ("time.column".to_owned(), name_of(column), column.span);
    Ok(Item::Watermark([column, ("time.out_of_order".to_owned(), format_duration(delay), span)]))
}

/// The column that a word names.
fn name_of(token: &TokenWithSpan) -> String {
    match &token.token {
        Token::Word(word) if word.quote_style.is_some() => word.value.clone(),
        other => other.to_string().to_lowercase(),
    }
}

/// The length `'30' SECOND`, `30 SECOND` or `'30 seconds'`.
fn length_of(tokens: &[TokenWithSpan]) -> Option<Duration> {
    let text = match &tokens.first()?.token {
        Token::SingleQuotedString(text) | Token::Number(text, _) => text,
        _ => return None,
    };
    let unit = match tokens {
        [_] => return citystream_model::duration::parse_duration(text).ok(),
        [_, unit] => unit.token.to_string(),
        _ => return None,
    };
    // A duration of one such unit, of which Flink takes fractions too.
    let unit = citystream_model::duration::parse_duration(&format!("1 {unit}")).ok()?;
    let count: f64 = text.trim().parse().ok().filter(|count: &f64| (0.0..1e9).contains(count))?;
    Some(Duration::from_micros((unit.as_secs_f64() * count * 1e6).round() as u64))
}

/// Parts between the commas that stand in no parentheses and in no angle brackets of a type.
fn items(list: &[TokenWithSpan]) -> Vec<&[TokenWithSpan]> {
    let (mut parts, mut from, mut depth, mut angle) = (Vec::new(), 0, 0usize, 0usize);
    for (at, token) in list.iter().enumerate() {
        let opens_type = at > 0 && NESTED.iter().any(|word| is_keyword(&list[at - 1], word));
        match token.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
            Token::Lt if opens_type => angle += 1,
            Token::Gt => angle = angle.saturating_sub(1),
            Token::ShiftRight => angle = angle.saturating_sub(2),
            Token::Comma if depth == 0 && angle == 0 => {
                parts.push(&list[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[from..]);
    parts
}

fn text(tokens: &[TokenWithSpan]) -> String {
    let mut text = String::new();
    for token in tokens {
        let word = print(&token.token);
        let is_tight = text.is_empty() || text.ends_with(['(', '.']) || matches!(word.as_str(), "(" | ")" | "," | ".");
        text.push_str(if is_tight { "" } else { " " });
        text.push_str(&word);
    }
    text
}
