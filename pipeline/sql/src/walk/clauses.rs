//! Clauses of queries and FROM items that the planner would drop without a word, or that cannot stream.

use crate::ddl::normal;
use crate::text::{Place, place};
use crate::walk::{Flow, Walker};
use datafusion::sql::sqlparser::ast::{
    Distinct, GroupByExpr, JoinOperator, LimitClause, Query, Select, Spanned, TableAlias, TableFactor,
};
use std::ops::ControlFlow;

const NOTHING: &str = "which would have no effect";
const ENDLESS: &str = "for the first n of each window write row_number() OVER (PARTITION BY window_start, window_end ORDER BY ...) AS n ... QUALIFY n <= 10";

impl Walker<'_> {
    /// Refuses the first clause that is `found`: (found, its word, how it is called), looked for from `from` on.
    fn first(&self, code: &'static str, from: Place, found: &[(bool, &str, &str)], why: &str, help: &str) -> Flow {
        match found.iter().find(|(found, _, _)| *found) {
            None => ControlFlow::Continue(()),
            Some((_, word, clause)) => {
                let at = self.statement.find_after(word, from).unwrap_or(from);
                self.refuse(code, at, format!("found {clause}, {why}"), help)
            }
        }
    }

    pub(super) fn query(&self, query: &Query) -> Flow {
        self.with_queries(query)?;
        let body_end = place(query.body.span().end);
        let order =
            query.order_by.as_ref().and_then(|order| self.statement.find_before("order", place(order.span().start)));
        let is_offset = matches!(&query.limit_clause, Some(LimitClause::LimitOffset { limit: None, limit_by, .. }) if limit_by.is_empty());
        let sorted = [
            (query.order_by.is_some(), "order", "ORDER BY"),
            (is_offset, "offset", "OFFSET"),
            (query.limit_clause.is_some(), "limit", "LIMIT"),
            (query.fetch.is_some(), "fetch", "FETCH"),
        ];
        self.first("S120", order.unwrap_or(body_end), &sorted, "which needs an end, and a stream has none", ENDLESS)?;
        let dropped = [
            (query.settings.is_some(), "settings", "SETTINGS"),
            (!query.locks.is_empty() || query.for_clause.is_some(), "for", "a FOR clause"),
            (query.format_clause.is_some(), "format", "FORMAT"),
        ];
        self.first(
            "S003",
            body_end,
            &dropped,
            NOTHING,
            "remove it; a job's policies are options: WITH (name = 'value')",
        )?;
        let pipes = [(!query.pipe_operators.is_empty(), "|>", "a pipe operator")];
        self.first("S003", place(query.span().start), &pipes, "which is not taken", "write the steps as WITH queries")
    }

    fn with_queries(&self, query: &Query) -> Flow {
        let Some(with) = &query.with else { return ControlFlow::Continue(()) };
        if with.recursive {
            let at = self.statement.find_after("recursive", place(with.with_token.0.span.start));
            let message = "found WITH RECURSIVE, which would have to run until a stream ends";
            return self.refuse(
                "S160",
                at.unwrap_or(place(with.with_token.0.span.start)),
                message,
                "write the steps out as WITH queries",
            );
        }
        for (number, cte) in with.cte_tables.iter().enumerate() {
            let (name, at) = (normal(&cte.alias.name), place(cte.alias.name.span.start));
            if self.catalog.streams.contains_key(&name) || self.catalog.tables.contains_key(&name) {
                return self.refuse(
                    "S011",
                    at,
                    format!("the WITH query '{name}' has the name of a stream or a table"),
                    "give it another name",
                );
            }
            if with.cte_tables[..number].iter().any(|other| normal(&other.alias.name) == name) {
                return self.refuse(
                    "S011",
                    at,
                    format!("two WITH queries are called '{name}'"),
                    "give one of them another name",
                );
            }
        }
        ControlFlow::Continue(())
    }

    pub(super) fn select(&self, select: &mut Select) -> Flow {
        let from = place(select.select_token.0.span.start);
        if matches!(select.distinct, Some(Distinct::On(_))) {
            let help = "write row_number() OVER (PARTITION BY window_start, window_end, ... ORDER BY ...) AS n ... QUALIFY n = 1";
            let at = self.statement.find_after("distinct", from).unwrap_or(from);
            return self.refuse("S131", at, "found DISTINCT ON, which keeps whichever row comes first", help);
        }
        let plain_group = match &select.group_by {
            GroupByExpr::Expressions(_, modifiers) | GroupByExpr::All(modifiers) => modifiers.is_empty(),
        };
        let dropped = [
            (!select.optimizer_hints.is_empty(), "select", "an optimizer hint"),
            (select.into.is_some(), "into", "SELECT INTO"),
            (!select.lateral_views.is_empty(), "lateral", "LATERAL VIEW"),
            (select.prewhere.is_some(), "prewhere", "PREWHERE"),
            (!select.connect_by.is_empty(), "connect", "CONNECT BY"),
            (!select.cluster_by.is_empty(), "cluster", "CLUSTER BY"),
            (!select.distribute_by.is_empty(), "distribute", "DISTRIBUTE BY"),
            (!select.sort_by.is_empty(), "sort", "SORT BY"),
            (select.value_table_mode.is_some(), "select", "SELECT AS STRUCT or VALUE"),
            (select.select_modifiers.is_some(), "select", "a SELECT modifier"),
            (select.exclude.is_some(), "exclude", "EXCLUDE after the list"),
            (!plain_group, "group", "a GROUP BY modifier"),
        ];
        self.first("S003", from, &dropped, "which is not taken", "remove it")?;
        let top = [(select.top.is_some(), "top", "TOP")];
        self.first("S120", from, &top, "which needs an end, and a stream has none", ENDLESS)?;
        for join in select.from.iter().flat_map(|from| &from.joins) {
            self.join(&join.join_operator, place(join.relation.span().start))?;
        }
        self.wildcards(select)
    }

    /// Refuses the kinds of join that the planner does not know; `relation` is where the joined table stands.
    fn join(&self, operator: &JoinOperator, relation: Place) -> Flow {
        let (word, what) = match operator {
            JoinOperator::AsOf { .. } => ("asof", "ASOF JOIN"),
            JoinOperator::CrossApply | JoinOperator::OuterApply => ("apply", "APPLY"),
            JoinOperator::StraightJoin(_) => ("straight_join", "STRAIGHT_JOIN"),
            JoinOperator::ArrayJoin | JoinOperator::LeftArrayJoin | JoinOperator::InnerArrayJoin => {
                ("array", "ARRAY JOIN")
            }
            _ => return ControlFlow::Continue(()),
        };
        let at = self.statement.find_before(word, relation).unwrap_or(relation);
        let help = "put both streams into the same windows and join them on window_start and window_end";
        self.refuse("S003", at, format!("found {what}, which is not taken yet"), help)
    }

    pub(super) fn table_factor(&self, factor: &TableFactor) -> Flow {
        match factor {
            TableFactor::Table { .. } => self.table(factor),
            TableFactor::Derived { lateral, alias, sample, subquery } => {
                let start = place(subquery.span().start);
                if *lateral {
                    let at = self.statement.find_before("lateral", start).unwrap_or(start);
                    return self.refuse(
                        "S160",
                        at,
                        "found LATERAL, which would run once for each row of a stream",
                        "write a plain join",
                    );
                }
                self.sample(sample.is_some(), place(subquery.span().end))?;
                self.alias(alias.as_ref())
            }
            TableFactor::UNNEST { alias, .. } | TableFactor::NestedJoin { alias, .. } => self.alias(alias.as_ref()),
            TableFactor::Function { name, .. } => {
                let help = "call a window function in FROM without LATERAL: FROM tumble(stream, time_column, INTERVAL '5 minutes')";
                self.refuse(
                    "S160",
                    place(name.span().start),
                    format!("found LATERAL {name}(...), whose arguments would lose their names"),
                    help,
                )
            }
            other => {
                let help =
                    "FROM takes streams, tables, subqueries and the window functions tumble, hop, cumulate, session";
                self.refuse(
                    "S003",
                    place(other.span().start),
                    format!("found {}, which is not taken in FROM", construct(other)),
                    help,
                )
            }
        }
    }

    fn table(&self, factor: &TableFactor) -> Flow {
        let TableFactor::Table {
            name,
            alias,
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } = factor
        else {
            return ControlFlow::Continue(());
        };
        let dropped = [
            (!with_hints.is_empty(), "with", "table hints"),
            (version.is_some(), "for", "a table version"),
            (*with_ordinality, "ordinality", "WITH ORDINALITY"),
            (!partitions.is_empty(), "partition", "a partition selection"),
            (json_path.is_some(), "from", "a JSON path"),
            (!index_hints.is_empty(), "index", "index hints"),
            (args.as_ref().is_some_and(|args| args.settings.is_some()), "settings", "SETTINGS"),
        ];
        let from = place(name.span().end);
        self.first("S003", from, &dropped, NOTHING, "remove it")?;
        self.sample(sample.is_some(), from)?;
        self.alias(alias.as_ref())
    }

    fn sample(&self, found: bool, from: Place) -> Flow {
        let word = if self.statement.find_after("tablesample", from).is_some() { "tablesample" } else { "sample" };
        self.first(
            "S003",
            from,
            &[(found, word, "a sample")],
            "which would differ from run to run",
            "filter on a column of the row instead",
        )
    }

    /// `FROM t EMIT` makes `emit` an alias.
    fn alias(&self, alias: Option<&TableAlias>) -> Flow {
        match alias {
            Some(alias) if alias.name.quote_style.is_none() && alias.name.value.eq_ignore_ascii_case("emit") => {
                let help = "say when results come out in the job's options: WITH (emit = 'final')";
                self.refuse(
                    "S003",
                    place(alias.name.span.start),
                    "found EMIT, which would be read as a table alias",
                    help,
                )
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

fn construct(factor: &TableFactor) -> String {
    match factor {
        TableFactor::MatchRecognize { .. } => "MATCH_RECOGNIZE".into(),
        TableFactor::Pivot { .. } => "PIVOT".into(),
        TableFactor::Unpivot { .. } => "UNPIVOT".into(),
        TableFactor::JsonTable { .. } => "JSON_TABLE".into(),
        TableFactor::OpenJsonTable { .. } => "OPENJSON".into(),
        other => {
            let text = other.to_string();
            text.char_indices().nth(40).map_or_else(|| text.clone(), |(end, _)| format!("{}...", &text[..end]))
        }
    }
}
