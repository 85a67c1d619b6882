//! Which rows each operator has to see together, so that several shards can share its work.
//!
//! ```text
//!   stream loops, key detector, by partition    detector stands in one partition
//!     calc    window by measured_at             the same
//!     pane    GROUP BY window, detector         the key is among the group's: no exchange
//!     pane    GROUP BY window, district         it is not: states go by district
//! ```
//!
//! It reads the operators, not the query: a column is followed through a fragment down to the feed that it comes from.

use crate::plan::piece::feed_number;
use arrow::datatypes::DataType;
use citystream_model::stream::{Column as StreamColumn, Stream};
use citystream_operators::plan::{FragmentPlan, Input, KeyRole, NodeKind, PaneSpec, PlanNode, Route, SessionPaneSpec};
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan};
use std::sync::Arc;

/// Says of each of `nodes` how its rows are routed.
pub(crate) fn assign(nodes: &mut [PlanNode], streams: &[Arc<Stream>]) {
    // Per node: the column that holds the record's key, for as long as rows are where its partition has put them.
    let mut keys: Vec<Option<usize>> = Vec::new();
    for node in nodes {
        let inputs: Vec<Option<usize>> = node
            .inputs
            .iter()
            .map(|input| match *input {
                Input::Stream(stream) => record_key(&streams[stream]),
                Input::Node(node) => keys[node],
            })
            .collect();
        let key = if let [key] = inputs[..] { key } else { None };
        let (route, key) = of_kind(&node.kind, inputs.len(), key);
        node.route = route;
        keys.push(key);
    }
}

/// Position of the column by which producers partition the stream. Records without a key may stand anywhere, so the
/// column must not be NULL; and a value must have one spelling as a key, which 0.0 and -0.0, or 1.5 and 1.50, are not.
fn record_key(stream: &Stream) -> Option<usize> {
    let key = stream.key.as_ref()?;
    let serves = |column: &StreamColumn| {
        let has_one_form =
            matches!(column.data_type, DataType::Utf8 | DataType::Int16 | DataType::Int32 | DataType::Int64);
        column.name == *key && !column.nullable && has_one_form
    };
    stream.columns.iter().position(serves)
}

/// How an operator's rows are routed, and where the record's key is behind it.
fn of_kind(kind: &NodeKind, inputs: usize, key: Option<usize>) -> (Route, Option<usize>) {
    match kind {
        NodeKind::Stateless(fragment) => {
            let outputs = 0..fragment.plan.schema().fields().len();
            let holds_key =
                |at: &usize| key.is_some() && origin(&fragment.plan, *at, fragment) == key.map(|key| (0, key));
            (Route::Stay, outputs.into_iter().find(holds_key))
        }
        NodeKind::Pane(spec) => {
            let at = key.and_then(|key| place_of(spec, key));
            (Route::Keys { columns: Vec::new(), by_record_key: at.is_some() }, at)
        }
        NodeKind::Session(spec) if spec.keys.is_empty() => (Route::One, None),
        NodeKind::Session(spec) => {
            let by_record_key = key.is_some_and(|key| spec.keys.contains(&key));
            let at =
                key.filter(|_| by_record_key).and_then(|key| spec.columns.iter().position(|column| *column == key));
            (Route::Keys { columns: vec![spec.keys.clone()], by_record_key }, at)
        }
        NodeKind::SessionPane(spec) => of_sessions(spec, inputs, key),
        NodeKind::ClosedWindow { fragment, .. } => match together(fragment) {
            None => (Route::One, None),
            Some(columns) => {
                let by_record_key = columns.len() == 1 && key.is_some_and(|key| columns[0].contains(&key));
                (Route::Keys { columns, by_record_key }, None)
            }
        },
    }
}

/// Column of a group's rows that `key` is, if it is a plain one.
fn column_in(key: &Expr, groups: &PaneSpec) -> Option<usize> {
    groups.input.maybe_index_of_column(plain(key)?)
}

/// Which of the keys is column `at` of the rows.
fn place_of(groups: &PaneSpec, at: usize) -> Option<usize> {
    groups.keys.iter().position(|(key, _)| column_in(key, groups) == Some(at))
}

/// Sessions go by their keys; the second input, where there is one, has those keys first.
fn of_sessions(spec: &SessionPaneSpec, inputs: usize, key: Option<usize>) -> (Route, Option<usize>) {
    let keys = spec.groups.keys.iter().filter(|(_, role)| *role == KeyRole::OfPane);
    let Some(columns) = keys.map(|(expr, _)| column_in(expr, &spec.groups)).collect::<Option<Vec<usize>>>() else {
        return (Route::One, None);
    };
    if columns.is_empty() {
        return (Route::One, None);
    }
    let by_record_key = key.is_some_and(|key| columns.contains(&key));
    let out = key.filter(|_| by_record_key).and_then(|key| place_of(&spec.groups, key));
    let extents = (0..columns.len()).collect();
    let columns = if inputs > 1 { vec![columns, extents] } else { vec![columns] };
    (Route::Keys { columns, by_record_key }, out)
}

/// Columns of the inputs in which rows agree that the SQL of a window puts together; `None` if there are none.
fn together(fragment: &FragmentPlan) -> Option<Vec<Vec<usize>>> {
    let mut plan = &fragment.plan;
    while let LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) = plan {
        plan = plan.inputs().first()?;
    }
    let columns = match plan {
        LogicalPlan::Join(join) => return of_join(join, fragment),
        LogicalPlan::Aggregate(aggregate) => {
            let keys = aggregate.group_expr.iter();
            keys.filter_map(|key| column_of(key, &aggregate.input, fragment)).collect()
        }
        LogicalPlan::Window(window) => {
            let keys = crate::plan::over::shared_keys(&window.window_expr);
            keys.iter().filter_map(|key| column_of(key, &window.input, fragment)).collect()
        }
        _ => Vec::new(),
    };
    let columns: Vec<usize> = columns.into_iter().map(|(_, column)| column).collect();
    (fragment.feeds.len() == 1 && !columns.is_empty()).then_some(vec![columns])
}

/// Columns that an equality of the join holds together, of the same type on both sides.
fn of_join(join: &Join, fragment: &FragmentPlan) -> Option<Vec<Vec<usize>>> {
    let mut ports = vec![Vec::new(); 2];
    for (left, right) in &join.on {
        let places = (column_of(left, &join.left, fragment), column_of(right, &join.right, fragment));
        let (Some((left, left_column)), Some((right, right_column))) = places else { continue };
        let data_type =
            |port: usize, column: usize| fragment.feeds.get(port).map(|feed| feed.schema().field(column).data_type());
        if left != right && left.max(right) == 1 && data_type(left, left_column) == data_type(right, right_column) {
            ports[left].push(left_column);
            ports[right].push(right_column);
        }
    }
    (fragment.feeds.len() == 2 && !ports[0].is_empty()).then_some(ports)
}

/// Port and column of the feed that a plain column over `input` comes from.
fn column_of(expr: &Expr, input: &LogicalPlan, fragment: &FragmentPlan) -> Option<(usize, usize)> {
    origin(input, input.schema().maybe_index_of_column(plain(expr)?)?, fragment)
}

fn plain(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => plain(&alias.expr),
        _ => None,
    }
}

/// The origin of the column of the left side that an inner join holds equal to column `at` of the right one.
fn twin(join: &Join, at: usize, fragment: &FragmentPlan) -> Option<(usize, usize)> {
    let is_it =
        |right: &Expr| plain(right).and_then(|column| join.right.schema().maybe_index_of_column(column)) == Some(at);
    let (left, _) = join.on.iter().find(|(_, right)| join.join_type == JoinType::Inner && is_it(right))?;
    column_of(left, &join.left, fragment)
}

/// Port and column of the feed that column `at` of `plan` comes from unchanged.
pub(crate) fn origin(plan: &LogicalPlan, at: usize, fragment: &FragmentPlan) -> Option<(usize, usize)> {
    match plan {
        LogicalPlan::Projection(projection) => column_of(&projection.expr[at], &projection.input, fragment),
        LogicalPlan::SubqueryAlias(alias) => origin(&alias.input, at, fragment),
        LogicalPlan::Filter(filter) => origin(&filter.input, at, fragment),
        LogicalPlan::Join(join) => {
            let left = join.left.schema().fields().len();
            match join.join_type {
                JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => None,
                _ if at < left => origin(&join.left, at, fragment),
                JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => None,
                _ => origin(&join.right, at - left, fragment).or_else(|| twin(join, at - left, fragment)),
            }
        }
        LogicalPlan::Unnest(unnest) => {
            let (qualifier, field) = unnest.schema.qualified_field(at);
            let column = Column::new(qualifier.cloned(), field.name());
            let input = unnest.input.schema().maybe_index_of_column(&column)?;
            let is_list = unnest.exec_columns.contains(&column);
            (!is_list).then(|| origin(&unnest.input, input, fragment))?
        }
        LogicalPlan::TableScan(scan) => {
            let number = feed_number(scan.table_name.table())?;
            let port = fragment.feeds.iter().position(|feed| feed.number() == number)?;
            Some((port, scan.projection.as_ref().map_or(Some(at), |columns| columns.get(at).copied())?))
        }
        _ => None,
    }
}
