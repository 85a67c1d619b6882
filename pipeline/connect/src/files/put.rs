//! Puts files into a store, large ones in parts.

use super::store::at;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{MultipartUpload as _, ObjectStore, ObjectStoreExt, PutPayload};
use std::sync::Arc;

/// Above it a file goes in parts, so that a slow line does not run into the time limit of one request.
const SINGLE_PUT: usize = 32 << 20;
/// Bytes of a part.
const PART: usize = 8 << 20;
/// Parts of one file under way at once.
const PARTS: usize = 4;

/// Puts a file called `name` below `prefix`, whole or not at all.
///
/// # Errors
/// What the store says.
pub async fn put(store: &Arc<dyn ObjectStore>, prefix: &Path, name: &str, bytes: Bytes) -> object_store::Result<()> {
    let path = at(prefix, name)?;
    if bytes.len() <= SINGLE_PUT {
        store.put(&path, PutPayload::from(bytes)).await.map(drop)
    } else {
        put_parts(store, &path, bytes).await
    }
}

async fn put_parts(store: &Arc<dyn ObjectStore>, path: &Path, bytes: Bytes) -> object_store::Result<()> {
    let mut upload = store.put_multipart(path).await?;
    let mut rest = bytes;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let part = rest.split_to(rest.len().min(PART));
        parts.push(upload.put_part(PutPayload::from(part)));
    }
    let sent: object_store::Result<Vec<()>> = futures::stream::iter(parts).buffered(PARTS).try_collect().await;
    let result = match sent {
        Ok(_) => upload.complete().await.map(drop),
        Err(error) => Err(error),
    };
    if result.is_err() {
        // The first error is the one to tell.
        let _ = upload.abort().await;
    }
    result
}
