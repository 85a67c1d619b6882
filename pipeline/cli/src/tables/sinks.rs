//! The table sinks of a job: its results, the late rows and the rejects of its streams.

use super::DataDir;
use arrow::datatypes::SchemaRef;
use citystream_connect::Sink;
use citystream_connect::files::{Naming, ParquetConfig, ParquetSink};
use citystream_lake::delta::{self, DeltaConfig};
use citystream_model::Result;
use citystream_model::job::{DELTA, Emit, JobSpec, LatePolicy, PartitionBy, SinkRef};
use citystream_model::stream::Stream;
use citystream_runtime::input::late_schema;
use std::sync::Arc;

// === impl DataDir ===

impl DataDir {
    /// A table of `spec`'s job.
    ///
    /// # Errors
    /// The folder or store cannot be used; a Delta table with rows that do not fit.
    pub(crate) fn sink(
        &self,
        spec: &JobSpec,
        sink: &SinkRef,
        schema: &SchemaRef,
        partition_by: PartitionBy,
        naming: &Naming,
    ) -> Result<Box<dyn Sink>> {
        let (store, prefix) = self.table(&sink.target)?;
        let log = match sink.scheme.as_str() {
            DELTA => Some(delta::log(self.delta(spec, sink, schema, &partition_by)?)?),
            _ => None,
        };
        let config = ParquetConfig {
            store,
            prefix,
            display: self.display(&sink.target),
            schema: Arc::clone(schema),
            partition_by,
            file_target: spec.file_target,
            freshness: spec.freshness,
            naming: naming.clone(),
            handle: self.handle.clone(),
            name: sink.to_string(),
            log,
        };
        Ok(Box::new(ParquetSink::open(config)?))
    }

    /// A table for the job's results.
    ///
    /// # Errors
    /// As [`DataDir::sink`].
    pub(crate) fn results(
        &self,
        spec: &JobSpec,
        sink: &SinkRef,
        schema: &SchemaRef,
        naming: &Naming,
    ) -> Result<Box<dyn Sink>> {
        let folders = spec.folders(&sink.scheme);
        if sink.scheme == DELTA && spec.emit != Emit::Final {
            let config = self.delta(spec, sink, schema, &folders)?;
            return Ok(Box::new(delta::upsert(config, &spec.key, spec.freshness, naming.clone())?));
        }
        self.sink(spec, sink, schema, folders, naming)
    }

    fn delta(
        &self,
        spec: &JobSpec,
        sink: &SinkRef,
        schema: &SchemaRef,
        partition_by: &PartitionBy,
    ) -> Result<DeltaConfig> {
        Ok(DeltaConfig {
            place: self.place(&sink.target)?,
            schema: Arc::clone(schema),
            partition_by: partition_by.clone(),
            name: sink.to_string(),
            file_target: spec.file_target,
            is_replaced: self.replaces(),
            duties: self.duties.clone(),
        })
    }

    /// The late table of a job for one of its streams, unless late rows are dropped.
    ///
    /// # Errors
    /// As [`DataDir::sink`].
    pub(crate) fn late(
        &self,
        spec: &JobSpec,
        stream: &Stream,
        streams: usize,
        naming: &Naming,
    ) -> Result<Option<Box<dyn Sink>>> {
        if spec.late == LatePolicy::Drop {
            return Ok(None);
        }
        let sink = spec.late_sink(&stream.name, streams);
        self.sink(spec, &sink, &late_schema(stream), PartitionBy::of(&sink.scheme), naming).map(Some)
    }

    /// Where a job keeps the records of a stream that it could not read.
    ///
    /// # Errors
    /// As [`DataDir::sink`].
    pub(crate) fn rejects(&self, spec: &JobSpec, stream: &Stream, naming: &Naming) -> Result<Box<dyn Sink>> {
        self.sink(spec, &spec.rejects_sink(stream), &citystream_codec::rejects_schema(), PartitionBy::Day, naming)
    }

    /// Names of files that are visible once written.
    pub(crate) fn naming(&self) -> Naming {
        Naming::Run(self.run_id.clone())
    }
}
