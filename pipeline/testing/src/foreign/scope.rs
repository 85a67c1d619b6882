//! What an expression may name: the relations of a FROM clause with their columns.

use super::differences::{Difference, Outside};
use super::kind::{Kind, Typed};

/// A column of a relation.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Left out by `*`.
    pub(super) hidden: bool,
}

/// A relation in SQLite's dialect: the name of a table, or a query in parentheses.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub(super) sql: String,
    pub(super) columns: Vec<Column>,
}

/// A FROM clause.
#[derive(Debug, Clone, Default)]
pub(super) struct From {
    pub(super) sql: String,
    /// Relations by the name that expressions use.
    pub(super) named: Vec<(String, Vec<Column>)>,
    /// Conditions that belong into WHERE: semi joins.
    pub(super) conditions: Vec<String>,
}

/// A name as SQLite reads it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

// === impl Relation ===

impl Relation {
    /// The relation as the only one of a FROM clause.
    pub(super) fn named(self, name: &str) -> From {
        From {
            sql: format!("{} AS {}", self.sql, quoted(name)),
            named: vec![(name.to_owned(), self.columns)],
            conditions: Vec::new(),
        }
    }
}

// === impl From ===

impl From {
    /// The column `name`, of the relation `relation` if that is given.
    pub(super) fn column(&self, relation: Option<&str>, name: &str) -> Result<Typed, Outside> {
        let fitting = self.named.iter().filter(|(known, _)| relation.is_none_or(|relation| known == relation));
        let mut found = fitting.filter_map(|(relation, columns)| {
            let column = columns.iter().find(|column| column.name == name)?;
            Some(Typed::new(format!("{}.{}", quoted(relation), quoted(name)), column.kind))
        });
        found.next().ok_or(Outside(Difference::Syntax))
    }

    /// All columns in order but lists.
    pub(super) fn sortable(&self) -> impl Iterator<Item = String> {
        self.named.iter().flat_map(|(relation, columns)| {
            let sortable = columns.iter().filter(|column| column.kind != Kind::List);
            sortable.map(move |column| format!("{}.{}", quoted(relation), quoted(&column.name)))
        })
    }
}
