//! Takes messages out of librdkafka many at a time: the only unsafe code of this crate.
//!
//! ```text
//!  partition queues --forwarded--> our queue       records, ends and errors of partitions   Reader::take
//!  client           -------------> consumer queue  statistics, logs, errors                 Reader::serve
//! ```
//!
//! `BaseConsumer::poll` makes an event of each message, which costs more than all else that is done with it. Messages
//! have a queue of their own because librdkafka's bulk calls drop the events that a consumer queue holds besides.
//! Nothing has to stay in order between the two: all that is said of a partition's records is in the first.
//!
//! Of the two bulk calls it is `rd_kafka_consume_callback_queue`, though it is marked as old: they cost the same, and
//! `rd_kafka_consume_batch_queue` counts the end of a partition as a record (librdkafka issue 4844), so that a partition
//! that was paused at its end would go on one record too late.

#![allow(unsafe_code, reason = "librdkafka's bulk calls have no safe wrapper")]

use super::fault::Faults;
use citystream_model::position::{Offset, Partition};
use citystream_model::time::Micros;
use citystream_model::{Error, Result};
use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::types::RDKafkaRespErr as Native;
use std::ffi::{CStr, CString, c_void};
use std::ptr::{self, NonNull};
use std::time::Duration;

/// A consumer, and the queue of its partitions' messages.
pub(crate) struct Reader {
    consumer: BaseConsumer<Faults>,
    topic: CString,
    /// What partitions say.
    messages: NonNull<native::rd_kafka_queue_t>,
    /// What the client says besides; we only ask for its length.
    events: NonNull<native::rd_kafka_queue_t>,
}

/// What a partition says, as long as it is looked at.
pub(crate) struct Message<'a>(&'a native::rd_kafka_message_t);

/// What a message is.
pub(crate) enum Kind {
    Record,
    /// Every record below the offset came before.
    AtEnd(Offset),
    Failed(KafkaError),
}

/// What a call of [`Reader::take`] hands through librdkafka to [`on_message`].
struct Taking<F> {
    look: F,
    count: usize,
}

/// Most events that are served at once.
const MAX_EVENTS: usize = 256;

// SAFETY: librdkafka's handles may be used from any thread, and `Reader` is used by one at a time.
unsafe impl Send for Reader {}

// === impl Reader ===

impl Reader {
    /// Takes over `consumer`, which has nothing assigned yet.
    pub(crate) fn new(consumer: BaseConsumer<Faults>, topic: &str) -> Result<Self> {
        let topic = CString::new(topic).map_err(|error| Error::internal("topic name").caused_by(error))?;
        let client = consumer.client().native_ptr();
        // SAFETY: the client lives as long as `consumer`; both handles are ours to destroy.
        let (messages, events) =
            unsafe { (native::rd_kafka_queue_new(client), native::rd_kafka_queue_get_consumer(client)) };
        let missing = || Error::internal("kafka source: the client has no queue");
        let messages = NonNull::new(messages).ok_or_else(missing)?;
        let events = NonNull::new(events).ok_or_else(missing)?;
        Ok(Self { consumer, topic, messages, events })
    }

    /// The consumer; only [`Reader::serve`] may poll it.
    pub(crate) fn consumer(&self) -> &BaseConsumer<Faults> {
        &self.consumer
    }

    /// Sends what `partition` says to our queue; to be called before it is assigned, for good.
    pub(crate) fn forward(&self, partition: Partition) -> Result<()> {
        let client = self.consumer.client().native_ptr();
        // SAFETY: the client is alive and the name ends with a zero. The handle is ours to destroy, which leaves the
        // partition's queue and where it goes as they are.
        unsafe {
            let queue = native::rd_kafka_queue_get_partition(client, self.topic.as_ptr(), partition);
            if queue.is_null() {
                return Err(Error::internal(format!("kafka source: partition {partition} has no queue")));
            }
            native::rd_kafka_queue_forward(queue, self.messages.as_ptr());
            native::rd_kafka_queue_destroy(queue);
        }
        Ok(())
    }

    /// Serves what the client says besides: statistics and logs go to its context, the first error comes back.
    pub(crate) fn serve(&self) -> Option<KafkaError> {
        for _ in 0..MAX_EVENTS {
            // SAFETY: the handle is alive.
            if unsafe { native::rd_kafka_queue_length(self.events.as_ptr()) } == 0 {
                return None;
            }
            match self.consumer.poll(Duration::ZERO) {
                Some(Err(error)) => return Some(error),
                Some(Ok(message)) => return Some(misled(&message)),
                None => {}
            }
        }
        None
    }

    /// Hands messages to `look` until it says that it has enough or none is left, and returns how many; waits at most
    /// `wait` for the first. `look` must not panic, which would end the process.
    pub(crate) fn take<F: FnMut(Message<'_>) -> bool>(&mut self, wait: Duration, look: F) -> usize {
        let millis = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        let mut taking = Taking { look, count: 0 };
        // SAFETY: the queue is alive; `taking`, of the type that the callback expects, is used during the call only.
        unsafe {
            let (queue, taking) = (self.messages.as_ptr(), (&raw mut taking).cast());
            native::rd_kafka_consume_callback_queue(queue, millis, Some(on_message::<F>), taking);
        }
        taking.count
    }
}

/// Called by librdkafka for each message.
unsafe extern "C" fn on_message<F: FnMut(Message<'_>) -> bool>(
    message: *mut native::rd_kafka_message_t,
    taking: *mut c_void,
) {
    // SAFETY: `take` passed its own `Taking<F>` and touches it not before the call is over; the message is alive until
    // we return.
    let (taking, message) = unsafe { (&mut *taking.cast::<Taking<F>>(), &*message) };
    taking.count += 1;
    if (taking.look)(Message(message)) {
        // SAFETY: callbacks may call it. The messages that are left go back to the queue, in their order.
        unsafe { native::rd_kafka_yield(ptr::null_mut()) };
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // SAFETY: both handles are ours and not used again; the client is dropped after this.
        unsafe {
            native::rd_kafka_queue_destroy(self.messages.as_ptr());
            native::rd_kafka_queue_destroy(self.events.as_ptr());
        }
    }
}

/// A record on the consumer queue would be one that overtook others: cannot be, all partitions are forwarded.
fn misled(message: &rdkafka::message::BorrowedMessage<'_>) -> KafkaError {
    tracing::error!(?message, "kafka source: a message came by the wrong queue");
    KafkaError::MessageConsumptionFatal(Code::Inconsistent)
}

// === impl Message ===

impl<'a> Message<'a> {
    pub(crate) fn partition(&self) -> Partition {
        self.0.partition
    }

    pub(crate) fn offset(&self) -> Offset {
        self.0.offset
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.0.err {
            Native::RD_KAFKA_RESP_ERR_NO_ERROR => Kind::Record,
            Native::RD_KAFKA_RESP_ERR__PARTITION_EOF => Kind::AtEnd(self.0.offset),
            Native::RD_KAFKA_RESP_ERR__FATAL => Kind::Failed(KafkaError::MessageConsumptionFatal(Code::Fatal)),
            error => Kind::Failed(KafkaError::MessageConsumption(Code::from(error))),
        }
    }

    /// The record time; 0 without one.
    pub(crate) fn timestamp(&self) -> Micros {
        // SAFETY: the message is alive; no kind of time is asked for.
        let millis = unsafe { native::rd_kafka_message_timestamp(self.0, ptr::null_mut()) };
        if millis == -1 { 0 } else { millis.saturating_mul(1000) }
    }

    pub(crate) fn key(&self) -> Option<&'a [u8]> {
        // SAFETY: null, or so many bytes that live as long as the message.
        unsafe { bytes(self.0.key, self.0.key_len) }
    }

    pub(crate) fn value(&self) -> Option<&'a [u8]> {
        // SAFETY: null, or so many bytes that live as long as the message.
        unsafe { bytes(self.0.payload, self.0.len) }
    }

    /// Hands each header to `look`, in their order. Asking costs as much as the rest of a message, even without headers.
    pub(crate) fn headers(&self, mut look: impl FnMut(&str, Option<&[u8]>)) {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is alive.
        if unsafe { native::rd_kafka_message_headers(self.0, &raw mut headers) } != Native::RD_KAFKA_RESP_ERR_NO_ERROR {
            return;
        }
        for at in 0.. {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            // SAFETY: headers, names and values live as long as the message; names end with a zero.
            unsafe {
                let found = native::rd_kafka_header_get_all(headers, at, &raw mut name, &raw mut value, &raw mut size);
                if found != Native::RD_KAFKA_RESP_ERR_NO_ERROR {
                    return;
                }
                look(&CStr::from_ptr(name).to_string_lossy(), bytes(value, size));
            }
        }
    }
}

/// # Safety
/// `start` is null, or begins `size` bytes that live as long as `'a`.
unsafe fn bytes<'a>(start: *const c_void, size: usize) -> Option<&'a [u8]> {
    // SAFETY: as the caller says.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast(), size) })
}
