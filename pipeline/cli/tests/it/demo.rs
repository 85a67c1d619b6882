//! `demo --once`: everything from the repository, twice the same.

use crate::city::City;
use crate::tables;

/// The table of each job in `jobs/`.
const TABLES: [&str; 20] = [
    "building_energy_1d",
    "building_load_1h",
    "congestion_alert",
    "corridor_flow_15m",
    "corridor_flow_1h",
    "detector_outage",
    "district_energy_1h",
    "district_energy_1mo",
    "district_energy_today",
    "district_peak_1d",
    "flow_speed_1s",
    "no2_alert",
    "parking_full",
    "parking_occupancy_30m",
    "pm25_alert",
    "reading_quality_1d",
    "silent_detector",
    "site_flow_5m",
    "smog_episode",
    "stuck_meter",
];

#[test]
fn twice_in_an_empty_folder_gives_the_same_content() {
    let contents = [(), ()].map(|()| {
        let city = City::new();
        let folder = city.path("empty");
        std::fs::create_dir(&folder).unwrap();
        let mut command = city.command(&["demo", "--once"]);
        command.current_dir(&folder);
        let done = crate::process::start(command, &city.path("")).wait().expect(0);
        for word in ["job", "rows", "files", "late", "rejected", "corridor_flow_15m", "congestion_alert"] {
            assert!(done.stdout.contains(word), "{word} in\n{}", done.stdout);
        }
        done.says(&["equals the same SQL run as a batch"]);
        TABLES.map(|name| tables::rows(&folder.join("data/demo").join(name)))
    });
    assert!(contents[0] == contents[1]);
    assert!(contents[0].iter().all(|rows| !rows.is_empty()));
}
