//! Settings: embedded defaults, then a file, then the environment, then flags; checked once, all problems together.

use crate::args::{Global, LogFormat};
use crate::exit::{Failure, Outcome};
use citystream_connect::kafka;
use citystream_model::nearest::nearest;
use citystream_model::{Diagnostic, Error};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use toml::{Table, Value};

/// The settings as they hold.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) log: LogConfig,
    /// Options of every Kafka client; secrets still as `${ENV_NAME}`.
    pub(crate) kafka: BTreeMap<String, String>,
    pub(crate) storage: StorageConfig,
    pub(crate) run: RunConfig,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogConfig {
    pub(crate) level: String,
    pub(crate) format: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StorageConfig {
    pub(crate) allowed_prefixes: Vec<String>,
}

/// Defaults of the flags of `run`; an empty text is "not set".
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunConfig {
    pub(crate) schemas: String,
    pub(crate) brokers: String,
    pub(crate) data_dir: String,
    pub(crate) from: String,
    pub(crate) metrics_addr: String,
    pub(crate) parallelism: String,
    pub(crate) memory_limit: String,
    pub(crate) if_exists: String,
    pub(crate) checkpoint_dir: String,
    pub(crate) checkpoint_interval: String,
    pub(crate) commit_interval: String,
    pub(crate) guarantee: String,
}

const DEFAULTS: &str = include_str!("defaults.toml");
/// Prefix of environment variables; `__` separates section and key.
const PREFIX: &str = "CITYSTREAM__";

// === impl Config ===

impl Config {
    /// Reads defaults, file and environment.
    pub(crate) fn load(
        file: Option<&Path>,
        env: &dyn Fn(&str) -> Option<String>,
        vars: impl Iterator<Item = (String, String)>,
    ) -> Outcome<Self> {
        let mut settings = parse(DEFAULTS, "defaults.toml")?;
        if let Some(file) = file {
            let text = std::fs::read_to_string(file).map_err(|error| {
                Error::job(format!("configuration file {}: cannot be read", file.display())).caused_by(error)
            })?;
            merge(&mut settings, parse(&text, &file.display().to_string())?);
        }
        let known = settings.clone();
        for (name, value) in vars.filter(|(name, _)| name.starts_with(PREFIX)) {
            set(&mut settings, &known, &name, &value)?;
        }
        let config: Self = settings
            .try_into()
            .map_err(|error: toml::de::Error| Error::job(format!("configuration: {}", error.message())))?;
        let mut findings = Vec::new();
        for (name, value) in &config.kafka {
            if let Err(error) = kafka::check_option(name, value) {
                findings.push(error.to_string());
            }
        }
        findings.extend(kafka::resolve_secrets(&config.kafka, env).err().map(|error| error.to_string()));
        if findings.is_empty() {
            Ok(config)
        } else {
            Err(Error::job(format!("configuration, [kafka]: {}", findings.join("; "))).into())
        }
    }

    /// The settings with the flags that every command has.
    pub(crate) fn with_flags(mut self, flags: &Global) -> Outcome<Self> {
        if let Some(level) = &flags.log_level {
            self.log.level.clone_from(level);
        }
        if let Some(format) = flags.log_format {
            self.log.format = if format == LogFormat::Json { "json" } else { "text" }.to_owned();
        }
        crate::logging::check(&self.log.level)?;
        if !["text", "json"].contains(&self.log.format.as_str()) {
            return Err(Error::job(format!(
                "configuration, log.format: found '{}', expected 'text' or 'json'",
                self.log.format
            ))
            .into());
        }
        Ok(self)
    }
}

/// A flag, else the setting; an error that names both when neither is there.
pub(crate) fn required(flag: Option<String>, setting: &str, name: &str) -> Outcome<String> {
    match flag.or_else(|| (!setting.is_empty()).then(|| setting.to_owned())) {
        Some(value) => Ok(value),
        None => Err(Error::job(format!(
            "--{name} is missing; give the flag, or set {} in section [run] of the configuration",
            name.replace('-', "_")
        ))
        .into()),
    }
}

/// The brokers, `HOST:PORT[,..]`: the flag, else the setting.
pub(crate) fn brokers(flag: Option<String>, setting: &str) -> Outcome<String> {
    let brokers = required(flag, setting, "brokers")?;
    for broker in brokers.split(',').map(str::trim) {
        let address = broker.split_once("://").map_or(broker, |(_, address)| address);
        let port = address.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
        let is_ipv6 = address.contains('[') == address.contains(']');
        if !matches!(port, Some((host, Ok(1..))) if !host.is_empty() && is_ipv6 && (!host.contains(':') || host.ends_with(']')))
        {
            let host = if address.is_empty() { "localhost" } else { address.trim_end_matches(':') };
            let message = format!(
                "--brokers: found '{broker}', expected HOST:PORT[,..]; write {host}:9092, where 9092 is the usual port of Kafka"
            );
            return Err(Error::job(message).into());
        }
    }
    Ok(brokers)
}

fn parse(text: &str, name: &str) -> Outcome<Table> {
    text.parse::<Table>().map_err(|error| {
        let before = &text[..error.span().map_or(0, |span| span.start.min(text.len()))];
        let line = before.matches('\n').count() as u64 + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() as u64 + 1;
        let finding = Diagnostic::new(
            "C001",
            (line, column),
            error.message().replace('\n', ", "),
            "see the commented defaults in pipeline/cli/src/defaults.toml",
        );
        Failure::Findings(vec![finding.in_file(name)])
    })
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(known)), Value::Table(new)) => merge(known, new),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

/// Sets one environment variable's setting, in the type that the default has.
fn set(settings: &mut Table, known: &Table, variable: &str, value: &str) -> Outcome {
    let path = variable[PREFIX.len()..].to_lowercase();
    let wrong = |detail: String| Failure::from(Error::job(format!("environment variable {variable}: {detail}")));
    let (section, key) = path.split_once("__").ok_or_else(|| wrong("expected CITYSTREAM__SECTION__KEY".to_owned()))?;
    let sections: Vec<&str> = known.keys().map(String::as_str).collect();
    let Some(Value::Table(table)) = settings.get_mut(section) else {
        let near = nearest(section, sections.iter().copied())
            .map(|near| format!("; did you mean '{near}'?"))
            .unwrap_or_default();
        return Err(wrong(format!("no section '{section}', expected one of {}{near}", sections.join(", "))));
    };
    let key = if section == "kafka" { key.replace('_', ".") } else { key.to_owned() };
    let value = match table.get(&key) {
        Some(Value::Array(_)) => Value::Array(
            value
                .split(',')
                .filter(|part| !part.is_empty())
                .map(|part| Value::String(part.trim().to_owned()))
                .collect(),
        ),
        _ => Value::String(value.to_owned()),
    };
    table.insert(key, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, vars: &[(&str, &str)]) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        std::fs::write(&path, file).unwrap();
        let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load(Some(&path), &|_| None, vars).map_err(|failure| match failure {
            Failure::Findings(findings) => findings[0].message.clone(),
            Failure::Error(error) => error.to_string(),
            Failure::Reported(_) => String::new(),
        })
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let config = load(
            "[run]\nbrokers = 'file:1'\nfrom = 'latest'",
            &[("CITYSTREAM__RUN__BROKERS", "env:2"), ("CITYSTREAM__KAFKA__SECURITY_PROTOCOL", "SSL")],
        )
        .unwrap();
        assert_eq!((config.run.brokers.as_str(), config.run.from.as_str()), ("env:2", "latest"));
        assert_eq!(config.kafka["security.protocol"], "SSL");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (file, vars, expect) in [
            ("[run]\nbroker = 'x'", vec![], "broker"),
            ("[runs]", vec![], "runs"),
            ("", vec![("CITYSTREAM__RUNN__X", "1")], "did you mean 'run'?"),
            ("[kafka]\n'sasl.password' = 'clear'", vec![], "sasl.password"),
            ("[kafka]\n'sasl.password' = '${NOT_SET}'", vec![], "NOT_SET"),
        ] {
            let found = load(file, &vars).unwrap_err();
            assert!(found.contains(expect), "{file}: {found}");
        }
    }
}
