//! SQL text as statements with positions: splits on tokens, so that `;` in a string or comment splits nothing.

mod depth;

use citystream_model::Diagnostic;
use citystream_model::nearest::nearest;
use datafusion::sql::parser::{DFParserBuilder, Statement as Parsed};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, TokenizerError, Whitespace};

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
    /// Its tokens, without those between statements.
    tokens: Vec<TokenWithSpan>,
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
            .map(|tokens| Statement { file: self.name.clone(), tokens: tokens.to_vec() })
            .collect())
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
            DFParserBuilder::new(self.without_table())
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

    /// The tokens, without the TABLE of Flink's `TUMBLE(TABLE readings, ...)`, which no grammar here takes.
    fn without_table(&self) -> Vec<TokenWithSpan> {
        let is_space = |token: &&TokenWithSpan| matches!(token.token, Token::Whitespace(_));
        let drop = |at: usize| {
            let before = self.tokens[..at].iter().rev().find(|token| !is_space(token));
            let next = self.tokens[at + 1..].iter().find(|token| !is_space(token));
            is_word(&self.tokens[at].token, "table")
                && before.is_some_and(|token| token.token == Token::LParen)
                && next.is_some_and(|token| matches!(token.token, Token::Word(_)))
        };
        self.tokens.iter().enumerate().filter(|(at, _)| !drop(*at)).map(|(_, token)| token.clone()).collect()
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

    fn words(&self) -> impl Iterator<Item = &TokenWithSpan> {
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
        self.finding("S001", at, message, self.syntax_help(at))
    }

    /// What to write instead of the word at `at`, as far as the words around it tell.
    fn syntax_help(&self, at: Place) -> String {
        let before = self.words().take_while(|token| place(token.span.start) < at).last();
        let here = self.words().find(|token| place(token.span.start) >= at);
        let is = |token: Option<&TokenWithSpan>, words: &[&str]| {
            token.is_some_and(|token| words.iter().any(|word| is_word(&token.token, word)))
        };
        if is(here, &["system_time", "version"]) {
            return "joins to a table version (FOR SYSTEM_TIME AS OF) are not taken; join the table itself, it is read once at the start".into();
        }
        if is(here, &["emit"]) {
            return "say when results come out in the job's options: WITH (emit = 'final')".into();
        }
        if is(here, &["within"]) {
            return "patterns (MATCH_RECOGNIZE) are not taken yet".into();
        }
        if self.find_before("watermark", at).is_some() {
            return "say it in the stream's options: 'time.column' '<column>', 'time.out_of_order' '30 seconds'".into();
        }
        if is(before, &["create", "insert"]) {
            return "end the statement before with ';'".into();
        }
        let slip = |token: Option<&TokenWithSpan>| match token.map(|token| &token.token) {
            Some(Token::Word(word)) => slip_of_keyword(&word.value),
            _ => None,
        };
        match slip(before).or_else(|| slip(here)) {
            Some(keyword) => format!("did you mean {keyword}?"),
            None => "check the spelling at this place and just before it".into(),
        }
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

fn is_word(token: &Token, word: &str) -> bool {
    match token {
        Token::Word(found) => found.value.eq_ignore_ascii_case(word),
        Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) => text == word,
        Token::VerticalBarRightAngleBracket => word == "|>",
        _ => false,
    }
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
    let is_keyword = KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(word));
    if is_keyword || word.len() < 4 { None } else { nearest(word, KEYWORDS) }
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
