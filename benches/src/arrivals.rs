//! The order in which events stand in a topic: seconds and lanes, each event moved back by its delay.
//!
//! ```text
//!  disorder 0:    second 0: lanes 0..n | second 1: lanes 0..n | ...
//!  disorder 50:   the lanes of a second in the order of their delays, which are 0 to 49 ms
//!  disorder 5000: seconds overlap: an event of second 0 may stand behind one of second 4
//! ```

use crate::record::Event;
use crate::sensors;
use crate::workload::{START_S, Topic, Workload};
use std::collections::BTreeMap;

/// Events of one topic in the order of the topic; a partition's log is the events of its points, in this order.
#[derive(Debug)]
pub struct Arrivals {
    workload: Workload,
    topic: Topic,
    lanes: u64,
    /// Next event that was not looked at.
    next: u64,
    /// Events that wait, by position in milliseconds; empty when there is no disorder.
    waiting: BTreeMap<i64, Vec<u64>>,
    /// Events that are due, last first.
    due: Vec<u64>,
}

// === impl Arrivals ===

impl Arrivals {
    /// All events of `topic`.
    pub fn new(workload: &Workload, topic: Topic) -> Self {
        let lanes = sensors::lanes(workload.sensors);
        Self { workload: *workload, topic, lanes, next: 0, waiting: BTreeMap::new(), due: Vec::new() }
    }

    fn index(&mut self) -> Option<u64> {
        let end = self.workload.records();
        if self.workload.disorder_ms == 0 {
            self.next += 1;
            return (self.next <= end).then_some(self.next - 1);
        }
        loop {
            if let Some(index) = self.due.pop() {
                return Some(index);
            }
            let second = self.next / self.lanes * u64::from(self.workload.interval_s);
            let loaded_until_ms = (START_S + second as i64) * 1_000;
            match self.waiting.first_key_value() {
                // No event of a second to come stands before the second itself.
                Some((position_ms, _)) if self.next == end || *position_ms < loaded_until_ms => {
                    let (_, mut indexes) = self.waiting.pop_first()?;
                    indexes.reverse();
                    self.due = indexes;
                }
                _ if self.next == end => return None,
                _ => self.load_second(),
            }
        }
    }

    fn load_second(&mut self) {
        for index in self.next..self.next + self.lanes {
            let event = Event::new(&self.workload, self.topic, index);
            let position_ms = event.event_time_ms + Event::delay_ms(&self.workload, self.topic, index);
            self.waiting.entry(position_ms).or_default().push(index);
        }
        self.next += self.lanes;
    }
}

impl Iterator for Arrivals {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let index = self.index()?;
        Some(Event::new(&self.workload, self.topic, index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(topic: Topic, disorder_ms: u32) -> Vec<Event> {
        let workload = Workload { seed: 3, sensors: 12, seconds: 12, interval_s: 1, partitions: 1, disorder_ms };
        Arrivals::new(&workload, topic).collect()
    }

    #[test]
    fn disorder_moves_events_and_loses_none() {
        for topic in [Topic::Flow, Topic::Speed] {
            for disorder_ms in [50, 5_000] {
                let (straight, mixed) = (events(topic, 0), events(topic, disorder_ms));
                assert_ne!(straight, mixed);
                let key = |event: &Event| (event.event_time_ms, event.sensor, event.lane);
                let sorted = |mut events: Vec<Event>| {
                    events.sort_by_key(key);
                    events
                };
                assert_eq!(sorted(straight), sorted(mixed));
            }
        }
    }

    #[test]
    fn no_event_lies_further_back_than_the_workload_says() {
        for (topic, disorder_ms) in [(Topic::Flow, 0), (Topic::Flow, 5_000), (Topic::Speed, 0), (Topic::Speed, 5_000)] {
            let workload = Workload { seed: 3, sensors: 12, seconds: 12, interval_s: 1, partitions: 1, disorder_ms };
            let mut newest = i64::MIN;
            for event in events(topic, disorder_ms) {
                newest = newest.max(event.event_time_ms);
                assert!(newest - event.event_time_ms < workload.out_of_order_ms() as i64);
            }
        }
    }
}
