//! `demo --once`: everything from the repository, twice the same.

use crate::city::City;
use crate::tables;

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
        let names = ["corridor_flow_15m", "corridor_flow_1h", "congestion_alert", "building_load_1h"];
        names.map(|name| tables::rows(&folder.join("data/demo").join(name)))
    });
    assert!(contents[0] == contents[1]);
    assert!(contents[0].iter().all(|rows| !rows.is_empty()));
}
