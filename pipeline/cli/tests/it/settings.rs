//! Where settings come from: defaults, then the file, then the environment, then flags.

use crate::broker::{brokers, send};
use crate::city::{City, flow};
use crate::process::start;

#[test]
fn file_environment_and_flags() {
    let city = City::with_flow(1);
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:00")]);
    let job = city.job("configured", "", "SELECT site FROM flow");
    let job = job.to_str().unwrap();
    let text = "[run]\nschemas = 'schemas'\nbrokers = '127.0.0.1:1'\ndata_dir = 'from_file'\nif_exists = 'append'\n\
        [kafka]\n'client.rack' = 'west'\n[log]\nformat = 'json'\n";
    city.file("citystream.toml", text);
    let run = |env: &[(&str, &str)], args: &[&str]| {
        let fixed = ["run", job, "--until-caught-up", "--config", "citystream.toml"];
        let mut command = city.command(&fixed);
        command.args(args).env("CITYSTREAM__RUN__BROKERS", brokers()).envs(env.iter().copied());
        start(command, &city.path("")).wait()
    };
    let done = run(&[], &[]).expect(0);
    let said: Vec<serde_json::Value> = done.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(said.iter().any(|line| line["fields"]["message"] == "job finished"), "{said:?}");
    run(&[("CITYSTREAM__RUN__DATA_DIR", "from_env")], &["--log-format", "text"]).expect(0);
    run(&[("CITYSTREAM__RUN__DATA_DIR", "from_env")], &["--data-dir", "from_flag"]).expect(0);
    for folder in ["from_file", "from_env", "from_flag"] {
        assert_eq!(crate::tables::rows(&city.path(folder).join("configured")).len(), 1, "{folder}");
    }
    let done = run(&[], &["--if-exists", "error"]).expect(1);
    done.says(&["from_file/configured", "already holds rows"]);
    run(&[("CITYSTREAM__RUN__IF_EXIST", "x")], &[]).expect(1).says(&["if_exist", "if_exists"]);
    run(&[("CITYSTREAM__LOGS__LEVEL", "x")], &[]).expect(1).says(&["CITYSTREAM__LOGS__LEVEL", "did you mean 'log'?"]);
}

#[test]
fn a_wrong_file_is_pointed_at_and_all_kafka_options_are_checked() {
    let city = City::with_flow(1);
    let run = |text: &str| {
        city.file("wrong.toml", text);
        city.done(&["check", "x.sql", "--schemas", "schemas", "--config", "wrong.toml"]).expect(1)
    };
    run("[run]\nbrokers = \n").says(&["wrong.toml:2:"]);
    run("[run]\nbroker = 'x'\n").says(&["broker", "brokers"]);
    let done = run("[kafka]\n'sasl.pasword' = 'x'\n'sasl.password' = 'clear'\n'group.id' = 'mine'\n");
    done.says(&["did you mean 'kafka.sasl.password'?", "clear text", "group.id"]);
    assert!(!done.stderr.contains("'clear'"), "{}", done.stderr);
    run("[kafka]\n'sasl.password' = '${CITYSTREAM_TEST_NOT_SET}'\n").says(&["CITYSTREAM_TEST_NOT_SET is not set"]);
    city.done(&["check", "x.sql", "--schemas", "schemas", "--config", "no.toml"])
        .expect(1)
        .says(&["no.toml", "cannot be read"]);
    let wrong = city.done(&["check", "x.sql", "--schemas", "schemas", "--log-level", "loud=very"]).expect(1);
    wrong.says(&["log level", "loud=very"]);
}

#[test]
fn brokers_have_a_port() {
    let city = City::new();
    city.declare("flow", crate::city::FLOW, "");
    city.job("j", "", "SELECT site FROM flow");
    for brokers in ["kafka", "kafka:", ":9092", "kafka:port", "a:9092,b", "::1", "a:9092,", "[::1]", ""] {
        let args = ["run", "j.sql", "--schemas", "schemas", "--data-dir", "data", "--brokers", brokers];
        let done = city.done(&args).expect(1);
        done.says(&["--brokers"]);
        assert!(brokers.is_empty() || done.stderr.contains("expected HOST:PORT[,..]; write "), "{}", done.stderr);
    }
}
