//! Damage: an object of a checkpoint is missing, or not as it was written. Another manifest may help then.

use citystream_model::{Error, ErrorKind};

/// First words of every such error.
const DAMAGED: &str = "checkpoint damaged: ";

/// An error that says what is wrong with which object; trying again does not help.
pub(crate) fn damaged(found: &str) -> Error {
    Error::unavailable(format!("{DAMAGED}{found}")).permanent()
}

/// True for what another manifest may help with, not for a store that does not answer or lets nobody read.
pub fn is_damage(error: &Error) -> bool {
    error.kind() == ErrorKind::Unavailable && error.message().starts_with(DAMAGED)
}
