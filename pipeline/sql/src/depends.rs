//! What a job depends on: streams, reference tables, and all that a state of it means something by.

use crate::catalog::Catalog;
use crate::jobs::{CheckedJob, Tables};
use arrow::ipc::writer::StreamWriter;
use citystream_model::job::Emit;
use citystream_model::stream::Stream;
use datafusion::common::Result as PlanResult;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::LogicalPlan;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

impl CheckedJob {
    /// What a state of the job depends on, part by part: where two of these differ, it means something else.
    pub fn depends_on(&self) -> BTreeMap<String, String> {
        let names: Vec<&str> = self.plan.nodes.iter().map(|node| node.name.as_str()).collect();
        let query = format!("{}\n{}", self.optimized.display_indent(), names.join("\n"));
        let sinks: Vec<String> = self.spec.sinks.iter().map(ToString::to_string).collect();
        let parts = [
            ("query".to_owned(), query),
            ("lateness".to_owned(), format!("{:?}", self.spec.lateness)),
            ("treatment of late rows".to_owned(), format!("{:?}", self.spec.late)),
            ("set of sinks".to_owned(), sinks.join(", ")),
        ];
        // How often they come out early matters to nobody who goes on.
        let emit = (self.spec.emit != Emit::Final)
            .then(|| ("choice between final and early results, or key".to_owned(), self.spec.key.join(", ")));
        parts.into_iter().chain(emit).chain(self.streams.iter().map(|stream| depends_on(stream))).collect()
    }
}

/// What a state depends on of a stream's declaration.
fn depends_on(stream: &Stream) -> (String, String) {
    let Stream { name, topic, columns, format, time_column, time_format, time_zone, time_fold, .. } = stream;
    let text = format!(
        "{topic} {columns:?} {format:?} {time_column} {time_format:?} {time_zone:?} {time_fold:?} {:?} {:?} {}",
        stream.out_of_order, stream.key, stream.rejects
    );
    (format!("declaration of stream '{name}'"), text)
}

/// The streams that `plan` reads, by name.
pub(crate) fn streams_of(plan: &LogicalPlan, catalog: &Catalog) -> PlanResult<Vec<Arc<Stream>>> {
    let mut used = BTreeMap::new();
    plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(stream) = catalog.streams.get(scan.table_name.table())
        {
            used.insert(stream.name.clone(), Arc::clone(stream));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(used.into_values().collect())
}

/// The reference tables that `plan` reads, each with a hash of its rows.
pub(crate) fn tables_of(plan: &LogicalPlan, tables: &Tables) -> PlanResult<BTreeMap<String, String>> {
    let mut used = BTreeMap::new();
    plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some((schema, batches)) = tables.get(scan.table_name.table())
        {
            let mut bytes = StreamWriter::try_new(Vec::new(), schema)?;
            batches.iter().try_for_each(|batch| bytes.write(batch))?;
            let hash = Sha256::digest(bytes.into_inner()?);
            let text = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            used.insert(scan.table_name.table().to_owned(), text);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(used)
}
