//! The measurement points: 12 shapes as in the sample of OSPBench, multiplied by a prefix of their key.

use crate::workload::Workload;
use bytes::Bytes;
use citystream_codec::Partitioner;

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
        let partition = Partitioner::Murmur2.partition(key.as_bytes(), partitions);
        let (lat_e5, long_e5) = (5_141_268 + 613 * i64::from(shape), 542_929 - 1_177 * i64::from(shape));
        Self { key: Bytes::from(key), partition, lanes: LANES[shape as usize], lat_e5, long_e5 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
