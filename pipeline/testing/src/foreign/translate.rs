//! Queries: SELECT, set operations, FROM and WITH, from our SQL to SQLite's.

use super::differences::{Difference, Outside};
use super::kind::{Kind, Typed, to_key};
use super::scope::{Column, From, Relation, quoted};
use super::zone::Grid;
use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Join, JoinConstraint, JoinOperator, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, TableFactor, Value,
};
use std::collections::{BTreeMap, BTreeSet};

/// A query whose answer must be 0, else the case lies outside for this reason.
pub(super) type Guard = (String, Difference);

/// Translates one job's SELECT.
pub(super) struct Translator<'a> {
    /// Streams and tables by name.
    tables: &'a BTreeMap<String, Vec<Column>>,
    /// WITH queries so far; each is written out where it is used.
    ctes: Vec<(String, Relation)>,
    pub(super) guards: Vec<Guard>,
    /// Calls of the SELECT at hand that number its rows.
    pub(super) numbering: Vec<String>,
    /// Calendars of zones that are needed as tables.
    pub(super) grids: BTreeSet<Grid>,
    /// What the SELECT at hand groups by.
    pub(super) groups: Vec<Expr>,
}

// === impl Translator ===

impl<'a> Translator<'a> {
    pub(super) fn new(tables: &'a BTreeMap<String, Vec<Column>>) -> Self {
        Self {
            tables,
            ctes: Vec::new(),
            guards: Vec::new(),
            numbering: Vec::new(),
            grids: BTreeSet::new(),
            groups: Vec::new(),
        }
    }

    /// A query as a relation.
    pub(super) fn query(&mut self, query: &Query) -> Result<Relation, Outside> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let relation = self.query(&cte.query)?;
            self.ctes.push((cte.alias.name.value.clone(), relation));
        }
        if query.order_by.is_some() || query.limit_clause.is_some() {
            return Err(Difference::Syntax.into());
        }
        let relation = self.set(&query.body)?;
        Ok(Relation { sql: format!("({})", relation.sql), ..relation })
    }

    fn set(&mut self, set: &SetExpr) -> Result<Relation, Outside> {
        match set {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { left, op: SetOperator::Union, set_quantifier, right } => {
                let (left, right) = (self.set(left)?, self.set(right)?);
                let all = *set_quantifier == SetQuantifier::All;
                let (left, right) = if all { (left, right) } else { (folded(left), folded(right)) };
                let word = if all { "UNION ALL" } else { "UNION" };
                let same = left.columns.iter().zip(&right.columns).all(|(left, right)| left.kind == right.kind);
                if !same || left.columns.len() != right.columns.len() {
                    return Err(Difference::MixedTypes.into());
                }
                Ok(Relation { sql: format!("{} {word} {}", left.sql, right.sql), ..left })
            }
            _ => Err(Difference::Syntax.into()),
        }
    }

    fn select(&mut self, select: &Select) -> Result<Relation, Outside> {
        let outer = (std::mem::take(&mut self.numbering), std::mem::take(&mut self.groups));
        let [relation] = select.from.as_slice() else { return Err(Difference::Syntax.into()) };
        let mut from = self.factor(&relation.relation)?;
        for join in &relation.joins {
            from = self.join(from, join)?;
        }
        if let Some(condition) = &select.selection {
            let condition = self.condition(condition, &from)?;
            from.conditions.push(condition);
        }
        if !from.conditions.is_empty() {
            from.sql += &format!(" WHERE {}", from.conditions.join(" AND "));
        }
        self.groups = groups(select)?;
        let relation = self.listed(select, &from)?;
        self.guard_numbering(&from);
        (self.numbering, self.groups) = outer;
        Ok(relation)
    }

    /// All of a SELECT but its FROM and WHERE.
    fn listed(&mut self, select: &Select, from: &From) -> Result<Relation, Outside> {
        let mut list = Vec::new();
        for item in &select.projection {
            list.extend(self.items(item, from)?);
        }
        let distinct = match &select.distinct {
            None => "",
            Some(Distinct::Distinct) => {
                list = list.into_iter().map(|(name, value)| (name, value.folded())).collect();
                "DISTINCT "
            }
            Some(_) => return Err(Difference::Syntax.into()),
        };
        // A number, even in parentheses, would be a column to SQLite.
        let keys: Result<Vec<String>, Outside> = self
            .groups
            .clone()
            .iter()
            .map(|key| Ok(format!("ifnull({}, NULL)", self.expression(key, from)?.sql)))
            .collect();
        let keys = keys?;
        let group = if keys.is_empty() { String::new() } else { format!(" GROUP BY {}", keys.join(", ")) };
        let having = match &select.having {
            Some(condition) => format!(" HAVING {}", self.condition(condition, from)?),
            None => String::new(),
        };
        let mut columns: Vec<String> =
            list.iter().map(|(name, value)| format!("{} AS {}", value.sql, quoted(name))).collect();
        if let Some(condition) = &select.qualify {
            columns.push(format!("{} AS \"qualify?\"", self.condition(condition, from)?));
        }
        let mut sql = format!("SELECT {distinct}{} FROM {}{group}{having}", columns.join(", "), from.sql);
        if select.qualify.is_some() {
            let names: Vec<String> = list.iter().map(|(name, _)| quoted(name)).collect();
            sql = format!("SELECT {} FROM ({sql}) WHERE \"qualify?\"", names.join(", "));
        }
        let column = |(name, value): (String, Typed)| Column { name, kind: value.kind, hidden: false };
        Ok(Relation { sql, columns: list.into_iter().map(column).collect() })
    }

    /// Two functions that number rows agree on equal rows only by chance.
    fn guard_numbering(&mut self, from: &From) {
        if self.numbering.len() < 2 {
            return;
        }
        let columns: Vec<String> = from.sortable().collect();
        let groups = columns.join(", ");
        let guard = format!("SELECT count(*) FROM (SELECT 1 FROM {} GROUP BY {groups} HAVING count(*) > 1)", from.sql);
        self.guards.push((guard, Difference::EqualRows));
    }

    /// DataFusion makes two partitions of 0.0 and -0.0.
    pub(super) fn guard_zeros(&mut self, key: &Typed, from: &From) {
        if key.kind.is_float() {
            let zeros = [0.0, -0.0].map(|zero| to_key(zero).to_string()).join(", ");
            let source = format!("SELECT {} AS x FROM {}", key.sql, from.sql);
            let guard = format!("SELECT count(DISTINCT x) > 1 FROM ({source}) WHERE x IN ({zeros})");
            self.guards.push((guard, Difference::Zeros));
        }
    }

    fn items(&mut self, item: &SelectItem, from: &From) -> Result<Vec<(String, Typed)>, Outside> {
        let all = |relation: Option<&str>| {
            let fitting = from.named.iter().filter(|(known, _)| relation.is_none_or(|relation| known == relation));
            let columns = fitting.flat_map(|(relation, columns)| {
                columns.iter().filter(|column| !column.hidden).map(move |column| {
                    let sql = format!("{}.{}", quoted(relation), quoted(&column.name));
                    (column.name.clone(), Typed::new(sql, column.kind))
                })
            });
            columns.collect()
        };
        match item {
            SelectItem::ExprWithAlias { expr, alias } => Ok(vec![(alias.value.clone(), self.expression(expr, from)?)]),
            SelectItem::UnnamedExpr(expr) => {
                let name = match expr {
                    Expr::Identifier(name) => &name.value,
                    Expr::CompoundIdentifier(path) if !path.is_empty() => &path[path.len() - 1].value,
                    _ => return Err(Difference::Syntax.into()),
                };
                Ok(vec![(name.clone(), self.expression(expr, from)?)])
            }
            SelectItem::Wildcard(_) => Ok(all(None)),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                Ok(all(Some(&name.to_string())))
            }
            _ => Err(Difference::Syntax.into()),
        }
    }

    fn factor(&mut self, factor: &TableFactor) -> Result<From, Outside> {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let name = name.to_string();
                let relation = self.named(&name)?;
                Ok(relation.named(alias.as_ref().map_or(&name, |alias| &alias.name.value)))
            }
            TableFactor::Table { name, alias, args: Some(args), .. } => {
                let function = name.to_string().to_lowercase();
                let relation = self.window(&function, &args.args)?;
                Ok(relation.named(alias.as_ref().map_or(&function, |alias| &alias.name.value)))
            }
            TableFactor::Derived { subquery, alias: Some(alias), .. } => {
                Ok(self.query(subquery)?.named(&alias.name.value))
            }
            _ => Err(Difference::Syntax.into()),
        }
    }

    /// A stream, a table or a WITH query.
    pub(super) fn named(&self, name: &str) -> Result<Relation, Outside> {
        if let Some((_, relation)) = self.ctes.iter().rev().find(|(known, _)| known == name) {
            return Ok(relation.clone());
        }
        let columns = self.tables.get(name).ok_or(Difference::Syntax)?;
        Ok(Relation { sql: quoted(name), columns: columns.clone() })
    }

    fn join(&mut self, left: From, join: &Join) -> Result<From, Outside> {
        use JoinOperator::{
            FullOuter, Inner, Left, LeftAnti, LeftOuter, LeftSemi, Right, RightAnti, RightOuter, RightSemi,
        };
        let right = self.factor(&join.relation)?;
        let (JoinOperator::Join(JoinConstraint::On(on))
        | Inner(JoinConstraint::On(on))
        | Left(JoinConstraint::On(on))
        | LeftOuter(JoinConstraint::On(on))
        | Right(JoinConstraint::On(on))
        | RightOuter(JoinConstraint::On(on))
        | FullOuter(JoinConstraint::On(on))
        | LeftSemi(JoinConstraint::On(on))
        | RightSemi(JoinConstraint::On(on))
        | LeftAnti(JoinConstraint::On(on))
        | RightAnti(JoinConstraint::On(on))) = &join.join_operator
        else {
            return Err(Difference::Syntax.into());
        };
        let mut both = From { named: left.named.clone(), ..From::default() };
        both.named.extend(right.named.clone());
        let on = self.condition(on, &both)?;
        let word = match &join.join_operator {
            Left(_) | LeftOuter(_) => "LEFT JOIN",
            Right(_) | RightOuter(_) => "RIGHT JOIN",
            FullOuter(_) => "FULL JOIN",
            LeftSemi(_) => return Ok(exists(left, &right, "", &on)),
            LeftAnti(_) => return Ok(exists(left, &right, "NOT ", &on)),
            RightSemi(_) => return Ok(exists(right, &left, "", &on)),
            RightAnti(_) => return Ok(exists(right, &left, "NOT ", &on)),
            _ => "JOIN",
        };
        both.sql = format!("{} {word} {} ON {on}", left.sql, right.sql);
        both.conditions = left.conditions.into_iter().chain(right.conditions).collect();
        Ok(both)
    }

    /// Columns of all streams and tables and WITH queries have kinds; this one is for those made on the way.
    pub(super) fn column(name: &str, kind: Kind) -> Column {
        Column { name: name.to_owned(), kind, hidden: false }
    }
}

/// A semi or anti join: the rows of `kept` for which there is a row of `other`, or is none.
fn exists(mut kept: From, other: &From, no: &str, on: &str) -> From {
    kept.conditions.push(format!("{no}EXISTS (SELECT 1 FROM {} WHERE {on})", other.sql));
    kept
}

/// The keys of a GROUP BY; a number means the column of the list.
fn groups(select: &Select) -> Result<Vec<Expr>, Outside> {
    let outside = Outside(Difference::Syntax);
    let GroupByExpr::Expressions(keys, modifiers) = &select.group_by else { return Err(outside) };
    if !modifiers.is_empty() {
        return Err(outside);
    }
    let resolved = |key: &Expr| {
        let Expr::Value(value) = key else { return Ok(key.clone()) };
        let Value::Number(text, _) = &value.value else { return Ok(key.clone()) };
        match text.parse::<usize>().ok().and_then(|at| select.projection.get(at.checked_sub(1)?)) {
            Some(SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr)) => Ok(expr.clone()),
            _ => Err(outside),
        }
    };
    keys.iter().map(resolved).collect()
}

/// A side of a UNION, which merges equal rows.
fn folded(side: Relation) -> Relation {
    let columns = side.columns.iter().map(|column| {
        let value = Typed::new(quoted(&column.name), column.kind).folded();
        format!("{} AS {}", value.sql, quoted(&column.name))
    });
    let columns: Vec<String> = columns.collect();
    Relation { sql: format!("SELECT {} FROM ({})", columns.join(", "), side.sql), ..side }
}
