//! Brokers that go away while a job runs.

use crate::city::City;
use crate::metrics::{free_address, get, wait_ready};
use crate::process::eventually;
use citystream_broker::{Broker, BrokerConfig};
use tokio::runtime::Builder;

#[test]
fn waiting_is_shown_and_a_stop_is_still_in_good_order() {
    let city = City::new();
    city.declare("flow", crate::city::FLOW, "");
    let job = city.job("patient", "freshness = '1 hour'", "SELECT site FROM flow");
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let broker = runtime.block_on(Broker::start(BrokerConfig::default())).unwrap();
    broker.create_topic(&city.topic("flow"), 2).unwrap();
    let address = free_address();
    let (brokers, job) = (broker.bootstrap(), job.to_str().unwrap());
    let args =
        ["run", job, "--schemas", "schemas", "--brokers", &brokers, "--data-dir", "data", "--metrics-addr", &address];
    let live = city.start(&args);
    wait_ready(&address);
    runtime.block_on(broker.shutdown());
    let waits = |page: &(u16, String)| page.0 == 503 && page.1.contains("patient: waiting: stream 'flow': ");
    eventually("the waiting state", || get(&address, "/readyz").filter(waits));
    // It is no flicker: the job looks around twenty times a second.
    for _ in 0..40 {
        let page = get(&address, "/readyz").unwrap();
        assert!(waits(&page), "{page:?}");
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
    let done = live.stop().expect(0);
    assert!(done.took.as_secs() < 15, "{:?}", done.took);
    done.says(&["source is not available", "job finished"]);
}
