//! SQL text as statements with positions: splits on tokens, so that `;` in a string or comment splits nothing.

mod depth;
mod help;
pub(crate) mod units;
pub(crate) mod windows;

use citystream_model::Diagnostic;
use datafusion::sql::parser::{DFParserBuilder, Statement as Parsed};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, TokenizerError, Whitespace};
use windows::Pasted;

/// One file of SQL.
#[derive(Debug, Clone)]
pub struct SqlFile {
    /// The name that findings show.
    pub name: String,
    /// The folder to which relative locations in it refer.
    pub folder: std::path::PathBuf,
    /// Its content, at most 1 MiB.
    pub text: String,
}

/// Longest text in bytes.
const MAX_TEXT: usize = 1 << 20;

/// Most expressions inside one another that the parser follows.
const MAX_PARSED: usize = 100;
const NESTED_HELP: &str = "split it: name its parts in WITH queries, or put lists into a table";

/// One statement of a file, not yet parsed.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    /// Name of its file.
    pub(crate) file: String,
    /// Its tokens, without those between statements; window calls are in our spelling.
    pub(crate) tokens: Vec<TokenWithSpan>,
    /// Window calls that were written in another spelling.
    pub(crate) pasted: Vec<Pasted>,
}

/// A place in a text: line and column, counted from 1.
pub(crate) type Place = (u64, u64);

// === impl SqlFile ===

impl SqlFile {
    /// Splits the text into statements.
    pub(crate) fn statements(&self) -> Result<Vec<Statement>, Diagnostic> {
        if self.text.len() > MAX_TEXT {
            let message = format!("the text has {} bytes, at most {MAX_TEXT} are taken", self.text.len());
            return Err(Diagnostic::new("S001", (1, 1), message, "split it into several files").in_file(&self.name));
        }
        let tokens = Tokenizer::new(&GenericDialect {}, &self.text).tokenize_with_location().map_err(|error| {
            let (at, message) = self.unterminated(&error);
            Diagnostic::new("S001", at, message, "close it, or remove the sign that opens it").in_file(&self.name)
        })?;
        self.refuse_hints(&tokens)?;
        let statements = tokens.split(|token| token.token == Token::SemiColon);
        let is_text = |token: &TokenWithSpan| !matches!(token.token, Token::Whitespace(_));
        Ok(statements
            .filter(|tokens| tokens.iter().any(is_text))
            .map(|tokens| {
                // What is too deep to be parsed is refused there, and is too deep to be rewritten too.
                let is_deep = depth::too_deep(tokens.iter().filter(|token| is_text(token))).is_some();
                let as_is = || (tokens.to_vec(), Vec::new());
                let (tokens, pasted) = if is_deep { as_is() } else { windows::in_our_spelling(tokens) };
                Statement { file: self.name.clone(), tokens, pasted }
            })
            .collect())
    }

    /// The text with its window calls in our spelling, and everything else as it is written.
    ///
    /// # Errors
    /// The text cannot be split into statements.
    pub fn in_our_spelling(&self) -> Result<String, Diagnostic> {
        let statements = self.statements()?;
        let texts =
            statements.iter().map(|statement| statement.tokens.iter().map(|token| print(&token.token)).collect());
        Ok(texts.collect::<Vec<String>>().join(";"))
    }

    /// Place and message of a text, name or comment that does not end.
    fn unterminated(&self, error: &TokenizerError) -> (Place, String) {
        if error.message.contains("EOF while in a multi-line comment")
            && let Some(opens) = self.text.rfind("/*")
        {
            let before = &self.text[..opens];
            let line = before.matches('\n').count() as u64 + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() as u64 + 1;
            return ((line, column), "found a comment that does not end, expected */".into());
        }
        let message = match error.message.strip_prefix("Expected close delimiter '") {
            Some(rest) => {
                format!("found a quoted name that does not end, expected {}", rest.chars().next().unwrap_or('"'))
            }
            None => lower_first(&error.message)
                .replace("unterminated string literal", "found a quoted text that does not end, expected '"),
        };
        (place(error.location), message)
    }

    /// A hint would be parsed and then thrown away.
    fn refuse_hints(&self, tokens: &[TokenWithSpan]) -> Result<(), Diagnostic> {
        let hint = tokens.iter().find(|token| {
            matches!(&token.token, Token::Whitespace(Whitespace::MultiLineComment(text)) if text.starts_with('+'))
        });
        match hint {
            None => Ok(()),
            Some(token) => {
                let message = "found an optimizer hint /*+ ... */, which would have no effect";
                Err(Diagnostic::new("S003", place(token.span.start), message, "remove the hint").in_file(&self.name))
            }
        }
    }
}

// === impl Statement ===

impl Statement {
    /// Parses the statement with DataFusion's grammar.
    pub(crate) fn parse(&self) -> Result<Parsed, Diagnostic> {
        self.refuse_depth()?;
        let parse = || {
            DFParserBuilder::new(self.tokens.clone())
                .with_dialect(&GenericDialect {})
                .with_recursion_limit(MAX_PARSED)
                .build()?
                .parse_statements()
        };
        let statements = parse().map_err(|error| self.syntax_error(&error.to_string()))?;
        let mut statements = statements.into_iter();
        match (statements.next(), statements.next()) {
            (Some(statement), None) => Ok(statement),
            _ => Err(self.finding("S001", self.start(), "found more than one statement", "separate statements by ';'")),
        }
    }

    /// Where the statement begins.
    pub(crate) fn start(&self) -> Place {
        self.words().next().map_or((1, 1), |token| place(token.span.start))
    }

    /// Where `word` stands for the first time, in any case, as a word or as a quoted text.
    pub(crate) fn find(&self, word: &str) -> Option<Place> {
        self.find_nth(word, 0)
    }

    /// Where `word` stands for the `nth` time, counted from 0.
    pub(crate) fn find_nth(&self, word: &str, nth: usize) -> Option<Place> {
        self.words().filter(|token| is_word(&token.token, word)).nth(nth).map(|token| place(token.span.start))
    }

    /// Where `word` stands for the first time at or behind `from`.
    pub(crate) fn find_after(&self, word: &str, from: Place) -> Option<Place> {
        let mut places = self.words().filter(|token| is_word(&token.token, word)).map(|token| place(token.span.start));
        places.find(|at| *at >= from)
    }

    /// Where `word` stands for the last time at or before `to`.
    pub(crate) fn find_before(&self, word: &str, to: Place) -> Option<Place> {
        let places = self.words().filter(|token| is_word(&token.token, word)).map(|token| place(token.span.start));
        places.take_while(|at| *at <= to).last()
    }

    /// Where one of `signs` stands for the first time at or behind `from`.
    pub(crate) fn find_sign(&self, signs: &[&str], from: Place) -> Option<Place> {
        let is_sign = |token: &&TokenWithSpan| signs.contains(&token.token.to_string().as_str());
        self.words().filter(is_sign).map(|token| place(token.span.start)).find(|at| *at >= from)
    }

    /// True when something in the statement is given the name: `AS name`.
    pub(crate) fn names(&self, name: &str) -> bool {
        self.has(&["as", name])
    }

    /// True when these words stand one behind another.
    pub(crate) fn has(&self, sequence: &[&str]) -> bool {
        let words: Vec<&TokenWithSpan> = self.words().collect();
        let is_here =
            |here: &[&TokenWithSpan]| here.iter().zip(sequence).all(|(found, word)| is_word(&found.token, word));
        words.windows(sequence.len()).any(is_here)
    }

    /// The token at a place, and the one before it.
    pub(crate) fn around(&self, at: Place) -> (Option<&Token>, Option<&Token>) {
        let before = self.words().take_while(|token| place(token.span.start) < at).last();
        let here = self.words().find(|token| place(token.span.start) >= at);
        (before.map(|token| &token.token), here.map(|token| &token.token))
    }

    /// How the statement begins, in capitals: `SELECT`, `DROP TABLE`.
    pub(crate) fn head(&self) -> String {
        let mut words = self.words().map(|token| token.token.to_string().to_uppercase());
        let first = words.next().unwrap_or_default();
        match words.next() {
            Some(second) if matches!(first.as_str(), "CREATE" | "DROP" | "ALTER") => format!("{first} {second}"),
            _ => first,
        }
    }

    /// Where `word` stands, else where the statement begins.
    pub(crate) fn locate(&self, word: &str) -> Place {
        self.find(word).unwrap_or_else(|| self.start())
    }

    /// A finding in this statement.
    pub(crate) fn finding(
        &self,
        code: &'static str,
        at: Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::new(code, at, message, help).in_file(&self.file)
    }

    pub(crate) fn words(&self) -> impl Iterator<Item = &TokenWithSpan> {
        self.tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_)))
    }

    /// Turns sqlparser's `Expected: X, found: Y at Line: 3, Column: 7` into a finding.
    fn syntax_error(&self, text: &str) -> Diagnostic {
        let (message, at) = split_place(text);
        let message =
            message.trim_start_matches("SQL error: ").trim_start_matches("ParserError(\"").trim_end_matches("\")");
        let at = at.unwrap_or_else(|| self.end());
        if message.contains("RecursionLimitExceeded") || message.to_lowercase().contains("recursion limit") {
            return self.nested(MAX_PARSED);
        }
        let message = match message.strip_prefix("Expected: ").and_then(|rest| rest.split_once(", found: ")) {
            Some((expected, "EOF")) => format!("the statement ends too early, expected {expected}"),
            Some((expected, found)) if found.contains('\'') => format!("found {found}, expected {expected}"),
            Some((expected, found)) => format!("found '{found}', expected {expected}"),
            None => lower_first(message),
        };
        let help = self.syntax_help(at, &message);
        self.finding("S001", at, message, help)
    }

    /// Refuses a statement that is deeper than any walk over it could follow.
    fn refuse_depth(&self) -> Result<(), Diagnostic> {
        match depth::too_deep(self.words()) {
            None => Ok(()),
            Some((at, message)) => Err(self.finding("S001", at, message, NESTED_HELP)),
        }
    }

    /// The finding about a statement whose expressions nest too deeply; the parser says no place.
    fn nested(&self, limit: usize) -> Diagnostic {
        let message = format!("nested too deeply, at most {limit} expressions inside one another are taken");
        self.finding("S001", self.locate("select"), message, NESTED_HELP)
    }

    fn end(&self) -> Place {
        self.words().last().map_or((1, 1), |token| place(token.span.end))
    }
}

/// Line and column of a location.
pub(crate) fn place(location: Location) -> Place {
    (location.line.max(1), location.column.max(1))
}

/// A message of a library as part of a finding: first letter in lower case, no full stop.
pub(crate) fn lower_first(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if !letters.as_str().starts_with(|next: char| next.is_uppercase()) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

/// A token as SQL; the tokenizer has taken the doubled quotes out.
pub(crate) fn print(token: &Token) -> String {
    match token {
        Token::SingleQuotedString(text) => format!("'{}'", text.replace('\'', "''")),
        Token::Word(word) if word.quote_style == Some('"') => format!("\"{}\"", word.value.replace('"', "\"\"")),
        other => other.to_string(),
    }
}

fn is_word(token: &Token, word: &str) -> bool {
    match token {
        Token::Word(found) => found.value.eq_ignore_ascii_case(word),
        Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) => text == word,
        Token::VerticalBarRightAngleBracket => word == "|>",
        Token::DoubleColon => word == "::",
        _ => false,
    }
}

/// Splits ` at Line: 3, Column: 7` off a parser's message.
fn split_place(text: &str) -> (&str, Option<Place>) {
    let Some((message, at)) = text.split_once(" at Line: ") else { return (text, None) };
    let mut numbers = at.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(line), Some(column)) => (message, Some((line, column))),
        _ => (message, None),
    }
}
