//! A finding about SQL or options: code, position, reason and remedy.

use std::fmt;

/// One finding, printed as `file:line:column: CODE message; help: ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code, such as `S101`; the list is in `pipeline/README.md`.
    pub code: &'static str,
    /// File that holds the text, as it was named by the user; empty when the text came without a file.
    pub file: String,
    /// Line, counted from 1.
    pub line: u64,
    /// Column in characters, counted from 1.
    pub column: u64,
    /// What was found and what was expected.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

// === impl Diagnostic ===

impl Diagnostic {
    /// A finding at `line:column` of a text whose file is named later by [`Diagnostic::in_file`].
    pub fn new(
        code: &'static str,
        (line, column): (u64, u64),
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { code, file: String::new(), line, column, message: message.into(), help: help.into() }
    }

    /// Names the file of the text.
    #[must_use]
    pub fn in_file(mut self, file: &str) -> Self {
        self.file = file.to_owned();
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
        }
        write!(f, "{}:{}: {} {}", self.line, self.column, self.code, self.message)?;
        if !self.help.is_empty() {
            write!(f, "; help: {}", self.help)?;
        }
        Ok(())
    }
}
