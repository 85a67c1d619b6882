//! Numbers of sessions and of groups: the same where a group has no keys but its session's.

use crate::group_keys;
use crate::keys::KeyDict;
use crate::plan::{KeyRole, PaneSpec};
use arrow::array::ArrayRef;
use arrow::datatypes::Schema;
use citystream_model::Result;
use std::sync::Arc;

/// Both dictionaries.
pub(super) struct Keys {
    sessions: KeyDict,
    /// Keys of the session, then the others; `None` when there are no others.
    groups: Option<KeyDict>,
}

/// New number of each old one, where keys were forgotten.
pub(super) struct Moved {
    sessions: Option<Vec<u32>>,
    /// `None` when groups have the numbers of their sessions.
    groups: Option<Option<Vec<u32>>>,
}

// === impl Keys ===

impl Keys {
    pub(super) fn new(spec: &PaneSpec) -> Result<Self> {
        let (mut fields, more) = (group_keys::fields(spec, KeyRole::OfPane), group_keys::fields(spec, KeyRole::Key));
        let sessions = KeyDict::new(Arc::new(Schema::new(fields.clone())))?;
        let has_more = !more.is_empty();
        fields.extend(more);
        let groups = has_more.then(|| KeyDict::new(Arc::new(Schema::new(fields)))).transpose()?;
        Ok(Self { sessions, groups })
    }

    /// Number of each row's session key.
    pub(super) fn sessions(&mut self, keys: &[ArrayRef], rows: usize) -> Result<Vec<usize>> {
        let mut numbers = Vec::with_capacity(rows);
        self.sessions.intern(keys, rows, &mut numbers)?;
        Ok(numbers)
    }

    /// Number of each row's group, with the numbers of the rows' session keys.
    pub(super) fn groups(
        &mut self,
        sessions: &[usize],
        mut keys: Vec<ArrayRef>,
        more: Vec<ArrayRef>,
    ) -> Result<Vec<usize>> {
        let Some(groups) = &mut self.groups else { return Ok(sessions.to_vec()) };
        keys.extend(more);
        let mut numbers = Vec::with_capacity(sessions.len());
        groups.intern(&keys, sessions.len(), &mut numbers)?;
        Ok(numbers)
    }

    /// Key columns of groups: those of the session, of which there are `of_session`, and the others.
    pub(super) fn columns(&mut self, groups: &[u32], of_session: usize) -> Result<(Vec<ArrayRef>, Vec<ArrayRef>)> {
        let mut columns = self.of_groups().keys(groups)?;
        let more = columns.split_off(of_session);
        Ok((columns, more))
    }

    /// Key columns of sessions.
    pub(super) fn session_columns(&mut self, sessions: &[u32]) -> Result<Vec<ArrayRef>> {
        self.sessions.keys(sessions)
    }

    fn of_groups(&mut self) -> &mut KeyDict {
        self.groups.as_mut().unwrap_or(&mut self.sessions)
    }

    /// Above the number of every group.
    pub(super) fn len(&self) -> usize {
        self.groups.as_ref().unwrap_or(&self.sessions).len()
    }

    /// Above the number of every session.
    pub(super) fn sessions_len(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn hold_sessions(&mut self, numbers: &[u32]) {
        self.sessions.hold(numbers);
    }

    pub(super) fn hold_groups(&mut self, numbers: &[u32]) {
        self.of_groups().hold(numbers);
    }

    pub(super) fn release_sessions(&mut self, numbers: &[u32]) {
        self.sessions.release(numbers);
    }

    pub(super) fn release_groups(&mut self, numbers: &[u32]) {
        self.of_groups().release(numbers);
    }

    /// Forgets what nothing holds.
    pub(super) fn sweep(&mut self) -> Result<Moved> {
        let sessions = self.sessions.sweep()?;
        Ok(Moved { sessions, groups: self.groups.as_mut().map(KeyDict::sweep).transpose()? })
    }

    /// Sessions and groups that something holds.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.sessions.held() + self.groups.as_ref().map_or(0, KeyDict::held)
    }

    pub(super) fn bytes(&self) -> usize {
        self.sessions.bytes() + self.groups.as_ref().map_or(0, KeyDict::bytes)
    }
}

// === impl Moved ===

impl Moved {
    pub(super) fn sessions(&self) -> Option<&[u32]> {
        self.sessions.as_deref()
    }

    pub(super) fn groups(&self) -> Option<&[u32]> {
        self.groups.as_ref().map_or(self.sessions(), |groups| groups.as_deref())
    }
}
