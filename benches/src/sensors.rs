//! The measurement points: 12 shapes as in the sample of OSPBench, multiplied by a prefix of their key.

use crate::workload::Workload;
use bytes::Bytes;

/// Lanes of the 12 shapes of points.
const LANES: [u8; 12] = [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3];
/// Lanes of all shapes together.
const LANES_OF_ALL: u64 = 19;
/// Point and lane (from 1) of each of the 19 lanes.
const SLOTS: [(u8, u8); 19] = slots();

/// All points of a workload.
#[derive(Debug)]
pub struct Sensors {
    points: Vec<Point>,
}

/// One measurement point.
#[derive(Debug)]
pub struct Point {
    /// Key of its records.
    pub key: Bytes,
    /// Partition of its records.
    pub partition: u32,
    /// Number of its lanes.
    pub lanes: u8,
    /// Latitude in 1e-5 degrees.
    pub lat_e5: i64,
    /// Longitude in 1e-5 degrees.
    pub long_e5: i64,
}

/// Lanes that `sensors` points have.
pub fn lanes(sensors: u32) -> u64 {
    let rest = LANES.iter().take(sensors as usize % LANES.len()).map(|lanes| u64::from(*lanes)).sum::<u64>();
    u64::from(sensors) / LANES.len() as u64 * LANES_OF_ALL + rest
}

/// Point and lane (from 1) of the lane numbered `slot` over all points.
pub fn lane(slot: u64) -> (u32, u8) {
    let (group, within) = (slot / LANES_OF_ALL, slot % LANES_OF_ALL);
    let (point, lane) = SLOTS[within as usize];
    (group as u32 * LANES.len() as u32 + u32::from(point), lane)
}

const fn slots() -> [(u8, u8); 19] {
    let mut slots = [(0, 0); 19];
    let (mut point, mut lane, mut slot) = (0, 1, 0);
    while slot < slots.len() {
        slots[slot] = (point, lane);
        slot += 1;
        if lane == LANES[point as usize] {
            point += 1;
            lane = 1;
        } else {
            lane += 1;
        }
    }
    slots
}

/// Kafka's hash of a key, as all its Java clients compute it.
pub fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ key.len() as u32;
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut k = word.iter().rev().fold(0, |k, byte| k << 8 | u32::from(*byte)).wrapping_mul(M);
        k = (k ^ k >> 24).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0, |k, byte| k << 8 | u32::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(M);
    hash ^ hash >> 15
}

// === impl Sensors ===

impl Sensors {
    /// The points of `workload`.
    pub fn new(workload: &Workload) -> Self {
        Self { points: (0..workload.sensors).map(|number| Point::new(number, workload.partitions)).collect() }
    }

    /// The point numbered `sensor`.
    pub fn point(&self, sensor: u32) -> &Point {
        &self.points[sensor as usize]
    }
}

// === impl Point ===

impl Point {
    fn new(number: u32, partitions: u32) -> Self {
        let (group, shape) = (number / LANES.len() as u32, number % LANES.len() as u32);
        // 54 to 60 bytes behind the prefix, as the real ones: a geohash in letters, a system, a point.
        let letters: String = format!("{:02}", shape + 11).chars().flat_map(|digit| [digit, '/']).collect();
        let tail = "7".repeat(shape as usize % 7);
        let key = format!("{group:04}au/1/5/u/{letters}3/k/x/d/h/n/RWS01_MONICA_00D02A85F6{shape:04}{tail}_1");
        let partition = (murmur2(key.as_bytes()) & 0x7fff_ffff) % partitions;
        let (lat_e5, long_e5) = (5_141_268 + 613 * i64::from(shape), 542_929 - 1_177 * i64::from(shape));
        Self { key: Bytes::from(key), partition, lanes: LANES[shape as usize], lat_e5, long_e5 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_is_kafkas() {
        // From org.apache.kafka.common.utils.UtilsTest.
        for (key, expect) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, expect, "{key}");
        }
    }

    #[test]
    fn lanes_are_numbered_over_all_points() {
        assert_eq!((lanes(12), lanes(13), lanes(11), lanes(24)), (19, 20, 16, 38));
        assert_eq!([0, 5, 6, 7, 18, 19].map(lane), [(0, 1), (5, 1), (6, 1), (6, 2), (11, 3), (12, 1)]);
    }

    #[test]
    fn keys_have_the_length_of_real_ones() {
        for number in 0..24 {
            let length = Point::new(number, 4).key.len();
            assert!((58..=64).contains(&length), "{number}: {length}");
        }
    }
}
