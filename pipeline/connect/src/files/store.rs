//! Where tables lie: a local folder or an object store, which files of it count, and what its errors mean.

use super::durable::Durable;
use citystream_model::{Error, Result, storage};
use futures::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectStore, ObjectStoreExt, RetryConfig};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use url::Url;

/// The store of a local folder (made if it is missing) or of `s3://bucket/path`, and the folder's path in it. What is put
/// into a folder survives the death of the process, not that of the machine: [`durable`] does.
///
/// An object store takes its usual environment variables (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`,
/// `AWS_ALLOW_HTTP`, ...).
///
/// # Errors
/// A scheme that is not supported, a folder that cannot be made, wrong credentials settings.
pub fn open_store(url_or_path: &str) -> Result<(Arc<dyn ObjectStore>, Path)> {
    match url_or_path.split_once("://") {
        None => open_folder(url_or_path, std::path::Path::new(url_or_path)),
        Some(("file", _)) => {
            let path = parse(url_or_path)?.to_file_path().map_err(|()| not_a_store(url_or_path, "no local path"))?;
            open_folder(url_or_path, &path)
        }
        Some(("s3" | "s3a", _)) => {
            let url = parse(url_or_path)?;
            let path = Path::from_url_path(url.path()).map_err(|error| not_a_store(url_or_path, &error.to_string()))?;
            let store = AmazonS3Builder::from_env()
                .with_url(url_or_path)
                .with_retry(retry())
                .build()
                .map_err(|error| not_a_store(url_or_path, &error.to_string()))?;
            Ok((Arc::new(store), path))
        }
        Some((scheme, _)) => Err(not_a_store(url_or_path, &format!("scheme '{scheme}'"))),
    }
}

/// The folder of table `name` (checked by [`super::check_table`]) below `prefix`.
pub fn table_path(prefix: &Path, name: &str) -> Path {
    name.split('/').fold(prefix.clone(), |path, part| path.join(part))
}

/// The file `name` below `prefix`: folder values are escaped already.
///
/// # Errors
/// A name that no store has.
pub fn at(prefix: &Path, name: &str) -> object_store::Result<Path> {
    let whole = if prefix.as_ref().is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
    Path::parse(whole).map_err(Into::into)
}

/// True for a published file of the table at `prefix`: `*.parquet` with no part that starts with `_` or `.`.
pub fn is_visible(prefix: &Path, file: &Path) -> bool {
    let Some(mut parts) = file.prefix_match(prefix) else { return false };
    let hidden = |part: &str| part.starts_with('_') || part.starts_with('.');
    file.filename().is_some_and(|name| name.ends_with(".parquet")) && !parts.any(|part| hidden(part.as_ref()))
}

/// True when the table at `prefix` has a published file.
///
/// # Errors
/// The store cannot be read.
pub fn holds_rows(store: &Arc<dyn ObjectStore>, prefix: &Path, handle: &Handle) -> Result<bool> {
    handle.block_on(async {
        let mut files = store.list(Some(prefix));
        while let Some(file) = files.next().await {
            if is_visible(prefix, &file.map_err(|error| failure("read", prefix.as_ref(), error))?.location) {
                return Ok(true);
            }
        }
        Ok(false)
    })
}

/// Removes everything below `prefix`, hidden parts and logs too; a table that does not exist is fine. Files with `spared` in
/// their names stay: those of the job itself.
///
/// Visible files go first, so that a reader never sees a log without its files for longer than it takes.
///
/// # Errors
/// The store cannot be read or a file cannot be removed.
pub fn remove_table(store: &Arc<dyn ObjectStore>, prefix: &Path, spared: Option<&str>, handle: &Handle) -> Result<()> {
    handle.block_on(async {
        let found = store.list(Some(prefix)).try_collect::<Vec<_>>().await;
        let mut files = found.map_err(|error| failure("read", prefix.as_ref(), error))?;
        files.sort_by_key(|file| !is_visible(prefix, &file.location));
        let is_spared =
            |file: &Path| spared.is_some_and(|part| file.filename().is_some_and(|name| name.contains(part)));
        for file in files.into_iter().filter(|file| !is_spared(&file.location)) {
            match store.delete(&file.location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(failure("remove", file.location.as_ref(), error)),
            }
        }
        Ok(())
    })
}

/// What an error of the store means for the operator.
pub fn failure(what: &str, path: &str, error: object_store::Error) -> Error {
    use object_store::Error::{PermissionDenied, Unauthenticated};
    let denied = matches!(error, PermissionDenied { .. } | Unauthenticated { .. });
    storage::failure(what, path, denied, error)
}

/// As [`open_store`]; what was put into a folder is on the disk before a put returns, as in an object store.
///
/// # Errors
/// As [`open_store`].
pub fn durable(url_or_path: &str) -> Result<(Arc<dyn ObjectStore>, Path)> {
    let (store, path) = open_store(url_or_path)?;
    let folder = match url_or_path.split_once("://") {
        None => PathBuf::from(url_or_path),
        Some(("file", _)) => {
            parse(url_or_path)?.to_file_path().map_err(|()| not_a_store(url_or_path, "no local path"))?
        }
        Some(_) => return Ok((store, path)),
    };
    Ok((Arc::new(Durable::new(store, folder)), path))
}

fn open_folder(shown: &str, path: &std::path::Path) -> Result<(Arc<dyn ObjectStore>, Path)> {
    if shown.is_empty() {
        return Err(not_a_store(shown, "no path"));
    }
    std::fs::create_dir_all(path).map_err(|error| not_made(shown, error))?;
    let store = LocalFileSystem::new_with_prefix(path).map_err(|error| failure("open", shown, error))?;
    Ok((Arc::new(store), Path::default()))
}

/// Tries within one request; longer outages are the caller's, who shows them and can be stopped meanwhile.
fn retry() -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: Duration::from_secs(2), ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: 10, retry_timeout: Duration::from_secs(8) }
}

fn not_made(shown: &str, error: io::Error) -> Error {
    let source = object_store::Error::Generic { store: "folder", source: Box::new(error) };
    failure("make folder", shown, source)
}

fn parse(url: &str) -> Result<Url> {
    Url::parse(url).map_err(|error| not_a_store(url, &error.to_string()))
}

fn not_a_store(shown: &str, found: &str) -> Error {
    Error::job(format!("data folder '{shown}': found {found}, expected a local folder or s3://BUCKET/PATH"))
}
