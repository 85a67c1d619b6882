//! What errors of the Delta library mean for the operator, and for who tries again.

use citystream_connect::files;
use citystream_model::Error;
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::transaction::TransactionError;
use std::error::Error as StdError;

/// An error of the library as one of ours: what was tried, at which table.
pub(super) fn failure(what: &str, table: &str, error: DeltaTableError) -> Error {
    match error {
        DeltaTableError::ObjectStore { source } => files::failure(what, table, source),
        DeltaTableError::Transaction { source } => of_transaction(what, table, source),
        error if is_broken(&error) => {
            let message = format!("cannot {what} Delta table {table}: its log cannot be used as it is");
            Error::unavailable(message).permanent().caused_by(error)
        }
        error => match hidden_store_error(&error) {
            true => Error::unavailable(format!("cannot {what} Delta table {table}: its store does not answer"))
                .caused_by(error),
            false => Error::unavailable(format!("cannot {what} Delta table {table}")).caused_by(error),
        },
    }
}

/// True when another writer was quicker, so that the table has to be looked at again.
pub(super) fn is_conflict(error: &DeltaTableError) -> bool {
    use TransactionError::{CommitConflict, MaxCommitAttempts, VersionAlreadyExists};
    match error {
        DeltaTableError::VersionAlreadyExists(_) => true,
        DeltaTableError::Transaction { source } => {
            matches!(source, CommitConflict(_) | MaxCommitAttempts(_) | VersionAlreadyExists(_))
        }
        _ => false,
    }
}

fn of_transaction(what: &str, table: &str, error: TransactionError) -> Error {
    use TransactionError::{DeltaTableAppendOnly, TableFeaturesRequired, UnsupportedTableFeatures};
    match error {
        TransactionError::ObjectStore { source } => files::failure(what, table, source),
        DeltaTableAppendOnly | TableFeaturesRequired(_) | UnsupportedTableFeatures(_) => {
            Error::unavailable(format!("cannot {what} Delta table {table}: {error}")).permanent()
        }
        error => Error::unavailable(format!("cannot {what} Delta table {table}")).caused_by(error),
    }
}

/// True for a log that another try reads no better.
fn is_broken(error: &DeltaTableError) -> bool {
    matches!(
        error,
        DeltaTableError::InvalidJsonLog { .. }
            | DeltaTableError::InvalidVersion(_)
            | DeltaTableError::NoSchema
            | DeltaTableError::SchemaMismatch { .. }
    )
}

/// True when a store's error stands behind one of the library.
fn hidden_store_error(error: &DeltaTableError) -> bool {
    let mut source = error.source();
    while let Some(inner) = source {
        if inner.is::<object_store::Error>() {
            return true;
        }
        source = inner.source();
    }
    false
}
