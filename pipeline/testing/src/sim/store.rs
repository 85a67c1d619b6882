//! The store as one instance sees it: an object store in memory behind a line on which things go wrong.

use super::baton::Place;
use super::faults::{Fault, Fuse};
use super::flaws::Flaw;
use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::fmt;
use std::future::Future;
use std::sync::Arc;

/// The shared store, with one instance's faults.
pub(crate) struct Line {
    store: Arc<InMemory>,
    fuse: Arc<Fuse>,
    company: Company,
    flaw: Option<Flaw>,
}

/// Who else is there.
#[derive(Clone)]
pub(crate) enum Company {
    /// Nobody; while this process sleeps another one runs to its end.
    Sleeps(Arc<dyn Fn() + Send + Sync>),
    /// Others, which take turns with this one.
    Others(Arc<Place>),
}

// === impl Line ===

impl Line {
    pub(crate) fn new(store: Arc<InMemory>, fuse: Arc<Fuse>, company: Company, flaw: Option<Flaw>) -> Self {
        Self { store, fuse, company, flaw }
    }

    /// On a thread of its own, since a request of this one is under way in the runtime.
    fn sleep(&self) {
        if let Company::Sleeps(meanwhile) = self.company.clone() {
            std::thread::spawn(move || meanwhile()).join().expect("what happens meanwhile does not panic");
        }
    }

    /// The process ends, unless this is a thread of a library: that gets no answer.
    fn die<T>(&self) -> Result<T> {
        self.fuse.die();
        Err(lost())
    }

    /// One request.
    async fn send<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        if let Company::Others(place) = &self.company {
            place.turn();
        }
        if self.fuse.is_dead() {
            return self.die();
        }
        match self.fuse.next() {
            None => request.await,
            Some(Fault::DieBefore) => self.die(),
            Some(Fault::DieAfter) => {
                let _unheard = request.await;
                self.die()
            }
            Some(Fault::LoseAnswer) => {
                let _unheard = request.await;
                Err(lost())
            }
            Some(Fault::Refuse) => Err(lost()),
            Some(Fault::SleepBefore) => {
                self.sleep();
                request.await
            }
            Some(Fault::SleepAfter) => {
                let answer = request.await;
                self.sleep();
                answer
            }
        }
    }
}

fn lost() -> Error {
    Error::Generic { store: "simulated", source: "no answer".into() }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line")
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a simulated store")
    }
}

#[async_trait]
impl ObjectStore for Line {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let payload = match self.flaw {
            None => payload,
            Some(flaw) => flaw.spoil(location, payload),
        };
        self.send(self.store.put_opts(location, payload, opts)).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.send(self.store.put_multipart_opts(location, opts)).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.send(self.store.get_opts(location, options)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        // Requests of this store are done at once: what a stream asks for can be asked for here.
        let asked: Vec<Result<Path>> = locations.collect::<Vec<_>>().now_or_never().unwrap_or_default();
        let mut answers = Vec::new();
        for path in asked {
            let store = Arc::clone(&self.store);
            let request = async move {
                let path = path?;
                let one = futures::stream::iter([Ok(path.clone())]).boxed();
                store.delete_stream(one).collect::<Vec<_>>().await.into_iter().collect::<Result<Vec<_>>>()?;
                Ok(path)
            };
            answers.push(self.send(request).now_or_never().unwrap_or_else(|| Err(lost())));
        }
        futures::stream::iter(answers).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let listed = self.store.list(prefix).collect::<Vec<_>>().map(Ok);
        match self.send(listed).now_or_never().unwrap_or_else(|| Err(lost())) {
            Ok(listed) => futures::stream::iter(listed).boxed(),
            Err(error) => futures::stream::iter([Err(error)]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.send(self.store.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.send(self.store.copy_opts(from, to, options)).await
    }
}
