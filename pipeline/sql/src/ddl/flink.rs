//! `CREATE TABLE ... WATERMARK FOR ... WITH ('connector' = 'kafka', ...)`: a stream as Flink declares it, written in our
//! spelling before it is parsed.
//!
//! ```text
//!   CREATE TABLE s (                                    CREATE UNBOUNDED EXTERNAL TABLE s (
//!     id STRING, at TIMESTAMP(3),                         id STRING, at TIMESTAMP
//!     WATERMARK FOR at AS at - INTERVAL '30' SECOND     )
//!   ) WITH (                                            STORED AS KAFKA LOCATION 'city.s'
//!     'connector' = 'kafka', 'topic' = 'city.s',        OPTIONS ('format' 'json', 'time.column' 'at',
//!     'format' = 'json')                                  'time.out_of_order' '30 seconds')
//! ```
//!
//! Every token keeps its place, so what the reader of our spelling finds wrong is said of what was pasted. What has no
//! meaning here is refused with what to write instead; nothing is dropped but comments.

mod columns;
mod options;

use crate::text::windows::{closing, is_keyword, is_space, split};
use crate::text::{Place, Statement, place, print};
use citystream_model::Diagnostic;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

/// A declaration in our spelling.
pub(crate) struct Rewritten {
    pub(crate) statement: Statement,
    /// What is wrong already.
    pub(crate) findings: Vec<Diagnostic>,
}

/// The parts of `CREATE TABLE name (columns) WITH (options)`, tokens without white space.
struct Parts {
    name: Vec<TokenWithSpan>,
    columns: Vec<TokenWithSpan>,
    options: Vec<TokenWithSpan>,
    findings: Vec<Diagnostic>,
}

/// An option in our spelling: name, value, and where it was written.
type Pair = (String, String, Span);

/// The statement in our spelling; nothing when it is no declaration of this kind.
///
/// # Errors
/// It declares something that is no stream of Kafka.
pub(crate) fn in_our_spelling(statement: &Statement) -> Option<Result<Rewritten, Vec<Diagnostic>>> {
    let mut parts = parts(statement)?;
    let (columns, mut pairs) = columns::rewrite(statement, &parts.columns, &mut parts.findings);
    let topic = match options::rewrite(statement, &parts, &mut pairs) {
        Ok((topic, findings)) => {
            parts.findings.extend(findings);
            topic
        }
        Err(finding) => return Some(Err(vec![finding])),
    };
    let mut out = Vec::new();
    let head = parts.name.first().map_or(Span::empty(), |token| token.span);
    out.extend(words(&["CREATE", "UNBOUNDED", "EXTERNAL", "TABLE"], span_at(statement.start(), head)));
    out.extend(parts.name);
    out.push(TokenWithSpan { token: Token::LParen, span: head });
    out.extend(columns);
    out.push(TokenWithSpan { token: Token::RParen, span: head });
    out.extend(words(&["STORED", "AS", "KAFKA", "LOCATION"], topic.1));
    out.push(quoted(&topic.0, topic.1));
    let end = parts.options.first().map_or(topic.1, |token| token.span);
    out.extend(words(&["OPTIONS"], end));
    out.push(TokenWithSpan { token: Token::LParen, span: end });
    for (number, (name, value, span)) in pairs.into_iter().enumerate() {
        out.extend((number > 0).then_some(TokenWithSpan { token: Token::Comma, span }));
        out.extend([quoted(&name, span), quoted(&value, span)]);
    }
    out.push(TokenWithSpan { token: Token::RParen, span: end });
    let statement = Statement { file: statement.file.clone(), tokens: out, pasted: Vec::new() };
    Some(Ok(Rewritten { statement, findings: parts.findings }))
}

/// Refuses a declaration of this kind in a job file.
pub(crate) fn refuse_in_job(statement: &Statement) -> Result<(), Diagnostic> {
    let Some(parts) = parts(statement) else { return Ok(()) };
    let name = parts.name.iter().map(|token| print(&token.token)).collect::<String>().to_lowercase();
    let help = format!(
        "a stream to read: move it to <schemas>/{name}/stream.sql; a sink to write: CREATE EXTERNAL TABLE {name} STORED AS KAFKA LOCATION '<topic>', or STORED AS PARQUET LOCATION '{name}'"
    );
    let message = "found CREATE TABLE ... WITH, expected a job";
    Err(statement.finding("S002", statement.start(), message, help))
}

/// Takes the statement apart, if it is `CREATE TABLE` with a WATERMARK or options.
fn parts(statement: &Statement) -> Option<Parts> {
    let tokens: Vec<TokenWithSpan> = statement.tokens.iter().filter(|token| !is_space(token)).cloned().collect();
    let table = tokens.iter().position(|token| is_keyword(token, "table")).filter(|table| *table <= 4)?;
    let open = tokens.iter().position(|token| token.token == Token::LParen)?;
    let close = closing(&tokens, open)?;
    let columns = &tokens[open + 1..close];
    let with = (close..tokens.len()).find(|at| is_keyword(&tokens[*at], "with"));
    let has_watermark = split(columns).iter().any(|item| columns::is_watermark(item));
    let is_create =
        is_keyword(&tokens[0], "create") && !tokens[..table].iter().any(|token| is_keyword(token, "external"));
    if !is_create || open < table || with.is_none() && !has_watermark {
        return None;
    }
    let mut findings = Vec::new();
    let mut drop_words = |range: &[TokenWithSpan]| {
        if let Some(first) = range.first() {
            let text = range.iter().map(|token| print(&token.token)).take_while(|word| word != "(").take(3);
            let text = text.collect::<Vec<_>>().join(" ");
            let message = format!("found {text}, which has no effect here");
            findings.push(statement.finding("S003", place(first.span.start), message, "remove it"));
        }
    };
    drop_words(&tokens[1..table]);
    let exists = tokens[table..open].iter().rposition(|token| is_keyword(token, "exists")).map_or(0, |at| at + table);
    drop_words(tokens.get(table + 1..=exists).unwrap_or_default());
    let name = tokens[table.max(exists) + 1..open].to_vec();
    let options_open = with.map(|with| with + 1).filter(|at| tokens.get(*at).is_some_and(|t| t.token == Token::LParen));
    let options_close = options_open.and_then(|at| closing(&tokens, at));
    let clauses = &tokens[close + 1..with.unwrap_or(tokens.len())];
    let has_comment = clauses.first().is_some_and(|token| is_keyword(token, "comment"));
    drop_words(clauses.get(if has_comment { 2 } else { 0 }..).unwrap_or_default());
    let options = match (options_open, options_close) {
        (Some(open), Some(end)) => {
            drop_words(&tokens[end + 1..]);
            tokens[open + 1..end].to_vec()
        }
        _ => Vec::new(),
    };
    Some(Parts { name, columns: columns.to_vec(), options, findings })
}

fn words(words: &[&str], span: Span) -> Vec<TokenWithSpan> {
    words.iter().map(|word| TokenWithSpan { token: Token::make_word(word, None), span }).collect()
}

fn quoted(text: &str, span: Span) -> TokenWithSpan {
    TokenWithSpan { token: Token::SingleQuotedString(text.to_owned()), span }
}

fn span_at((line, column): Place, like: Span) -> Span {
    let mut span = like;
    (span.start.line, span.start.column) = (line, column);
    span
}
