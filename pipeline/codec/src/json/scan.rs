//! The quick way through an ordinary record: one pass that finds what [`super::tree`] would, or gives up.
//!
//! ```text
//! {"lane":"A1","flow":12}     both fields in the declared order: their names are compared, not looked up
//! {"lane":"A\u0031"}          an escape: left to the slow way, as is all else that is rare or wrong
//! ```
//!
//! It says yes only to what the grammar of JSON allows, and then with the same tokens; `scan/tests.rs` compares the two.

use super::tree::{Found, MAX_DEPTH, Node, Tree};

/// Text being read; every step gives `None` where the slow way has to decide.
struct Scan<'a, 't> {
    text: &'a str,
    at: usize,
    tree: &'t Tree,
}

/// Finds the tokens of `body` as [`Tree::find`] does; `None`, with `found` in disorder, if that has to be asked.
pub(super) fn find<'a>(tree: &Tree, body: &'a str, found: &mut Vec<Found<'a>>) -> Option<()> {
    if !tree.is_plain() {
        return None;
    }
    found.clear();
    found.resize(tree.nodes.len(), Found::Missing);
    found[0] = Found::Token(body);
    let mut scan = Scan { text: body, at: 0, tree };
    scan.object(Some(0), found, 1)?;
    scan.space();
    (scan.at == body.len()).then_some(())
}

// === impl Scan ===

impl<'a> Scan<'a, '_> {
    /// An object, of `node` if one is declared there.
    fn object(&mut self, node: Option<usize>, found: &mut [Found<'a>], depth: usize) -> Option<()> {
        let tree = self.tree;
        let node = node.map(|node| &tree.nodes[node]);
        self.byte(b'{')?;
        self.space();
        if self.take(b'}') {
            return Some(());
        }
        let mut expected = 0;
        loop {
            let field = self.name(node, &mut expected)?;
            self.space();
            self.byte(b':')?;
            self.space();
            match field {
                Some(field) => self.declared(field, found, depth)?,
                None => self.value(depth)?,
            }
            self.space();
            if !self.take(b',') {
                return self.byte(b'}');
            }
            self.space();
        }
    }

    /// The node of the field whose name comes next, if it is declared.
    fn name(&mut self, node: Option<&Node>, expected: &mut usize) -> Option<Option<usize>> {
        let rest = &self.text.as_bytes()[self.at..];
        if let Some(next) = node.and_then(|node| node.fields.get(*expected))
            && rest.starts_with(&next.quoted)
        {
            self.at += next.quoted.len();
            *expected += 1;
            return Some(Some(next.node));
        }
        let start = self.at + 1;
        self.string()?;
        let name = &self.text[start..self.at - 1];
        let place = node.and_then(|node| node.place(name));
        Some(place.map(|place| {
            *expected = place + 1;
            node.map_or(0, |node| node.fields[place].node)
        }))
    }

    /// The value of a declared field.
    fn declared(&mut self, field: usize, found: &mut [Found<'a>], depth: usize) -> Option<()> {
        if found[field] != Found::Missing {
            // A name that comes again: the last one counts.
            return None;
        }
        let (start, has_fields) = (self.at, !self.tree.nodes[field].fields.is_empty());
        match self.peek()? {
            b'{' if has_fields && depth < MAX_DEPTH => self.object(Some(field), found, depth + 1)?,
            // Nothing lies below it.
            _ if has_fields => return None,
            b'n' => {
                self.word("null")?;
                found[field] = Found::Null;
                return Some(());
            }
            _ => self.value(depth)?,
        }
        found[field] = Found::Token(&self.text[start..self.at]);
        Some(())
    }

    /// Any value, which is in an object or array at `depth`.
    fn value(&mut self, depth: usize) -> Option<()> {
        match self.peek()? {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            b'{' if depth < MAX_DEPTH => self.object(None, &mut [], depth + 1),
            b'[' if depth < MAX_DEPTH => self.array(depth + 1),
            _ => None,
        }
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.byte(b'[')?;
        self.space();
        if self.take(b']') {
            return Some(());
        }
        loop {
            self.value(depth)?;
            self.space();
            if !self.take(b',') {
                return self.byte(b']');
            }
            self.space();
        }
    }

    /// A string without escapes.
    fn string(&mut self) -> Option<()> {
        self.byte(b'"')?;
        let rest = &self.text.as_bytes()[self.at..];
        self.at += plain(rest);
        self.byte(b'"')
    }

    /// A number without an exponent.
    fn number(&mut self) -> Option<()> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        // A digit behind a zero, or an exponent.
        (!matches!(self.peek(), Some(b'0'..=b'9' | b'e' | b'E' | b'.'))).then_some(())
    }

    /// At least one digit.
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// What follows is looked at by the caller, who wants a comma or the end.
    fn word(&mut self, word: &str) -> Option<()> {
        self.text.as_bytes()[self.at..].starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn byte(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

/// How many bytes come before the first quote, backslash or control character, or the end.
fn plain(text: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    let mut at = 0;
    while let Some(eight) = text.get(at..at + 8).and_then(|eight| <[u8; 8]>::try_from(eight).ok()) {
        // The lowest bit that is left stands in the first byte that is below the bound (Hacker's Delight, 6-1).
        let eight = u64::from_le_bytes(eight);
        let below = |eight: u64, bound: u8| eight.wrapping_sub(ONES * u64::from(bound)) & !eight & (ONES << 7);
        let equal = |byte: u8| below(eight ^ (ONES * u64::from(byte)), 1);
        let odd = below(eight, 0x20) | equal(b'"') | equal(b'\\');
        if odd != 0 {
            return at + (odd.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = text[at..].iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f));
    at + rest.count()
}

#[cfg(test)]
mod tests;
