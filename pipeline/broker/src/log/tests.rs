//! What no client library can be made to send: repeated, missing and damaged batches.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;

use super::batch::{HEADER_BYTES, Marker, NewBatch, Producer};
use super::partition::{Isolation, Partition};

const NOW_MS: i64 = 1_000;

/// A batch as a client writes it; its records are not looked at.
fn batch(producer: (i64, i16), base_sequence: i32, count: i32, attributes: i16) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i64(0);
    bytes.put_i32((HEADER_BYTES - 12 + 4) as i32);
    bytes.put_i32(-1);
    bytes.put_i8(2);
    bytes.put_i32(0);
    bytes.put_i16(attributes);
    bytes.put_i32(count - 1);
    bytes.put_i64(NOW_MS);
    bytes.put_i64(NOW_MS);
    bytes.put_i64(producer.0);
    bytes.put_i16(producer.1);
    bytes.put_i32(base_sequence);
    bytes.put_i32(count);
    bytes.put_slice(b"rest");
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.freeze()
}

/// Appends as the store does.
fn append(log: &mut Partition, bytes: &Bytes) -> Result<i64, ResponseError> {
    let batch = NewBatch::parse(bytes)?;
    match log.check(&batch)? {
        Some(offset) => Ok(offset),
        None => Ok(log.append(batch)),
    }
}

const PLAIN: i16 = 0;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

#[test]
fn sequences() {
    use ResponseError::{InvalidProducerEpoch, OutOfOrderSequenceNumber};
    // Epoch, first sequence, count, and the expected offset or error.
    let steps = [
        (0, 0, 10, Ok(0)),
        (0, 10, 5, Ok(10)),
        (0, 10, 5, Ok(10)),
        (0, 0, 10, Ok(0)),
        (0, 16, 1, Err(OutOfOrderSequenceNumber)),
        (0, 12, 3, Err(OutOfOrderSequenceNumber)),
        (0, 15, 1, Ok(15)),
        (1, 16, 1, Err(OutOfOrderSequenceNumber)),
        (1, 0, 1, Ok(16)),
        (0, 16, 1, Err(InvalidProducerEpoch)),
        (1, 1, 1, Ok(17)),
    ];
    let mut log = Partition::default();
    for (epoch, first, count, expect) in steps {
        let found = append(&mut log, &batch((7, epoch), first, count, PLAIN));
        assert_eq!(found, expect, "epoch {epoch}, sequences from {first}");
    }
    assert_eq!(log.marks().high, 18);
}

#[test]
fn sequences_begin_again_after_the_last() {
    let mut log = Partition::default();
    assert_eq!(append(&mut log, &batch((7, 0), i32::MAX - 1, 3, PLAIN)), Ok(0));
    assert_eq!(append(&mut log, &batch((7, 0), 1, 1, PLAIN)), Ok(3));
}

#[test]
fn only_five_batches_are_remembered() {
    let mut log = Partition::default();
    for sequence in 0..6 {
        append(&mut log, &batch((7, 0), sequence, 1, PLAIN)).unwrap();
    }
    assert_eq!(append(&mut log, &batch((7, 0), 1, 1, PLAIN)), Ok(1));
    let forgotten = append(&mut log, &batch((7, 0), 0, 1, PLAIN));
    assert_eq!(forgotten, Err(ResponseError::OutOfOrderSequenceNumber));
}

#[test]
fn damaged_batches_are_refused() {
    let good = batch((-1, -1), -1, 3, PLAIN);
    let with = |at: usize, byte: u8| {
        let mut bytes = BytesMut::from(&good[..]);
        bytes[at] = byte;
        bytes.freeze()
    };
    let twice = Bytes::from([&good[..], &good[..]].concat());
    let cases = [
        (good.clone(), None),
        (Bytes::new(), Some(ResponseError::UnsupportedForMessageFormat)),
        (good.slice(..40), Some(ResponseError::CorruptMessage)),
        (with(16, 1), Some(ResponseError::UnsupportedForMessageFormat)),
        (with(HEADER_BYTES, b'X'), Some(ResponseError::CorruptMessage)),
        (with(11, 1), Some(ResponseError::InvalidRecord)),
        (twice, Some(ResponseError::InvalidRecord)),
        (batch((-1, -1), -1, 0, PLAIN), Some(ResponseError::InvalidRecord)),
        (batch((7, 0), 0, 1, TRANSACTIONAL | CONTROL), Some(ResponseError::InvalidRecord)),
        (batch((-1, -1), -1, 1, TRANSACTIONAL), Some(ResponseError::InvalidRecord)),
        (batch((7, 0), -1, 1, PLAIN), Some(ResponseError::InvalidRecord)),
    ];
    for (n, (bytes, expect)) in cases.into_iter().enumerate() {
        assert_eq!(NewBatch::parse(&bytes).err(), expect, "case {n}");
    }
}

#[test]
fn a_batch_is_stored_as_received_but_for_offset_and_epoch() {
    let mut log = Partition::default();
    let received = batch((-1, -1), -1, 2, PLAIN);
    append(&mut log, &received).unwrap();
    append(&mut log, &received).unwrap();
    let found = log.read(2, 1, Isolation::ReadUncommitted, true).unwrap();
    let stored = &found.batches[0];
    assert_eq!(stored[..8], 2_i64.to_be_bytes());
    assert_eq!(stored[12..16], [0; 4]);
    assert_eq!((&stored[8..12], &stored[16..]), (&received[8..12], &received[16..]));
}

#[test]
fn transactions_move_the_last_stable_offset() {
    let (first, second) = (Producer { id: 1, epoch: 0 }, Producer { id: 2, epoch: 0 });
    let mut log = Partition::default();
    append(&mut log, &batch((-1, -1), -1, 5, PLAIN)).unwrap();
    append(&mut log, &batch((1, 0), 0, 2, TRANSACTIONAL)).unwrap();
    append(&mut log, &batch((2, 0), 0, 2, TRANSACTIONAL)).unwrap();
    assert_eq!((log.marks().last_stable, log.marks().high), (5, 9));
    log.end_transaction(Marker::Abort, first, NOW_MS);
    assert_eq!(log.marks().last_stable, 7);
    log.end_transaction(Marker::Commit, second, NOW_MS);
    assert_eq!((log.marks().last_stable, log.marks().high), (11, 11));

    let aborted = |from: i64, max_bytes: usize| {
        let found = log.read(from, max_bytes, Isolation::ReadCommitted, true).unwrap();
        found.aborted.iter().map(|a| (a.producer_id, a.first_offset)).collect::<Vec<_>>()
    };
    assert_eq!(aborted(0, usize::MAX), [(1, 5)]);
    assert_eq!(aborted(0, 1), [], "the read ends before the transaction");
    assert_eq!(aborted(9, usize::MAX), [(1, 5)], "the read begins at its marker");
    assert_eq!(aborted(10, usize::MAX), []);
}

#[test]
fn dropping_the_oldest_moves_the_start() {
    let mut log = Partition::default();
    append(&mut log, &batch((1, 0), 0, 2, TRANSACTIONAL)).unwrap();
    log.end_transaction(Marker::Abort, Producer { id: 1, epoch: 0 }, NOW_MS);
    append(&mut log, &batch((-1, -1), -1, 4, PLAIN)).unwrap();
    let before = log.used_bytes();
    let dropped = log.drop_oldest(200);
    assert_eq!((dropped.records, log.marks().start, log.marks().high), (3, 3, 7));
    assert_eq!(log.used_bytes(), before - dropped.bytes);
    let early = log.read(2, usize::MAX, Isolation::ReadCommitted, true);
    assert_eq!(early.err(), Some(ResponseError::OffsetOutOfRange));
    assert!(log.read(3, usize::MAX, Isolation::ReadCommitted, true).unwrap().aborted.is_empty());

    log.drop_oldest(usize::MAX);
    assert_eq!((log.marks().start, log.marks().high, log.used_bytes()), (7, 7, 0));
}
