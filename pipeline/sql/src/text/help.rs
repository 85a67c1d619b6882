//! What to write instead of what the grammar does not take.

use crate::text::units::UNITS;
use crate::text::{Place, Statement, is_word, place};
use citystream_model::nearest::nearest;
use datafusion::sql::sqlparser::keywords::ALL_KEYWORDS;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

impl Statement {
    /// What to write instead of the word at `at`, as far as the words around it tell.
    pub(super) fn syntax_help(&self, at: Place, message: &str) -> String {
        let before = self.words().take_while(|token| place(token.span.start) < at).last();
        let here = self.words().find(|token| place(token.span.start) >= at);
        if self.find_before("watermark", at).is_some() {
            return "say it in the stream's options: 'time.column' '<column>', 'time.out_of_order' '30 seconds'".into();
        }
        if let Some(help) = self.foreign_help(before, here).or_else(|| declaration_help(message, before, here)) {
            return help.to_owned();
        }
        let is = |token: Option<&TokenWithSpan>, words: &[&str]| is_one_of(token, words);
        if self.find_before("asof", at).is_some() {
            return "as-of joins are not taken yet; put both streams into the same windows and join them on window_start and window_end".into();
        }
        if is(before, &["when", "then", "else"]) && self.find("case").is_some() {
            return "check that each CASE has its END".into();
        }
        let is_first = before.is_some_and(|token| place(token.span.start) == self.start());
        if is(before, &["create"]) && is_first && is(here, &["stream", "source", "connection", "connector", "sink"]) {
            return "a stream is CREATE UNBOUNDED EXTERNAL TABLE name (...) STORED AS KAFKA LOCATION '<topic>' OPTIONS ('time.column' '<column>'), a sink an option of the job: WITH (sink = 'kafka:<topic>')".into();
        }
        if is(before, &["create", "insert"]) && !is_first {
            return "end the statement before with ';'".into();
        }
        let slip = |token: Option<&TokenWithSpan>| match token.map(|token| &token.token) {
            Some(Token::Word(word)) if word.quote_style.is_none() => slip_of_keyword(&word.value),
            _ => None,
        };
        if let Some(keyword) = slip(before).or_else(|| slip(here)) {
            return format!("did you mean {keyword}?");
        }
        let is_open = message.contains("expected )");
        let help = if is_open {
            "close the parenthesis before it, or check what stands in it"
        } else if message.contains("expected AND") {
            "write x BETWEEN 1 AND 2"
        } else if is(here, &["from"]) && self.find("from").is_some_and(|first| first < at) {
            "a SELECT has one FROM: add a table with JOIN, or put two SELECTs together with UNION ALL"
        } else if message.contains("expected end of statement") && self.find_before("from", at).is_none() {
            "put a comma between two columns of SELECT"
        } else if is(before, &["from"]) || is_sign(before, &Token::Comma) {
            "a name or an expression is missing here, or there is one comma too many"
        } else {
            "check the spelling at this place and just before it"
        };
        help.to_owned()
    }

    /// Clauses that other systems have at this place.
    fn foreign_help(&self, before: Option<&TokenWithSpan>, here: Option<&TokenWithSpan>) -> Option<&'static str> {
        let is = |words: &[&str]| is_one_of(here, words);
        let was = |words: &[&str]| is_one_of(before, words);
        Some(if is(&["system_time", "version"]) {
            "joins to a table version (FOR SYSTEM_TIME AS OF) are not taken; join the table itself, it is read once at the start"
        } else if is(&["emit"]) {
            "say when results come out in the job's options: WITH (emit = 'final')"
        } else if is(&["within"]) {
            "patterns (MATCH_RECOGNIZE) are not taken yet"
        } else if was(&["tumbling", "hopping", "session"]) || is(&["grace"]) {
            "a window stands in FROM: FROM tumble(stream, time_column, INTERVAL '5 minutes') AS w ... GROUP BY w.window_start, w.window_end"
        } else if was(&["timestamp"]) && is(&["by"]) {
            "the time column belongs to the stream: 'time.column' '<column>' in its declaration"
        } else if is(&UNITS) && before.is_some_and(|token| matches!(token.token, Token::Number(..))) {
            "a length of time is written INTERVAL '5 minutes'"
        } else if is(&["distribute", "partitions"]) {
            "remove it; the producer decides on the partitions"
        } else {
            return None;
        })
    }
}

/// What is missing or too much in a declaration.
fn declaration_help(
    message: &str,
    before: Option<&TokenWithSpan>,
    here: Option<&TokenWithSpan>,
) -> Option<&'static str> {
    Some(if message.contains("missing LOCATION") {
        "add LOCATION '<the Kafka topic>' before OPTIONS, or LOCATION '<file>' for a table"
    } else if message.contains("missing STORED AS") {
        "add STORED AS KAFKA for a stream, STORED AS CSV or PARQUET for a table"
    } else if message.contains("expected string or numeric value") && is_sign(here, &Token::Eq) {
        "OPTIONS takes no equals sign: OPTIONS ('name' 'value', ...)"
    } else if message.contains("after option definition") {
        "put a comma between two options"
    } else if message.contains("HEADER") {
        "write OPTIONS ('name' 'value', ...); WITH (...) stands in jobs and in Flink's CREATE TABLE"
    } else if is_sign(here, &Token::Minus) && message.contains("expected AS") {
        "a name has no dash: write it with '_'"
    } else if message.contains("after column definition") && !is_sign(before, &Token::Comma) {
        "put a comma between two columns, and after a type only NOT NULL"
    } else if is_one_of(before, &["as"]) && matches!(here.map(|token| &token.token), Some(Token::SingleQuotedString(_)))
    {
        "a name stands without quotes, or in double quotes"
    } else {
        return None;
    })
}

fn is_one_of(token: Option<&TokenWithSpan>, words: &[&str]) -> bool {
    token.is_some_and(|token| words.iter().any(|word| is_word(&token.token, word)))
}

fn is_sign(token: Option<&TokenWithSpan>, sign: &Token) -> bool {
    token.is_some_and(|token| token.token == *sign)
}

/// The keyword of which `word` is a slip of the keyboard, unless it is a keyword itself.
fn slip_of_keyword(word: &str) -> Option<&'static str> {
    const KEYWORDS: [&str; 17] = [
        "SELECT",
        "FROM",
        "WHERE",
        "GROUP",
        "HAVING",
        "JOIN",
        "CREATE",
        "MATERIALIZED",
        "VIEW",
        "INSERT",
        "INTO",
        "INTERVAL",
        "QUALIFY",
        "UNION",
        "UNBOUNDED",
        "EXTERNAL",
        "LOCATION",
    ];
    let is_keyword = ALL_KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(word));
    if is_keyword || word.len() < 4 { None } else { nearest(word, KEYWORDS) }
}
