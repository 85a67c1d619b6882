//! Where the declared columns stand in the body: one pass over an object finds their tokens.
//!
//! ```text
//! declared /payload/speed, /payload/at, id      root -+- id
//!                                                     +- payload -+- speed
//!                                                                 +- at
//! {"id":7,"x":[..],"payload":{"speed":3.5}}     id: Token(7), payload: Token({..}), speed: Token(3.5), at: Missing
//! ```
//!
//! Each object with declared fields below it is walked once more, by its own text; one without is only skipped over.
//! A token is the value's text, checked to be JSON but not yet read, so that number digits stay exact and a value of
//! the wrong type that a later duplicate key replaces does no harm.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::fmt;

/// Field names of all declared columns as a tree; node 0 is the body itself, parents come before their children.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    is_plain: bool,
}

#[derive(Debug, Default)]
pub(super) struct Node {
    /// Each declared field, in the order of the declaration.
    pub(super) fields: Vec<Field>,
    /// Field name -> place in `fields`.
    by_name: HashMap<String, usize>,
}

#[derive(Debug)]
pub(super) struct Field {
    name: String,
    /// The name as a record has it: in quotes.
    pub(super) quoted: Vec<u8>,
    pub(super) node: usize,
}

/// What a record has at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// Nothing.
    Missing,
    /// A null.
    Null,
    /// A JSON value that is not null, as written, without space around it.
    Token(&'a str),
    /// UTF-8 text of the record's key or a header.
    Text(&'a str),
    /// On the way there, this token, which is no object.
    Blocked(&'a str),
}

/// So many names are compared sooner than hashed.
const FEW: usize = 16;

/// Deepest nesting of objects and arrays; the body itself is level 1.
pub(super) const MAX_DEPTH: usize = 64;

// === impl Tree ===

impl Tree {
    /// A tree that knows the body only.
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::default()], is_plain: true }
    }

    /// The node at `path`, added if it is new.
    pub(super) fn node(&mut self, path: &[String]) -> usize {
        let mut at = 0;
        for name in path {
            at = match self.nodes[at].by_name.get(name) {
                Some(place) => self.nodes[at].fields[*place].node,
                None => self.add(at, name),
            };
        }
        at
    }

    fn add(&mut self, parent: usize, name: &str) -> usize {
        let added = self.nodes.len();
        self.is_plain &= !name.contains(|c: char| matches!(c, '"' | '\\') || c.is_ascii_control());
        self.nodes.push(Node::default());
        let Node { fields, by_name } = &mut self.nodes[parent];
        by_name.insert(name.to_owned(), fields.len());
        fields.push(Field { name: name.to_owned(), quoted: format!("\"{name}\"").into_bytes(), node: added });
        added
    }

    /// True if all names are written in JSON as they are.
    pub(super) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Finds what the object `body` has at each node; `found` is overwritten.
    pub(super) fn find<'a>(&self, body: &'a str, found: &mut Vec<Found<'a>>) -> serde_json::Result<()> {
        found.clear();
        found.resize(self.nodes.len(), Found::Missing);
        found[0] = Found::Token(body);
        // Parents come before children, so each node has its token when its turn comes.
        for (at, node) in self.nodes.iter().enumerate() {
            match found[at] {
                // The body is walked even if no column reads it: it has to be JSON.
                Found::Token(token) if at == 0 || token.starts_with('{') && !node.fields.is_empty() => {
                    let mut text = serde_json::Deserializer::from_str(token);
                    text.deserialize_map(Fields { node, found })?;
                    text.end()?;
                }
                Found::Missing => {}
                Found::Null => node.mark(found, Found::Null),
                Found::Token(token) | Found::Text(token) | Found::Blocked(token) => {
                    node.mark(found, Found::Blocked(token));
                }
            }
        }
        Ok(())
    }
}

impl Node {
    fn mark<'a>(&self, found: &mut [Found<'a>], what: Found<'a>) {
        for field in &self.fields {
            found[field.node] = what;
        }
    }

    /// The place of the field called `name`.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        if self.fields.len() <= FEW {
            self.fields.iter().position(|field| field.name == name)
        } else {
            self.by_name.get(name).copied()
        }
    }
}

/// Puts the tokens of one object's declared fields into `found`; the last of equal names stays.
struct Fields<'n, 'f, 'a> {
    node: &'n Node,
    found: &'f mut [Found<'a>],
}

impl<'a> Visitor<'a> for Fields<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut object: A) -> Result<(), A::Error> {
        let mut expected = 0;
        while let Some(field) = object.next_key_seed(Name { node: self.node, expected })? {
            let Some(place) = field else {
                object.next_value::<IgnoredAny>()?;
                continue;
            };
            let token = object.next_value::<&'a RawValue>()?.get();
            self.found[self.node.fields[place].node] = if token == "null" { Found::Null } else { Found::Token(token) };
            expected = place + 1;
        }
        Ok(())
    }
}

/// Looks a field name up. Producers keep their order, so the field after the last one is tried first.
struct Name<'n> {
    node: &'n Node,
    expected: usize,
}

impl<'a> DeserializeSeed<'a> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'a>>(self, name: D) -> Result<Self::Value, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        match self.node.fields.get(self.expected) {
            Some(expected) if expected.name == name => Ok(Some(self.expected)),
            _ => Ok(self.node.place(name)),
        }
    }
}

// === depth ===

/// True if objects and arrays of `text`, JSON or not, lie deeper in each other than [`MAX_DEPTH`].
pub(super) fn is_too_deep(text: &str) -> bool {
    // Few brackets cannot lie deep; counting them is much quicker than following strings.
    let opening = text.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count();
    opening > MAX_DEPTH && deepest(text.as_bytes()) > MAX_DEPTH
}

fn deepest(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string) = (0_usize, 0, false);
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            // What is escaped can be a quote.
            b'\\' if in_string => drop(bytes.next()),
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
