//! A local folder whose files are on the disk before a request is answered, their names too.
//!
//! ```text
//!   put a/b/c --> write, rename into place --> fsync a/b/c --> fsync a/b, and a where b is new
//! ```

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};

/// The folder; see the module.
#[derive(Debug, Clone)]
pub(crate) struct Durable {
    store: Arc<dyn ObjectStore>,
    folder: Arc<Folder>,
}

#[derive(Debug)]
struct Folder {
    root: PathBuf,
    /// Folders whose names are on the disk.
    known: Mutex<BTreeSet<PathBuf>>,
}

/// A file that is put in parts.
#[derive(Debug)]
struct Upload {
    upload: Box<dyn MultipartUpload>,
    folder: Arc<Folder>,
    location: Path,
}

// === impl Durable ===

impl Durable {
    /// `store` is that of the folder `root`.
    pub(crate) fn new(store: Arc<dyn ObjectStore>, root: PathBuf) -> Self {
        Self { store, folder: Arc::new(Folder { root, known: Mutex::default() }) }
    }
}

impl Folder {
    /// Brings a file, its name and those of its folders to the disk.
    async fn sync(self: &Arc<Self>, location: &Path) -> Result<()> {
        let (folder, location) = (Arc::clone(self), location.clone());
        let done = tokio::task::spawn_blocking(move || folder.sync_now(&location)).await;
        let done = done.unwrap_or_else(|error| Err(io::Error::other(error)));
        done.map_err(|error| Error::Generic { store: "folder", source: Box::new(error) })
    }

    fn sync_now(&self, location: &Path) -> io::Result<()> {
        let file = location.parts().fold(self.root.clone(), |path, part| path.join(part.as_ref()));
        File::open(&file)?.sync_all()?;
        let mut above = file.parent();
        while let Some(folder) = above.filter(|folder| folder.starts_with(&self.root)) {
            File::open(folder)?.sync_all()?;
            // The name of a folder that was seen before stands in the one above it.
            if !self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_path_buf()) {
                break;
            }
            above = folder.parent();
        }
        Ok(())
    }
}

impl fmt::Display for Durable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, synced", self.store)
    }
}

#[async_trait]
impl ObjectStore for Durable {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let put = self.store.put_opts(location, payload, opts).await?;
        self.folder.sync(location).await?;
        Ok(put)
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.store.put_multipart_opts(location, opts).await?;
        Ok(Box::new(Upload { upload, folder: Arc::clone(&self.folder), location: location.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.store.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await?;
        self.folder.sync(to).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.store.rename_opts(from, to, options).await?;
        self.folder.sync(to).await
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let put = self.upload.complete().await?;
        self.folder.sync(&self.location).await?;
        Ok(put)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}
