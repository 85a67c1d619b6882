//! The laws of the two traits, for every connector.

use crate::setup::{PATIENCE, RUNTIME, Read, client, open, send, topic};
use crate::sink::rows;
use citystream_codec::Record;
use citystream_connect::files::{ParquetConfig, open_store};
use citystream_connect::{KafkaSink, MemorySink, MemorySource, ParquetSink, Sink, Source, SourceEvent};
use citystream_model::job::PartitionBy;
use citystream_model::position::{Partition, Positions, StartFrom};
use std::collections::BTreeMap;
use std::time::Duration;

fn source_laws(open: &dyn Fn(&StartFrom) -> Box<dyn Source>, log: &BTreeMap<Partition, Vec<Record>>) {
    let ends: BTreeMap<_, _> = log
        .iter()
        .map(|(partition, records)| (*partition, records.last().map_or(0, |record| record.offset + 1)))
        .collect();
    let mut source = open(&StartFrom::Earliest);
    assert_eq!(source.partitions(), log.keys().copied().collect::<Vec<_>>());
    assert_eq!(source.end_offsets(), ends);
    // All of it, in order, each once, and every end.
    let mut read = Read::default();
    read.until(source.as_mut(), |read| read.ends == ends);
    let filled: BTreeMap<_, _> =
        log.iter().filter(|(_, records)| !records.is_empty()).map(|(p, r)| (*p, r.clone())).collect();
    assert_eq!(read.records, filled);
    assert!(source.lag().values().all(|lag| *lag == 0), "{:?}", source.lag());
    // Replay: dropped in the middle and opened again from the positions, small polls.
    let mut whole = Read::default();
    let mut positions = Positions(source.start_offsets());
    loop {
        let mut source = open(&StartFrom::Positions(positions.clone()));
        assert_eq!(source.start_offsets(), positions.0);
        let mut part = Read::default();
        part.until(source.as_mut(), |part| part.count() > 0 || part.ends.len() == log.len());
        for (partition, records) in part.records {
            positions.0.insert(partition, records.last().unwrap().offset + 1);
            whole.take(SourceEvent::Records { partition, records: records.into_iter().collect() });
        }
        if positions.0 == ends {
            break;
        }
    }
    assert_eq!(whole.records, filled);
    // A bound on records holds, and a paused partition is silent.
    let mut source = open(&StartFrom::Earliest);
    source.pause(&[0]).unwrap();
    let mut read = Read::default();
    while read.count() < filled.iter().filter(|(p, _)| **p != 0).map(|(_, r)| r.len()).sum() {
        for event in source.poll(3, Duration::from_millis(100)).unwrap() {
            assert!(!matches!(&event, SourceEvent::Records { partition: 0, .. }));
            read.take(event);
        }
    }
    source.resume(&[0]).unwrap();
    read.until(source.as_mut(), |read| read.ends == ends);
    assert_eq!(read.records, filled);
}

#[test]
fn sources_keep_the_laws() {
    let topic = topic("laws", 3);
    send(&topic, 0, (0..20).map(|n| format!("a{n}")));
    send(&topic, 2, (0..7).map(|n| format!("b{n}")));
    let log = {
        let mut source = open(&topic, &StartFrom::Earliest);
        let mut read = Read::default();
        read.until(&mut source, |read| read.ends.len() == 3);
        let mut log = read.records;
        log.entry(1).or_default();
        log
    };
    assert_eq!((log[&0].len(), log[&2].len()), (20, 7));
    source_laws(&|from| Box::new(open(&topic, from)), &log);
    source_laws(&|from| Box::new(MemorySource::of_log(&log, from)), &log);
}

fn sink_laws(sink: &mut dyn Sink) {
    assert_eq!(sink.flush().unwrap(), [], "nothing written, nothing published");
    let mut published = 0;
    for round in 0..10 {
        sink.write(&rows(&[("a", round), ("b", round)]), round).unwrap();
        published += sink.publish_due(round).unwrap().iter().map(|file| file.rows).sum::<u64>();
    }
    published += sink.flush().unwrap().iter().map(|file| file.rows).sum::<u64>();
    assert_eq!(published, 20, "every row is reported once");
    assert_eq!((sink.flush().unwrap(), sink.buffered_bytes()), (vec![], 0));
}

#[test]
fn sinks_keep_the_laws() {
    let schema = rows(&[]).batch.schema();
    let mut memory = MemorySink::new("memory:x", false);
    sink_laws(&mut memory);
    assert_eq!(memory.clone().batches().len(), 10);
    sink_laws(&mut KafkaSink::open(&client(), "job", &topic("laws-out", 2), &[], &schema, PATIENCE).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (store, prefix) = open_store(folder.path().to_str().unwrap()).unwrap();
    let config = ParquetConfig {
        store,
        prefix,
        display: folder.path().display().to_string(),
        schema,
        partition_by: PartitionBy::Columns(vec!["zone".to_owned()]),
        file_target: 1 << 20,
        freshness: Duration::from_micros(4),
        naming: citystream_connect::files::Naming::Run("r".to_owned()),
        handle: RUNTIME.handle().clone(),
        name: "parquet:x".to_owned(),
        log: None,
    };
    sink_laws(&mut ParquetSink::open(config).unwrap());
}
