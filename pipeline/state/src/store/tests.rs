//! The folder of a job, on an object store in memory.

use super::*;
use crate::commit::{Verdict, claim, verdict};
use crate::manifest::tests::manifest;
use crate::segment::SegmentWriter;
use arrow::array::{ArrayRef, Int64Array};
use arrow::record_batch::RecordBatch;
use object_store::memory::InMemory;

fn identity(job: &str, id: &str) -> Identity {
    Identity { job: job.to_owned(), id: id.to_owned() }
}

fn folder(store: &Arc<dyn ObjectStore>, job: &str) -> CheckpointStore {
    CheckpointStore::new(Arc::clone(store), &Path::from("checkpoints"), job, "s3://city/checkpoints/")
}

fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

fn run(value: i64) -> Run {
    let column: ArrayRef = Arc::new(Int64Array::from_value(value, 3));
    Run { port: 0, batch: RecordBatch::try_from_iter([("v", column)]).unwrap() }
}

/// Writes epoch `epoch` with one run.
async fn write(folder: &CheckpointStore, epoch: u64, before: &[RunRef]) -> Manifest {
    let mut segment = SegmentWriter::new(segment_name(epoch, "w1"));
    segment.add(Owner { operator: 2, stage: 0, shard: 0 }, &run(epoch as i64)).unwrap();
    let (bytes, refs) = segment.finish().unwrap();
    folder.put_segment(&segment_name(epoch, "w1"), bytes).await.unwrap();
    let runs = [before.to_vec(), refs].concat();
    let written = Manifest { epoch, generation: 1, writer: "w1".to_owned(), runs, ..manifest() };
    assert_eq!(folder.create(&written).await.unwrap(), Created::Done);
    written
}

#[tokio::test]
async fn a_folder_belongs_to_one_job() {
    let store = memory();
    let flow = folder(&store, "flow");
    assert_eq!(flow.identify(&identity("flow", "a")).await.unwrap(), identity("flow", "a"));
    assert_eq!(flow.identify(&identity("flow", "b")).await.unwrap(), identity("flow", "a"));
    let error = flow.identify(&identity("speed", "c")).await.unwrap_err();
    let expected = "checkpoint folder 's3://city/checkpoints/flow': found job 'flow', expected 'speed'";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn what_was_written_is_read_and_damage_leads_to_the_one_before() {
    let store = memory();
    let flow = folder(&store, "flow");
    assert_eq!(flow.newest(2).await.unwrap(), Found::default());
    let first = write(&flow, 1, &[]).await;
    let second = write(&flow, 2, &first.runs).await;
    assert_eq!(flow.newest(2).await.unwrap().manifests, [second.clone(), first.clone()]);
    let read = flow.read(&second.runs).await.unwrap();
    assert_eq!(read.iter().map(|(_, run)| run.batch.clone()).collect::<Vec<_>>(), [run(1).batch, run(2).batch]);
    let broken = flow.path(&manifest_name(2));
    store.put(&broken, PutPayload::from_static(b"citystream-manifest 1 crc32c 00000000\n{}\n")).await.unwrap();
    let found = flow.newest(2).await.unwrap();
    assert_eq!((found.manifests, found.damaged.len(), found.damaged[0].0), (vec![first.clone()], 1, 2));
    store.delete(&flow.path(&first.runs[0].object)).await.unwrap();
    let error = flow.read(&first.runs).await.unwrap_err();
    assert!(is_damage(&error) && error.to_string().contains("is missing"), "{error}");
}

#[tokio::test]
async fn an_older_instance_cannot_decide_behind_a_claim() {
    let store = memory();
    let flow = folder(&store, "flow");
    let newest = write(&flow, 1, &[]).await;
    let claimed = claim(&newest, newest.epoch, "w2", "0.1.0");
    assert_eq!(verdict(&claimed, &flow.create(&claimed).await.unwrap()), Verdict::Committed);
    // A try whose answer was lost is repeated.
    assert_eq!(verdict(&claimed, &flow.create(&claimed).await.unwrap()), Verdict::Committed);
    let zombie = Manifest { epoch: 2, ..newest.clone() };
    let fenced = Verdict::Fenced { generation: 2, writer: "w2".to_owned() };
    assert_eq!(verdict(&zombie, &flow.create(&zombie).await.unwrap()), fenced);
    assert_eq!(flow.find(2).await.unwrap(), Some(claimed));
    assert_eq!(flow.find(3).await.unwrap(), None);
}

#[tokio::test]
async fn garbage_goes_and_what_the_kept_need_stays() {
    let store = memory();
    let flow = folder(&store, "flow");
    let mut runs = Vec::new();
    for epoch in 1..=5 {
        let written = write(&flow, epoch, &runs).await;
        // The fourth epoch holds the whole state: it needs none of the runs before.
        runs = if epoch == 3 { Vec::new() } else { written.runs };
    }
    assert_eq!(flow.collect_garbage().await.unwrap(), 3 + 3);
    assert_eq!(flow.epochs().await.unwrap(), [4, 5].into());
    for manifest in flow.newest(2).await.unwrap().manifests {
        assert_eq!(flow.read(&manifest.runs).await.unwrap().len(), manifest.runs.len());
    }
    assert_eq!(flow.collect_garbage().await.unwrap(), 0);
}

#[tokio::test]
async fn an_epoch_that_was_decided_and_forgotten_is_not_decided_again() {
    let store = memory();
    let flow = folder(&store, "flow");
    let first = write(&flow, 1, &[]).await;
    let mut newest = claim(&first, first.epoch, "w2", "0.1.0");
    for _ in 0..4 {
        assert_eq!(flow.create(&newest).await.unwrap(), Created::Done);
        newest = Manifest { epoch: newest.epoch + 1, ..newest };
    }
    flow.collect_garbage().await.unwrap();
    assert_eq!(flow.epochs().await.unwrap(), [4, 5].into());
    // The first instance wakes up, and finds nothing at its next epoch.
    let zombie = Manifest { epoch: 2, ..first };
    let fenced = Verdict::Fenced { generation: newest.generation, writer: "w2".to_owned() };
    assert_eq!(verdict(&zombie, &flow.create(&zombie).await.unwrap()), fenced);
}

/// A store that answers the first PUT of a new object as S3 does when two overlap: "exists", and nothing is there.
#[derive(Debug)]
struct Overlapping {
    store: InMemory,
    answered: std::sync::atomic::AtomicBool,
}

impl std::fmt::Display for Overlapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("overlapping")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Overlapping {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<object_store::PutResult> {
        if !self.answered.swap(true, std::sync::atomic::Ordering::Relaxed) {
            return Err(object_store::Error::AlreadyExists { path: location.to_string(), source: "409".into() });
        }
        self.store.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: object_store::PutMultipartOptions,
    ) -> object_store::Result<Box<dyn object_store::MultipartUpload>> {
        self.store.put_multipart_opts(location, options).await
    }

    async fn get_opts(
        &self,
        location: &Path,
        options: object_store::GetOptions,
    ) -> object_store::Result<object_store::GetResult> {
        self.store.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: futures::stream::BoxStream<'static, object_store::Result<Path>>,
    ) -> futures::stream::BoxStream<'static, object_store::Result<Path>> {
        self.store.delete_stream(locations)
    }

    fn list(
        &self,
        prefix: Option<&Path>,
    ) -> futures::stream::BoxStream<'static, object_store::Result<object_store::ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<object_store::ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: object_store::CopyOptions) -> object_store::Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

#[tokio::test]
async fn a_conflict_without_a_winner_decides_nothing() {
    let store: Arc<dyn ObjectStore> =
        Arc::new(Overlapping { store: InMemory::new(), answered: std::sync::atomic::AtomicBool::new(false) });
    let flow = folder(&store, "flow");
    let error = flow.create(&manifest()).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(error.to_string().contains("is being written by another"), "{error}");
    assert_eq!(flow.create(&manifest()).await.unwrap(), Created::Done);
}
