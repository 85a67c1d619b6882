//! One event: what its values are, and the bytes of its record.

use crate::sensors::{self, Point, Sensors};
use crate::workload::{SPEED_SHIFT_MS, START_S, Topic, Workload};
use std::fmt::Write;

/// One measurement of one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Which topic it goes to.
    pub topic: Topic,
    /// Number of its point.
    pub sensor: u32,
    /// Lane, from 1.
    pub lane: u8,
    /// Event time in milliseconds since the epoch.
    pub event_time_ms: i64,
    /// Vehicles per hour, or speed in hundredths of km/h.
    pub value: Value,
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// Vehicles per hour.
    Flow(i64),
    /// Hundredths of km/h, and whether they are written out.
    Speed(i64, bool),
}

/// What a hash is for, so that no two of them depend on each other.
#[derive(Debug, Clone, Copy)]
enum Salt {
    Flow = 0x1f0e,
    Speed = 0x25e3,
    Shift = 0x3c41,
    Delay = 0x4b7d,
}

/// Writes records; keeps the text of the second that it wrote last.
#[derive(Debug, Default)]
pub struct Writer {
    second: Option<i64>,
    text: String,
}

/// SplitMix64 as a function: output number `index` of the generator that starts at `seed`.
pub fn split_mix(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

fn hash(workload: &Workload, salt: Salt, topic: Topic, index: u64) -> u64 {
    let stream = split_mix(workload.seed, salt as u64 * 2 + u64::from(topic == Topic::Speed));
    split_mix(stream, index)
}

// === impl Event ===

impl Event {
    /// Event number `index` of `topic`: times first, then lanes.
    pub fn new(workload: &Workload, topic: Topic, index: u64) -> Self {
        let lanes = sensors::lanes(workload.sensors);
        let (second, slot) = (index / lanes * u64::from(workload.interval_s), index % lanes);
        let (sensor, lane) = sensors::lane(slot);
        let second_ms = (START_S + second as i64) * 1_000;
        let of = |salt| hash(workload, salt, topic, index);
        let (shift_ms, value) = match topic {
            Topic::Flow => (0, Value::Flow(60 * (5 + (of(Salt::Flow) % 36) as i64))),
            Topic::Speed => {
                let h = of(Salt::Speed);
                let (whole, is_fine) = (73 + (h % 54) as i64, (h >> 20) % 5 == 0);
                let hundredths = if is_fine { (h >> 40) % 100 } else { 0 };
                ((of(Salt::Shift) % SPEED_SHIFT_MS) as i64, Value::Speed(100 * whole + hundredths as i64, is_fine))
            }
        };
        Self { topic, sensor, lane, event_time_ms: second_ms + shift_ms, value }
    }

    /// How much later than its event time it stands in the topic, in milliseconds of event time.
    pub fn delay_ms(workload: &Workload, topic: Topic, index: u64) -> i64 {
        match workload.disorder_ms {
            0 => 0,
            most => (hash(workload, Salt::Delay, topic, index) % u64::from(most)) as i64,
        }
    }

    /// Its point.
    pub fn point<'a>(&self, sensors: &'a Sensors) -> &'a Point {
        sensors.point(self.sensor)
    }
}

// === impl Writer ===

impl Writer {
    /// Appends the record's value to `out`: the bytes that OSPBench's publisher sends, but for the fraction of a second
    /// of a speed, whose publish time would carry it.
    pub fn value(&mut self, event: &Event, point: &Point, out: &mut String) {
        let (second, fraction) = (event.event_time_ms.div_euclid(1_000), event.event_time_ms.rem_euclid(1_000));
        if self.second != Some(second) {
            self.second = Some(second);
            self.text = date_time(second);
        }
        let (lane, lanes) = (event.lane, point.lanes);
        let (lat, long) = (Degrees(point.lat_e5), Degrees(point.long_e5));
        let time = &self.text;
        let written = match event.value {
            Value::Flow(flow) => write!(
                out,
                r#"{{"internalId": "lane{lane}", "lat":{lat},"long":{long},"flow":{flow},"period":60,"accuracy":100,"timestamp":"{time}","num_lanes":{lanes}}}"#
            ),
            Value::Speed(hundredths, is_fine) => {
                let (whole, rest) = (hundredths / 100, hundredths % 100);
                let speed = if is_fine { format!("{whole}.{rest:02}") } else { whole.to_string() };
                write!(
                    out,
                    r#"{{"internalId": "lane{lane}", "lat":{lat},"long":{long},"speed":{speed},"accuracy":100,"timestamp":"{time}.{fraction:03}","num_lanes":{lanes}}}"#
                )
            }
        };
        // Writing to a String does not fail.
        written.unwrap_or_default();
    }
}

/// Degrees in 1e-5, written with a point.
struct Degrees(i64);

impl std::fmt::Display for Degrees {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:05}", self.0 / 100_000, self.0 % 100_000)
    }
}

/// `yyyy-MM-dd HH:mm:ss` in UTC.
fn date_time(epoch_s: i64) -> String {
    let (days, second) = (epoch_s.div_euclid(86_400), epoch_s.rem_euclid(86_400));
    // Days since 0000-03-01, in eras of 400 years (Howard Hinnant, "chrono-compatible low-level date algorithms").
    let (era, day_of_era) = ((days + 719_468).div_euclid(146_097), (days + 719_468).rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_based = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_based + 2) / 5 + 1;
    let month = if march_based < 10 { march_based + 3 } else { march_based - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_mix_is_the_published_one() {
        // First outputs of SplitMix64 for seed 1234567 (Vigna's splitmix64.c).
        let expect = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([0, 1, 2].map(|index| split_mix(1_234_567, index)), expect);
    }

    #[test]
    fn times_are_written_as_a_calendar_does() {
        assert_eq!(date_time(START_S), "2017-03-15 14:40:50");
        assert_eq!(date_time(951_782_399), "2000-02-28 23:59:59");
        assert_eq!(date_time(951_782_400), "2000-02-29 00:00:00");
        assert_eq!(date_time(1_735_689_599), "2024-12-31 23:59:59");
    }

    #[test]
    fn values_have_the_shape_of_ospbench() {
        let workload = Workload { seed: 1, sensors: 12, seconds: 1, interval_s: 1, partitions: 1, disorder_ms: 0 };
        let sensors = Sensors::new(&workload);
        let text = |topic, index| {
            let event = Event::new(&workload, topic, index);
            let mut text = String::new();
            Writer::default().value(&event, event.point(&sensors), &mut text);
            text
        };
        let flow = text(Topic::Flow, 0);
        assert!(flow.starts_with(r#"{"internalId": "lane1", "lat":51.41268,"long":5.42929,"flow":"#), "{flow}");
        assert!((139..=142).contains(&flow.len()), "{} bytes", flow.len());
        let speed = text(Topic::Speed, 1);
        assert!((129..=137).contains(&speed.len()), "{} bytes", speed.len());
    }
}
