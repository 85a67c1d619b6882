//! Rows of sessions: of those that have ended, and where results come out early, what they replace.

use super::SessionPane;
use super::complete::{Complete, OpenSession};
use super::early::Row;
use crate::aggregates::failed;
use crate::plan::KeyRole;
use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray, new_null_array};
use citystream_model::time::Micros;
use citystream_model::{Error, Result};
use datafusion::common::ScalarValue;
use std::sync::Arc;

impl SessionPane {
    /// Puts out results of sessions that have ended.
    pub(super) fn put_out(&mut self, pane: &Complete, ended: &[OpenSession], out: &mut Vec<RecordBatch>) -> Result<()> {
        let states = pane.rows(ended);
        if states.is_empty() {
            return Ok(());
        }
        let numbers: Vec<usize> =
            states.values().iter().map(|row| pane.sealed.numbers[*row as usize] as usize).collect();
        let mut groups = self.aggregates.groups()?;
        let places = groups.place(&numbers, self.keys.len());
        groups.merge(&self.aggregates, &pane.sealed.states_of(&states)?, &places)?;
        let gap = self.gap;
        let row = |session: &OpenSession, group: &usize| Row {
            key: session.key,
            start: session.start,
            end: session.last.saturating_add(gap),
            group: *group as u32,
        };
        let sessions = ended.iter().flat_map(|session| std::iter::repeat_n(session, session.groups.len()));
        let rows: Vec<Row> = sessions.zip(&numbers).map(|(session, group)| row(session, group)).collect();
        let results = self.batch(&rows, groups.results()?)?;
        if self.revisions.is_none() {
            out.push(results);
            return Ok(());
        }
        let over = ended.iter().map(|session| (session.key, session.start..session.last.saturating_add(gap)));
        self.replace(over, &rows, &results, false, out)
    }

    /// Rows with these values of the aggregates.
    pub(super) fn batch(&mut self, rows: &[Row], values: Vec<ArrayRef>) -> Result<RecordBatch> {
        let numbers: Vec<u32> = rows.iter().map(|row| row.group).collect();
        let bound = |of: fn(&Row) -> Micros| -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(of)))
        };
        let (session_keys, more_keys) = self.keys.columns(&numbers, self.session_keys.len())?;
        let (mut session_keys, mut more_keys) = (session_keys.into_iter(), more_keys.into_iter());
        let missing = || Error::internal("a session lacks a key");
        let key = |role: &KeyRole| match role {
            KeyRole::Start => Ok(bound(|row| row.start)),
            KeyRole::End => Ok(bound(|row| row.end)),
            KeyRole::OfPane => session_keys.next().ok_or_else(missing),
            KeyRole::Key => more_keys.next().ok_or_else(missing),
        };
        let mut columns = self.roles.iter().map(key).collect::<Result<Vec<_>>>()?;
        columns.extend(values);
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns);
        batch.map_err(|error| Error::internal("result of a session").caused_by(error))
    }

    /// Rows of which only the keys count.
    pub(super) fn bare(&mut self, rows: &[Row]) -> Result<RecordBatch> {
        let schema = Arc::clone(&self.schema);
        let nothing = schema.fields()[self.roles.len()..].iter().map(|field| match field.is_nullable() {
            true => Ok(new_null_array(field.data_type(), rows.len())),
            false => ScalarValue::new_default(field.data_type())?.to_array_of_size(rows.len()),
        });
        let nothing = nothing.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        self.batch(rows, nothing)
    }
}
