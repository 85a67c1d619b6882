//! What jobs may look like: windows that hop, sessions, two streams, a reference table, `INSERT INTO`.

use crate::broker::send;
use crate::caught_up::counts;
use crate::city::{City, FLOW, flow};

#[test]
fn hopping_windows() {
    let city = City::with_flow(2);
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:00"), flow("a", 2, "05:01:30")]);
    let select = "SELECT window_start, window_end, sum(veh) AS veh \
        FROM hop(flow, at, INTERVAL '1 minute', INTERVAL '2 minutes') GROUP BY window_start, window_end";
    let job = city.job("hopping", "", select);
    city.catch_up(&[&job], &[]).expect(0);
    assert_eq!(
        city.rows("hopping"),
        [window("04:59", "05:01", 1), window("05:00", "05:02", 3), window("05:01", "05:03", 2)]
    );
}

#[test]
fn sessions_end_where_the_gap_begins() {
    let city = City::with_flow(1);
    // The second comes less than 30 s after the first, the third exactly 30 s after the second.
    let times = ["05:00:00", "05:00:29.999999", "05:00:59.999999"];
    send(&city.topic("flow"), 0, times.map(|at| flow("a", 1, at)));
    let select = "SELECT site, window_start, window_end, count(*) AS n \
        FROM session(flow, at, gap => INTERVAL '30 seconds', key => site) GROUP BY site, window_start, window_end";
    let job = city.job("sessions", "", select);
    city.catch_up(&[&job], &[]).expect(0);
    let session = |start: &str, end: &str, n: u8| {
        format!(r#"{{"site":"a","window_start":"2026-03-29T{start}Z","window_end":"2026-03-29T{end}Z","n":{n}}}"#)
    };
    let expect = [session("05:00:00", "05:00:59.999999", 2), session("05:00:59.999999", "05:01:29.999999", 1)];
    assert_eq!(city.rows("sessions"), expect);
}

#[test]
fn two_streams_and_a_table() {
    let city = City::with_flow(2);
    city.stream("speed", "site TEXT NOT NULL, kmh DOUBLE, at TIMESTAMP NOT NULL", "", 1);
    city.file("schemas/sites/sites.csv", "site,name\na,Ring\n");
    let table = "CREATE EXTERNAL TABLE sites (site TEXT NOT NULL, name TEXT) STORED AS CSV LOCATION 'sites.csv' \
        OPTIONS ('format.has_header' 'true');";
    city.file("schemas/sites/table.sql", table);
    send(&city.topic("flow"), 0, [flow("a", 3, "05:00:00"), flow("b", 4, "05:00:01"), flow("a", 5, "05:02:00")]);
    // The second row is late.
    let speed = |at: &str| format!(r#"{{"site":"a","kmh":50.5,"at":"2026-03-29T{at}Z"}}"#);
    send(&city.topic("speed"), 0, [speed("05:00:59"), speed("05:00:00"), speed("05:01:00")]);
    let select = "SELECT s.name, f.window_start, f.window_end, f.veh, v.kmh FROM \
        (SELECT site, window_start, window_end, sum(veh) AS veh FROM tumble(flow, at, INTERVAL '1 minute') GROUP BY site, window_start, window_end) AS f \
        JOIN (SELECT site, window_start, window_end, max(kmh) AS kmh FROM tumble(speed, at, INTERVAL '1 minute') GROUP BY site, window_start, window_end) AS v \
        ON v.site = f.site AND v.window_start = f.window_start AND v.window_end = f.window_end \
        JOIN sites AS s ON s.site = f.site";
    let job = city.job("joined", "", select);
    let done = city.catch_up(&[&job], &[]).expect(0);
    assert_eq!(counts(&done.job("joined")), [6, 5, 1, 0, 0]);
    let expect = r#"{"name":"Ring","window_start":"2026-03-29T05:00:00Z","window_end":"2026-03-29T05:01:00Z","veh":3,"kmh":50.5}"#;
    assert_eq!(city.rows("joined"), [expect]);
    assert_eq!(city.rows("joined_late_speed").len(), 1);
    assert!(!city.table("joined_late").exists());
}

#[test]
fn insert_into_a_declared_sink_with_folders_by_column() {
    let city = City::with_flow(1);
    send(&city.topic("flow"), 0, [flow("a/b", 3, "05:00:00"), flow("c", 4, "05:00:01")]);
    let text = "CREATE EXTERNAL TABLE counted STORED AS PARQUET LOCATION 'deep/counted' OPTIONS ('partition_by' 'site');\n\
        INSERT INTO counted SELECT site, veh FROM flow;";
    let job = city.file("counted.sql", text);
    let done = city.catch_up(&[&job], &[]).expect(0);
    assert_eq!(done.job("counted")["sinks"]["parquet:deep/counted"]["files"], 2);
    assert_eq!(city.rows("deep/counted"), [r#"{"site":"a/b","veh":3}"#, r#"{"site":"c","veh":4}"#]);
    assert!(city.table("deep/counted/site=c").is_dir());
}

#[test]
fn nested_fields_keys_and_zones() {
    let city = City::new();
    let options =
        "'path.veh' '/payload/veh', 'path.station' '_key', 'time.zone' 'Europe/Amsterdam', 'time.out_of_order' '1 day'";
    city.stream("flow", &format!("{FLOW}, station TEXT"), options, 1);
    let row = |at: &str| format!(r#"{{"site":"a","payload":{{"veh":7}},"at":"{at}"}}"#);
    // 02:30 was skipped that night.
    send(&city.topic("flow"), 0, ["2026-03-29T01:30:00", "2026-03-29 03:00:00", "2026-03-29T02:30:00"].map(row));
    let job = city.job("nested", "", "SELECT station, veh, at FROM flow");
    let done = city.catch_up(&[&job], &[]).expect(0);
    assert_eq!(counts(&done.job("nested")), [3, 2, 0, 1, 0]);
    let expect = ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z"]
        .map(|at| format!(r#"{{"station":"key","veh":7,"at":"{at}"}}"#));
    assert_eq!(city.rows("nested"), expect);
}

fn window(start: &str, end: &str, veh: u8) -> String {
    format!(r#"{{"window_start":"2026-03-29T{start}:00Z","window_end":"2026-03-29T{end}:00Z","veh":{veh}}}"#)
}
