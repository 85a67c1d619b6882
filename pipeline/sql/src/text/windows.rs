//! Window calls as Flink spells them, written in our spelling before anything parses them.
//!
//! ```text
//!   TABLE(HOP(TABLE t, DESCRIPTOR(ts), slide, size))            hop(t, ts, slide, size)
//!   TUMBLE(DATA => TABLE t, TIMECOL => DESCRIPTOR(ts), SIZE => s)   tumble(t => t, ts => ts, SIZE => s)
//!   TABLE(SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), gap))     session(t, ts, gap, key => k)
//! ```
//!
//! Every token keeps its place in the text, so that findings point at what was pasted.

use crate::text::{Place, is_word, place, print};
use crate::walk::WINDOW_FUNCTIONS;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Whitespace};

/// A window call that was pasted, and how it is read.
#[derive(Debug, Clone)]
pub(crate) struct Pasted {
    pub(crate) at: Place,
    /// The call in our spelling, on one line.
    pub(crate) read_as: String,
}

/// The tokens in our spelling, and the calls that were in another one.
pub(super) fn in_our_spelling(tokens: &[TokenWithSpan]) -> (Vec<TokenWithSpan>, Vec<Pasted>) {
    let (mut out, mut pasted, mut at) = (Vec::with_capacity(tokens.len()), Vec::new(), 0);
    while let Some(token) = tokens.get(at) {
        if let Some((call, end)) = wrapped(tokens, at) {
            rewrite(call, true, &mut out, &mut pasted);
            at = end + 1;
        } else if let Some(end) = call_end(tokens, at) {
            rewrite(&tokens[at..=end], false, &mut out, &mut pasted);
            at = end + 1;
        } else {
            out.push(token.clone());
            at += 1;
        }
    }
    (out, pasted)
}

/// The call inside `TABLE( ... )`, and where that ends.
fn wrapped(tokens: &[TokenWithSpan], at: usize) -> Option<(&[TokenWithSpan], usize)> {
    if !is_keyword(tokens.get(at)?, "table") {
        return None;
    }
    let open = next(tokens, at + 1).filter(|open| tokens[*open].token == Token::LParen)?;
    let start = next(tokens, open + 1)?;
    let end = call_end(tokens, start)?;
    let close = next(tokens, end + 1).filter(|close| tokens[*close].token == Token::RParen)?;
    Some((&tokens[start..=end], close))
}

/// Where the call of a window function that begins at `at` ends.
fn call_end(tokens: &[TokenWithSpan], at: usize) -> Option<usize> {
    let name = tokens.get(at)?;
    if !WINDOW_FUNCTIONS.iter().any(|function| is_keyword(name, function)) {
        return None;
    }
    let open = next(tokens, at + 1).filter(|open| tokens[*open].token == Token::LParen)?;
    closing(tokens, open)
}

/// Appends a call in our spelling.
fn rewrite(call: &[TokenWithSpan], is_wrapped: bool, out: &mut Vec<TokenWithSpan>, pasted: &mut Vec<Pasted>) {
    let (Some(name), Some(open)) = (call.first(), next(call, 1)) else { return };
    let (mut args, mut keys, mut is_pasted) = (Vec::new(), Vec::new(), is_wrapped);
    let mut inner = Vec::new();
    for (position, arg) in split(&call[open + 1..call.len() - 1]).into_iter().enumerate() {
        let read = argument(position, arg);
        is_pasted |= read.is_pasted;
        keys.extend(read.keys);
        // A pasted window of an inner query stands in a subquery among the arguments.
        let (value, found) = in_our_spelling(&read.tokens);
        inner.extend(found);
        if value.iter().any(|token| !is_space(token)) {
            args.push(value);
        }
    }
    let from = out.len();
    let lower = if is_pasted { name.token.to_string().to_lowercase() } else { name.token.to_string() };
    out.push(TokenWithSpan { token: Token::make_word(&lower, None), span: name.span });
    out.extend_from_slice(&call[1..=open]);
    for (number, arg) in args.into_iter().chain((!keys.is_empty()).then(|| key_argument(keys))).enumerate() {
        if number > 0 {
            let span = arg.first().map_or(name.span, |token| token.span);
            out.push(TokenWithSpan { token: Token::Comma, span });
        }
        out.extend(arg);
    }
    out.extend(call.last().cloned());
    if is_pasted {
        pasted.push(Pasted { at: place(name.span.start), read_as: one_line(&out[from..]) });
    }
    pasted.extend(inner);
}

/// One argument in our spelling.
struct Argument {
    tokens: Vec<TokenWithSpan>,
    /// Keys of a session that stood in it.
    keys: Vec<TokenWithSpan>,
    is_pasted: bool,
}

fn argument(position: usize, tokens: &[TokenWithSpan]) -> Argument {
    let unchanged = || Argument { tokens: tokens.to_vec(), keys: Vec::new(), is_pasted: false };
    let Some(first) = next(tokens, 0) else { return unchanged() };
    let arrow = next(tokens, first + 1).filter(|at| matches!(tokens[*at].token, Token::RArrow | Token::Assignment));
    let (mut head, value) = match arrow {
        None => (tokens[..first].to_vec(), &tokens[first..]),
        Some(arrow) => (tokens[..=arrow].to_vec(), &tokens[arrow + 1..]),
    };
    let ours = arrow.and_then(|_| our_name(&tokens[first]));
    if let (Some(name), Some(token)) = (ours, head.get_mut(first)) {
        token.token = Token::make_word(name, None);
    }
    let Some(start) = next(value, 0) else { return unchanged() };
    head.extend_from_slice(&value[..start]);
    if let Some((relation, keys)) = relation(&value[start..]) {
        head.extend(relation);
        return Argument { tokens: head, keys, is_pasted: true };
    }
    match descriptor(&value[start..]) {
        // Calcite's session: the time column, then the keys.
        Some(columns) if position > 1 && arrow.is_none() => {
            Argument { tokens: Vec::new(), keys: columns, is_pasted: true }
        }
        Some(columns) if split(&columns).len() == 1 => {
            head.extend(columns);
            Argument { tokens: head, keys: Vec::new(), is_pasted: true }
        }
        _ if ours.is_some() => {
            head.extend_from_slice(&value[start..]);
            Argument { tokens: head, keys: Vec::new(), is_pasted: true }
        }
        _ => unchanged(),
    }
}

/// Our name of Flink's argument.
fn our_name(token: &TokenWithSpan) -> Option<&'static str> {
    [("data", "t"), ("timecol", "ts")].iter().find(|(flink, _)| is_keyword(token, flink)).map(|(_, ours)| *ours)
}

/// The name in `TABLE name [PARTITION BY keys]`, and the keys.
fn relation(value: &[TokenWithSpan]) -> Option<(Vec<TokenWithSpan>, Vec<TokenWithSpan>)> {
    if !is_keyword(value.first()?, "table") {
        return None;
    }
    let name = next(value, 1).filter(|at| matches!(value[*at].token, Token::Word(_) | Token::LParen))?;
    let partition = (name..value.len()).find(|at| is_keyword(&value[*at], "partition"));
    let by = partition.and_then(|at| next(value, at + 1)).filter(|by| is_keyword(&value[*by], "by"));
    let (Some(partition), Some(by)) = (partition, by) else { return Some((value[name..].to_vec(), Vec::new())) };
    let name = value[name..partition].iter().filter(|token| !is_space(token)).cloned().collect();
    Some((name, value[by + 1..].to_vec()))
}

/// The tokens inside `DESCRIPTOR( ... )`.
fn descriptor(value: &[TokenWithSpan]) -> Option<Vec<TokenWithSpan>> {
    let open = next(value, 1).filter(|open| value[*open].token == Token::LParen)?;
    let end = closing(value, open)?;
    let is_whole = next(value, end + 1).is_none();
    (is_keyword(value.first()?, "descriptor") && is_whole).then(|| value[open + 1..end].to_vec())
}

/// ` key => k`, or ` key => (k, l)`.
fn key_argument(keys: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let span = keys.iter().find(|token| !is_space(token)).map_or(Span::empty(), |token| token.span);
    let at = |token| TokenWithSpan { token, span };
    let space = || at(Token::Whitespace(Whitespace::Space));
    let mut argument = vec![space(), at(Token::make_word("key", None)), space(), at(Token::RArrow), space()];
    let is_list = split(&keys).len() > 1;
    argument.extend(is_list.then(|| at(Token::LParen)));
    let last = keys.iter().rposition(|token| !is_space(token)).unwrap_or_default();
    argument.extend(keys[..=last].iter().skip_while(|token| is_space(token)).cloned());
    argument.extend(is_list.then(|| at(Token::RParen)));
    argument
}

/// Tokens as one line of text.
fn one_line(tokens: &[TokenWithSpan]) -> String {
    let mut line = String::new();
    for token in tokens {
        if !is_space(token) {
            line.push_str(&print(&token.token));
        } else if !line.ends_with([' ', '(']) {
            line.push(' ');
        }
    }
    line
}

/// Parts between the commas that stand in no parentheses.
pub(crate) fn split(tokens: &[TokenWithSpan]) -> Vec<&[TokenWithSpan]> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0usize);
    for (at, token) in tokens.iter().enumerate() {
        match token.token {
            Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
            Token::RParen | Token::RBracket | Token::RBrace => depth = depth.saturating_sub(1),
            Token::Comma if depth == 0 => {
                parts.push(&tokens[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&tokens[from..]);
    parts
}

/// Where the parenthesis that opens at `open` closes.
pub(crate) fn closing(tokens: &[TokenWithSpan], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    (open..tokens.len()).find(|at| {
        match tokens[*at].token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        depth == 0
    })
}

/// The first token at or behind `from` that is no white space.
fn next(tokens: &[TokenWithSpan], from: usize) -> Option<usize> {
    (from..tokens.len()).find(|at| !is_space(&tokens[*at]))
}

pub(crate) fn is_space(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Whitespace(_))
}

/// True for the word itself, without quotes.
pub(crate) fn is_keyword(token: &TokenWithSpan, word: &str) -> bool {
    matches!(&token.token, Token::Word(found) if found.quote_style.is_none()) && is_word(&token.token, word)
}
