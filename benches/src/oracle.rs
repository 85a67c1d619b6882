//! The right answer, from the events themselves: plain hash maps, no decoding, no streaming, none of citystream's code.

use crate::arrivals::Arrivals;
use crate::digest::Digest;
use crate::record::{Event, Value};
use crate::row::{self, JOIN, REDUCE, TUMBLE, Window};
use crate::sensors::Sensors;
use crate::workload::{JobName, Topic, Workload};
use std::collections::HashMap;

/// Period and accuracy of all records.
const PERIOD: i64 = 60;
const ACCURACY: i64 = 100;

/// What is known of the flows of one point in one window.
#[derive(Debug, Clone, Copy)]
struct Flows {
    count: i64,
    sum: i64,
    lowest: i64,
    highest: i64,
    newest_ms: i64,
}

/// What is known of the lanes of one point in one second.
#[derive(Debug, Default)]
struct Lanes {
    numbers: Vec<u8>,
    newest_ms: i64,
    flow: i64,
    speed_hundredths: i64,
}

/// The digest of what `job` has to give for `workload`.
pub fn expected(job: JobName, workload: &Workload) -> Digest {
    let sensors = Sensors::new(workload);
    match job {
        JobName::Reduce => reduce(workload, &sensors),
        JobName::Tumble => tumble(workload, &sensors),
        JobName::Join => join(workload, &sensors),
    }
}

fn reduce(workload: &Workload, sensors: &Sensors) -> Digest {
    let rows = flows(workload, REDUCE).into_iter().map(|((sensor, start), flows)| {
        let Flows { count, sum, newest_ms, .. } = flows;
        text(sensors, sensor, "", &[start, start + REDUCE.size_ms, count, sum, newest_ms])
    });
    rows.collect()
}

fn tumble(workload: &Workload, sensors: &Sensors) -> Digest {
    let rows = flows(workload, TUMBLE).into_iter().map(|((sensor, start), flows)| {
        let Flows { count, sum, lowest, highest, .. } = flows;
        text(sensors, sensor, "", &[start, start + TUMBLE.size_ms, count, sum, lowest, highest])
    });
    rows.collect()
}

/// Every event into every window that holds it.
fn flows(workload: &Workload, window: Window) -> HashMap<(u32, i64), Flows> {
    let mut all: HashMap<(u32, i64), Flows> = HashMap::new();
    for event in Arrivals::new(workload, Topic::Flow) {
        let (at, Value::Flow(flow)) = (event.event_time_ms, event.value) else { continue };
        let mut start = at.div_euclid(window.slide_ms) * window.slide_ms;
        while start + window.size_ms > at {
            let new = Flows { count: 0, sum: 0, lowest: flow, highest: flow, newest_ms: at };
            let flows = all.entry((event.sensor, start)).or_insert(new);
            flows.count += 1;
            flows.sum += flow;
            flows.lowest = flows.lowest.min(flow);
            flows.highest = flows.highest.max(flow);
            flows.newest_ms = flows.newest_ms.max(at);
            start -= window.slide_ms;
        }
    }
    all
}

fn join(workload: &Workload, sensors: &Sensors) -> Digest {
    let second = |event: &Event| event.event_time_ms.div_euclid(JOIN.size_ms) * JOIN.size_ms;
    let mut flows: HashMap<(u32, u8, i64), (i64, i64)> = HashMap::new();
    for event in Arrivals::new(workload, Topic::Flow) {
        if let Value::Flow(flow) = event.value {
            flows.insert((event.sensor, event.lane, second(&event)), (flow, event.event_time_ms));
        }
    }
    let mut points: HashMap<(u32, i64), Lanes> = HashMap::new();
    for event in Arrivals::new(workload, Topic::Speed) {
        let Value::Speed(hundredths, _) = event.value else { continue };
        let Some((flow, flow_ms)) = flows.get(&(event.sensor, event.lane, second(&event))) else { continue };
        let lanes = points.entry((event.sensor, second(&event))).or_default();
        lanes.numbers.push(event.lane);
        lanes.newest_ms = lanes.newest_ms.max(event.event_time_ms).max(*flow_ms);
        lanes.flow += flow;
        lanes.speed_hundredths += hundredths;
    }
    points.into_iter().map(|((sensor, start), lanes)| point_text(sensors, sensor, start, lanes)).collect()
}

fn point_text(sensors: &Sensors, sensor: u32, start: i64, mut lanes: Lanes) -> String {
    lanes.numbers.sort_unstable();
    let names: Vec<String> = lanes.numbers.iter().map(|number| format!("lane{number}")).collect();
    let point = sensors.point(sensor);
    let numbers = [
        start,
        start + JOIN.size_ms,
        names.len() as i64,
        lanes.newest_ms,
        lanes.flow,
        lanes.speed_hundredths,
        PERIOD,
        ACCURACY,
        ACCURACY,
        i64::from(point.lanes),
        point.lat_e5,
        point.long_e5,
    ];
    text(sensors, sensor, &names.join(","), &numbers)
}

fn text(sensors: &Sensors, sensor: u32, lanes: &str, numbers: &[i64]) -> String {
    row::text(&String::from_utf8_lossy(&sensors.point(sensor).key), lanes, numbers)
}
