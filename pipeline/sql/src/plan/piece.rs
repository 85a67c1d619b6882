//! A piece of plan over feeds, while a plan is cut into operators.

use crate::plan::columns::Facts;
use arrow::datatypes::{Field, Schema, SchemaRef};
use citystream_operators::fragment::Feed;
use citystream_operators::plan::Input;
use datafusion::common::{DFSchema, DFSchemaRef, DataFusionError, Result, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col};
use std::sync::Arc;

/// SQL that works row by row over feeds; without feeds it is a table that never changes.
pub(crate) struct Piece {
    pub(crate) plan: LogicalPlan,
    /// Where the plan reads from, in the order of the ports.
    pub(crate) feeds: Vec<(Arc<Feed>, Input)>,
    /// What is known of the plan's columns.
    pub(crate) facts: Facts,
}

/// Hidden column with the time of a row whose SELECT has no time column.
pub(crate) const TIME: &str = "__time";
/// Hidden column with the number of stream and partition that a stateless row came from, or when a row's window closed.
pub(crate) const SOURCE: &str = "__source";
/// Hidden column with the offset that a stateless row came from; -1 for a row of a window.
pub(crate) const OFFSET: &str = "__offset";
/// Tables that read feeds are called by this and the feed's number.
const FEED: &str = "__feed";

// === impl Piece ===

impl Piece {
    pub(crate) fn table(plan: LogicalPlan) -> Self {
        let facts = vec![None; plan.schema().fields().len()];
        Self { plan, feeds: Vec::new(), facts }
    }

    /// A piece that reads the output of `input`, whose columns are those of `schema`.
    pub(crate) fn reading(input: Input, schema: &DFSchemaRef, facts: Facts, number: usize) -> Result<Self> {
        let (plan, feed) = feed(schema, number)?;
        Ok(Self { plan, feeds: vec![(feed, input)], facts })
    }

    pub(crate) fn is_table(&self) -> bool {
        self.feeds.is_empty()
    }

    /// Position of a hidden column.
    pub(crate) fn hidden(&self, name: &str) -> Option<usize> {
        self.plan.schema().fields().iter().position(|field| field.name() == name)
    }

    /// The column at `at` as an expression.
    pub(crate) fn column(&self, at: usize) -> Expr {
        Expr::from(self.plan.schema().qualified_field(at))
    }

    /// The columns of `schema` by name; hidden ones that the piece has on top are left out.
    pub(crate) fn columns_of(&self, schema: &DFSchema) -> Vec<Expr> {
        schema.iter().map(Expr::from).collect()
    }
}

/// The number of the feed that a table of a plan reads, if it reads one.
pub(crate) fn feed_number(table: &str) -> Option<usize> {
    table.strip_prefix(FEED)?.parse().ok()
}

/// A scan of all columns of a feed.
pub(crate) fn scan(feed: &Arc<Feed>) -> Result<LogicalPlan> {
    let provider = feed.table().map_err(|error| DataFusionError::External(Box::new(error)))?;
    LogicalPlanBuilder::scan(format!("{FEED}{}", feed.number()), provider_as_source(provider), None)?.build()
}

/// A scan of a new feed that looks like a plan with `schema`.
pub(crate) fn feed(schema: &DFSchemaRef, number: usize) -> Result<(LogicalPlan, Arc<Feed>)> {
    // Plain names, since two tables of a join may both have a column `k`.
    let fields =
        schema.fields().iter().enumerate().map(|(at, field)| field.as_ref().clone().with_name(format!("c{at}")));
    let arrow: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<Field>>()));
    let feed = Feed::new(arrow, number);
    let name = format!("{FEED}{number}");
    let columns = schema.iter().enumerate().map(|(at, (qualifier, field))| {
        let source = col(datafusion::common::Column::new(Some(TableReference::bare(name.as_str())), format!("c{at}")));
        match qualifier {
            Some(qualifier) => source.alias_qualified(Some(qualifier.clone()), field.name()),
            None => source.alias(field.name()),
        }
    });
    let scan = LogicalPlanBuilder::from(scan(&feed)?);
    Ok((scan.project(columns.collect::<Vec<_>>())?.build()?, feed))
}
