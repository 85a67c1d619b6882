//! What an error of a folder or an object store means for the operator.

use crate::Error;
use std::error::Error as StdError;
use std::io;

/// What failed at `path`: `what` is a verb, such as `write`; `denied` says that the store refused for want of rights.
///
/// A full disk, missing rights and impossible names are permanent; all else may pass.
pub fn failure(what: &str, path: &str, denied: bool, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
    let source = source.into();
    let made = match io_kind(source.as_ref()) {
        Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => Error::resource(format!(
            "cannot {what} {path}: the disk is full; free space or choose another folder, then start the job again"
        )),
        Some(io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename) => Error::unavailable(format!(
            "cannot {what} {path}: a part of it is a file or too long; choose another folder"
        ))
        .permanent(),
        Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => no_right(what, path),
        _ if denied => no_right(what, path),
        _ => Error::unavailable(format!("cannot {what} {path}")),
    };
    made.caused_by(source)
}

fn no_right(what: &str, path: &str) -> Error {
    let message = format!("cannot {what} {path}: permission denied; give the process the right to write there");
    Error::unavailable(message).permanent()
}

/// The operating system's kind of error below an error, if it has one.
pub fn io_kind(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(found) = next {
        if let Some(io) = found.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        next = found.source();
    }
    None
}
