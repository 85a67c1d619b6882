//! Flow and speed of a lane and second, joined at the end, and put together per point.

use super::{Names, Row, Windows, numbers, texts};
use crate::row::JOIN;
use crate::workload::Topic;
use anyhow::Result;
use arrow::datatypes::{Float64Type, Int32Type};
use citystream_codec::Decoded;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Both sides by second; what is known of a lane stands at its number.
pub(super) struct Lanes {
    /// Points and lanes, as `id/lane`.
    lanes: Names,
    points: Names,
    /// Point of each lane, and the lane's own name.
    lane_of: Vec<(usize, String)>,
    seconds: BTreeMap<i64, Second>,
    key: String,
}

#[derive(Default)]
struct Second {
    flows: Vec<Option<Flow>>,
    speeds: Vec<Option<Speed>>,
}

#[derive(Clone, Copy)]
struct Flow {
    event_time: i64,
    lat: f64,
    long: f64,
    flow: i32,
    period: i32,
    accuracy: i32,
    num_lanes: i32,
}

#[derive(Clone, Copy)]
struct Speed {
    event_time: i64,
    speed: f64,
    accuracy: i32,
    num_lanes: i32,
}

/// The lanes of one point and second.
struct Point {
    lanes: Vec<usize>,
    newest: i64,
    flow: i64,
    speed: f64,
    period: Option<i32>,
    flow_accuracy: Option<i32>,
    speed_accuracy: Option<i32>,
    num_lanes: i32,
    lat: f64,
    long: f64,
}

// === impl Lanes ===

impl Lanes {
    pub(super) fn new() -> Self {
        Self {
            lanes: Names::new(),
            points: Names::new(),
            lane_of: Vec::new(),
            seconds: BTreeMap::new(),
            key: String::new(),
        }
    }

    fn lane(&mut self, id: &str, lane: &str) -> usize {
        self.key.clear();
        self.key.push_str(id);
        self.key.push('/');
        self.key.push_str(lane);
        let number = self.lanes.number(&self.key);
        if number == self.lane_of.len() {
            self.lane_of.push((self.points.number(id), lane.to_owned()));
        }
        number
    }

    fn join(&self, start: i64, second: &Second, rows: &mut Vec<Row>) {
        let mut points: Vec<Option<Point>> = Vec::new();
        points.resize_with(self.points.names.len(), || None);
        for (lane, sides) in second.flows.iter().zip(&second.speeds).enumerate() {
            let (Some(flow), Some(speed)) = sides else { continue };
            let (point, _) = self.lane_of[lane];
            match &mut points[point] {
                Some(point) => point.add(lane, flow, speed),
                empty => *empty = Some(Point::new(lane, flow, speed)),
            }
        }
        let points = points.into_iter().enumerate();
        rows.extend(points.filter_map(|(number, point)| Some(self.row(number, start, point?))));
    }

    fn row(&self, number: usize, start: i64, point: Point) -> Row {
        let mut lanes: Vec<&str> = point.lanes.iter().map(|lane| self.lane_of[*lane].1.as_str()).collect();
        lanes.sort_unstable();
        let numbers = vec![
            start * JOIN.size_ms,
            (start + 1) * JOIN.size_ms,
            lanes.len() as i64,
            point.newest / 1_000,
            point.flow,
            (point.speed * 100.0).round() as i64,
            i64::from(point.period.unwrap_or(-1)),
            i64::from(point.flow_accuracy.unwrap_or(-1)),
            i64::from(point.speed_accuracy.unwrap_or(-1)),
            i64::from(point.num_lanes),
            (point.lat * 1e5).round() as i64,
            (point.long * 1e5).round() as i64,
        ];
        Row { id: Arc::clone(&self.points.names[number]), lanes: lanes.join(","), numbers }
    }
}

impl Windows for Lanes {
    fn add(&mut self, topic: Topic, decoded: &Decoded) -> Result<()> {
        let batch = &decoded.batch;
        let (ids, lanes) = (texts(batch, "id")?, texts(batch, "lane")?);
        let (accuracy, num_lanes) =
            (numbers::<Int32Type>(batch, "accuracy")?, numbers::<Int32Type>(batch, "num_lanes")?);
        match topic {
            Topic::Flow => {
                let (lat, long) = (numbers::<Float64Type>(batch, "lat")?, numbers::<Float64Type>(batch, "long")?);
                let (flow, period) = (numbers::<Int32Type>(batch, "flow")?, numbers::<Int32Type>(batch, "period")?);
                for (row, &event_time) in decoded.event_times.iter().enumerate() {
                    let lane = self.lane(ids.value(row), lanes.value(row));
                    let second = self.seconds.entry(event_time.div_euclid(JOIN.size_ms * 1_000)).or_default();
                    let side = Flow {
                        event_time,
                        lat: lat.value(row),
                        long: long.value(row),
                        flow: flow.value(row),
                        period: period.value(row),
                        accuracy: accuracy.value(row),
                        num_lanes: num_lanes.value(row),
                    };
                    put(&mut second.flows, lane, side, self.lane_of.len());
                }
            }
            Topic::Speed => {
                let speed = numbers::<Float64Type>(batch, "speed")?;
                for (row, &event_time) in decoded.event_times.iter().enumerate() {
                    let lane = self.lane(ids.value(row), lanes.value(row));
                    let second = self.seconds.entry(event_time.div_euclid(JOIN.size_ms * 1_000)).or_default();
                    let (accuracy, num_lanes) = (accuracy.value(row), num_lanes.value(row));
                    let side = Speed { event_time, speed: speed.value(row), accuracy, num_lanes };
                    put(&mut second.speeds, lane, side, self.lane_of.len());
                }
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Vec<Row> {
        let mut rows = Vec::new();
        for (start, second) in &self.seconds {
            self.join(*start, second, &mut rows);
        }
        rows
    }
}

fn put<T: Copy>(sides: &mut Vec<Option<T>>, lane: usize, side: T, lanes: usize) {
    if sides.len() <= lane {
        sides.resize(lanes, None);
    }
    sides[lane] = Some(side);
}

// === impl Point ===

impl Point {
    fn new(lane: usize, flow: &Flow, speed: &Speed) -> Self {
        Self {
            lanes: vec![lane],
            newest: flow.event_time.max(speed.event_time),
            flow: i64::from(flow.flow),
            speed: speed.speed,
            period: Some(flow.period),
            flow_accuracy: Some(flow.accuracy),
            speed_accuracy: Some(speed.accuracy),
            num_lanes: num_lanes(flow, speed),
            lat: flow.lat,
            long: flow.long,
        }
    }

    fn add(&mut self, lane: usize, flow: &Flow, speed: &Speed) {
        self.lanes.push(lane);
        self.newest = self.newest.max(flow.event_time).max(speed.event_time);
        self.flow += i64::from(flow.flow);
        self.speed += speed.speed;
        self.period = self.period.filter(|period| *period == flow.period);
        self.flow_accuracy = self.flow_accuracy.filter(|accuracy| *accuracy == flow.accuracy);
        self.speed_accuracy = self.speed_accuracy.filter(|accuracy| *accuracy == speed.accuracy);
        self.num_lanes = self.num_lanes.min(num_lanes(flow, speed));
        self.lat = self.lat.min(flow.lat);
        self.long = self.long.min(flow.long);
    }
}

/// Lanes of the point, -1 when the two sides disagree.
fn num_lanes(flow: &Flow, speed: &Speed) -> i32 {
    if flow.num_lanes == speed.num_lanes { flow.num_lanes } else { -1 }
}
