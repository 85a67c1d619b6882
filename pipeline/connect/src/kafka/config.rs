//! Options of the Kafka client: which names and values are legal, and the settings of each kind of client.

use citystream_model::nearest::nearest;
use citystream_model::{Error, Result};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use std::collections::BTreeMap;
use std::fmt;

/// Where the brokers are and how to talk to them; secrets are resolved and never printed.
#[derive(Debug, Clone)]
pub struct KafkaClient {
    brokers: String,
    options: BTreeMap<String, Secret>,
}

/// A value that may be secret: it shows itself only to the client library.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Property names of librdkafka 2.12, from its CONFIGURATION.md, without those that hold pointers.
const PROPERTIES: &str = include_str!("properties.txt");

/// Largest record that a client sends or asks for at once, in bytes.
const MAX_MESSAGE: &str = "16777216";

/// Names that citystream sets itself, and why.
const OURS: &[(&str, &str)] = &[
    ("bootstrap.servers", "the brokers come from --brokers"),
    ("metadata.broker.list", "the brokers come from --brokers"),
    ("group.id", "a job's positions are in its checkpoint, not in a consumer group"),
    ("group.instance.id", "a job's positions are in its checkpoint, not in a consumer group"),
    ("group.protocol", "a job reads all partitions without a consumer group"),
    ("group.protocol.type", "a job reads all partitions without a consumer group"),
    ("group.remote.assignor", "a job reads all partitions without a consumer group"),
    ("partition.assignment.strategy", "a job reads all partitions without a consumer group"),
    ("enable.auto.commit", "a job's positions are in its checkpoint"),
    ("auto.commit.enable", "a job's positions are in its checkpoint"),
    ("auto.commit.interval.ms", "a job's positions are in its checkpoint"),
    ("enable.auto.offset.store", "a job's positions are in its checkpoint"),
    ("offset.store.method", "a job's positions are in its checkpoint"),
    ("offset.store.path", "a job's positions are in its checkpoint"),
    ("offset.store.sync.interval.ms", "a job's positions are in its checkpoint"),
    ("auto.offset.reset", "a lost position is an error; the start comes from --from"),
    ("isolation.level", "only committed records are read"),
    ("enable.partition.eof", "the engine has to know when a partition is read to its end"),
    ("statistics.interval.ms", "the source takes its lag from the statistics"),
    ("allow.auto.create.topics", "a missing topic is an error, not an empty stream"),
    ("transactional.id", "it carries the job's identity"),
    ("enable.idempotence", "output is always idempotent"),
    ("enable.gapless.guarantee", "output is always idempotent"),
    ("acks", "output is always acknowledged by all replicas"),
    ("request.required.acks", "output is always acknowledged by all replicas"),
    ("delivery.report.only.error", "the sink counts what was acknowledged"),
    ("max.in.flight", "idempotent output fixes it"),
    ("max.in.flight.requests.per.connection", "idempotent output fixes it"),
    ("queuing.strategy", "idempotent output fixes it"),
    ("plugin.library.paths", "code is not loaded from SQL"),
    ("interceptors", "code is not loaded from SQL"),
    ("builtin.features", "the build decides it"),
    ("log.queue", "logs go through citystream"),
    ("log_level", "use --log-level"),
];

/// Refuses a `kafka.*` option (name without the prefix) that the client does not know, that citystream sets itself,
/// whose value the client does not take, or that holds a secret in clear text.
///
/// # Errors
/// [`citystream_model::ErrorKind::Job`] with what was found and expected.
pub fn check_option(name: &str, value: &str) -> Result<()> {
    if let Some((_, reason)) = OURS.iter().find(|(ours, _)| *ours == name) {
        return Err(Error::job(format!("option 'kafka.{name}': it cannot be set, {reason}")));
    }
    if !known_names().any(|known| known == name) {
        return Err(unknown(name));
    }
    if is_secret(name) && !is_reference(value) {
        return Err(Error::job(format!(
            "option 'kafka.{name}': found a value in clear text, expected '${{ENV_NAME}}'; \
             put the secret into an environment variable and name that"
        )));
    }
    if value.contains("${") {
        return substitute(name, value, &|_| Some(String::new())).map(drop);
    }
    let mut probe = ClientConfig::new();
    probe.set(name, value);
    match probe.create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(_, detail, ..)) => Err(Error::job(format!("option 'kafka.{name}': {detail}"))),
        Err(other) => Err(Error::job(format!("option 'kafka.{name}': {other}"))),
    }
}

/// Replaces `${ENV_NAME}` by the variable's value.
///
/// # Errors
/// [`citystream_model::ErrorKind::Job`] for a variable that is not set or a reference that does not end.
pub fn resolve_secrets(
    options: &BTreeMap<String, String>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, Secret>> {
    let resolve = |(name, value): (&String, &String)| Ok((name.clone(), Secret(substitute(name, value, env)?)));
    options.iter().map(resolve).collect()
}

/// Refuses a name that Kafka does not take as a topic.
///
/// # Errors
/// [`citystream_model::ErrorKind::Job`] with the rule that it breaks.
pub fn check_topic(topic: &str) -> Result<()> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let found = match topic {
        "" => "it is empty".to_owned(),
        "." | ".." => "it is a path".to_owned(),
        _ if topic.len() > 249 => format!("it has {} characters", topic.len()),
        _ => match topic.chars().find(|c| !legal(*c)) {
            Some(c) => format!("it has {c:?}"),
            None => return Ok(()),
        },
    };
    Err(Error::job(format!(
        "topic '{topic}': {found}, expected 1 to 249 of the characters a-z, A-Z, 0-9, '.', '_' and '-'"
    )))
}

// === impl KafkaClient ===

impl KafkaClient {
    /// A client of `brokers` (`HOST:PORT[,..]`) with checked options (names without `kafka.`).
    pub fn new(brokers: impl Into<String>, options: BTreeMap<String, Secret>) -> Self {
        Self { brokers: brokers.into(), options }
    }

    /// The brokers as given.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Only reads metadata: it never creates a topic, as a producer's metadata requests may.
    pub(crate) fn metadata_config(&self) -> ClientConfig {
        self.config(&[("isolation.level", "read_committed"), ("allow.auto.create.topics", "false")])
    }

    /// Creates and deletes topics.
    pub(crate) fn admin_config(&self) -> ClientConfig {
        self.config(&[])
    }

    /// Reads records. `group` is never joined; librdkafka wants a name for manual assignment.
    pub(crate) fn consumer_config(&self, group: &str) -> ClientConfig {
        let mut config = self.config(&[
            // Memory bounds of a source that is not polled. The client counts a record's bytes, not its own bookkeeping nor
            // what a compressed batch grows to, and looks only between requests: with its defaults (64 MiB, 1 MiB of each
            // partition) a fast reader of four lz4 partitions held 500 MiB, with these 100; the cost in CPU is the same.
            ("queued.max.messages.kbytes", "16384"),
            ("fetch.message.max.bytes", "262144"),
            // The default of 1 s lets a fast reader starve once the queue was full.
            ("fetch.queue.backoff.ms", "10"),
            // As the Java clients do: brokers check what they take, but not what their disks give back. Not measurable on
            // a compressed topic.
            ("check.crcs", "true"),
            // How long the broker holds a request at the end of a partition: the delay of AtEnd.
            ("fetch.wait.max.ms", "100"),
            ("topic.metadata.refresh.interval.ms", "5000"),
        ]);
        for (name, value) in [
            ("group.id", group),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("enable.partition.eof", "true"),
            ("isolation.level", "read_committed"),
            ("auto.offset.reset", "error"),
            ("allow.auto.create.topics", "false"),
            ("statistics.interval.ms", "1000"),
        ] {
            config.set(name, value);
        }
        config
    }

    /// Sends records.
    pub(crate) fn producer_config(&self) -> ClientConfig {
        let mut config = self.config(&[
            // Memory bound of the queue; at it, `send` waits.
            ("queue.buffering.max.kbytes", "65536"),
            ("compression.type", "lz4"),
            // As the Java clients do, so that a key keeps its partition.
            ("partitioner", "murmur2_random"),
        ]);
        config.set("enable.idempotence", "true").set("acks", "all");
        config
    }

    /// Sends records in transactions.
    pub(crate) fn transactional_config(&self, id: &str) -> ClientConfig {
        let mut config = self.producer_config();
        // The default of 100 ms is waited where the transaction before is still being completed.
        config.set("retry.backoff.ms", "20");
        // So long a process that died may hold back readers of committed records; whoever takes over ends that at once.
        config.set("transaction.timeout.ms", "300000").set("transactional.id", id);
        config
    }

    /// Defaults, then the user's options, then what is not negotiable.
    fn config(&self, defaults: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", "citystream").set("message.max.bytes", MAX_MESSAGE).set("enable.metrics.push", "false");
        config.set("reconnect.backoff.max.ms", "2000");
        for (name, value) in defaults {
            config.set(*name, *value);
        }
        for (name, Secret(value)) in &self.options {
            // An alias of a default would otherwise leave it to chance which of the two wins.
            if name == "compression.codec" {
                config.remove("compression.type");
            }
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.brokers).set_log_level(RDKafkaLogLevel::Warning);
        config
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A client that the library refuses to make: wrong options, an unreadable certificate.
pub(crate) fn not_created(error: &KafkaError) -> Error {
    let detail = match error {
        // Its own text would show the value.
        KafkaError::ClientConfig(_, _, name, _) => format!("option 'kafka.{name}': the value is not taken"),
        KafkaError::ClientCreation(detail) => detail.clone(),
        other => other.to_string(),
    };
    Error::job(format!("kafka client: {detail}; check the kafka options"))
}

fn known_names() -> impl Iterator<Item = &'static str> {
    PROPERTIES.lines()
}

fn unknown(name: &str) -> Error {
    let settable = known_names().filter(|known| !OURS.iter().any(|(ours, _)| ours == known));
    let hint = match nearest(name, settable) {
        Some(known) => format!("did you mean 'kafka.{known}'?"),
        None => "see librdkafka's CONFIGURATION.md for the names".to_owned(),
    };
    Error::job(format!("option 'kafka.{name}': found a name that the Kafka client does not know; {hint}"))
}

fn is_secret(name: &str) -> bool {
    ["password", "secret", "passphrase"].iter().any(|word| name.contains(word)) || name.ends_with("key.pem")
}

/// True for exactly one `${NAME}`.
fn is_reference(value: &str) -> bool {
    value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).is_some_and(is_variable)
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn substitute(option: &str, value: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String> {
    let mut out = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, tail)) = after.split_once('}').filter(|(name, _)| is_variable(name)) else {
            return Err(Error::job(format!("option 'kafka.{option}': found '${{' without a variable's name and '}}'")));
        };
        let Some(found) = env(name) else {
            return Err(Error::job(format!("option 'kafka.{option}': the environment variable {name} is not set")));
        };
        out.push_str(before);
        out.push_str(&found);
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}
