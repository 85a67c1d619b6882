//! Who owns a transactional id, step by step, with time as an argument.

use super::*;

const TIMEOUT: Duration = Duration::from_secs(10);

fn started() -> (Transactions, Producer) {
    let mut all = Transactions::default();
    let (producer, _) = all.init("job", TIMEOUT, None).unwrap();
    (all, producer)
}

fn add(all: &mut Transactions, producer: Producer, now: Instant) -> Result<(), ResponseError> {
    all.add_partitions("job", producer, vec![("alerts".to_owned(), 0)], now)
}

#[test]
fn a_second_owner_aborts_and_fences_the_first() {
    let (mut all, old) = started();
    add(&mut all, old, Instant::now()).unwrap();
    let (new, aborted) = all.init("job", TIMEOUT, None).unwrap();
    assert_eq!(new, Producer { epoch: old.epoch + 1, ..old });
    let aborted = aborted.unwrap();
    // The marker carries the new epoch, so that partitions refuse the old one from then on.
    assert_eq!((aborted.marker, aborted.producer), (Marker::Abort, new));

    assert_eq!(add(&mut all, old, Instant::now()), Err(ResponseError::ProducerFenced));
    assert_eq!(all.end("job", old, Marker::Commit).err(), Some(ResponseError::ProducerFenced));
    assert_eq!(all.init("job", TIMEOUT, Some(old)).err(), Some(ResponseError::ProducerFenced));
    assert!(all.init("job", TIMEOUT, Some(new)).is_ok());
}

#[test]
fn a_repeated_end_is_answered_alike() {
    let (mut all, producer) = started();
    assert_eq!(all.end("job", producer, Marker::Commit).err(), Some(ResponseError::InvalidTxnState));
    add(&mut all, producer, Instant::now()).unwrap();
    assert!(all.end("job", producer, Marker::Commit).unwrap().is_some());
    assert!(all.end("job", producer, Marker::Commit).unwrap().is_none());
    assert_eq!(all.end("job", producer, Marker::Abort).err(), Some(ResponseError::InvalidTxnState));
}

#[test]
fn only_added_partitions_and_groups_may_be_written() {
    let (mut all, producer) = started();
    let now = Instant::now();
    let refused = Err(ResponseError::InvalidTxnState);
    assert_eq!(all.check_partition("job", producer, "alerts", 0), refused);
    add(&mut all, producer, now).unwrap();
    assert_eq!(all.check_partition("job", producer, "alerts", 0), Ok(()));
    assert_eq!(all.check_partition("job", producer, "alerts", 1), refused);
    assert_eq!(all.check_group("job", producer, "readers"), refused);
    all.add_group("job", producer, "readers", now).unwrap();
    assert_eq!(all.check_group("job", producer, "readers"), Ok(()));
    let stranger = Producer { id: producer.id + 1, epoch: 0 };
    assert_eq!(add(&mut all, stranger, now), Err(ResponseError::InvalidProducerIdMapping));
}

#[test]
fn time_runs_out() {
    let (mut all, producer) = started();
    let now = Instant::now();
    add(&mut all, producer, now).unwrap();
    assert!(all.expire(now + TIMEOUT - Duration::from_millis(1)).is_empty());
    let expired = all.expire(now + TIMEOUT);
    assert_eq!(expired[0].producer.epoch, producer.epoch + 1);
    assert!(all.expire(now + TIMEOUT).is_empty());
    assert_eq!(all.end("job", producer, Marker::Commit).err(), Some(ResponseError::ProducerFenced));
}

#[test]
fn an_exhausted_epoch_gets_a_new_producer() {
    let (mut all, first) = started();
    let mut last = first;
    while last.id == first.id {
        last = all.init("job", TIMEOUT, None).unwrap().0;
    }
    assert_eq!(last.epoch, 0);
}

#[test]
fn a_deleted_topic_gets_no_marker() {
    let (mut all, producer) = started();
    add(&mut all, producer, Instant::now()).unwrap();
    all.forget_topic("alerts");
    let finished = all.end("job", producer, Marker::Commit).unwrap().unwrap();
    assert!(finished.partitions.is_empty());
}
