//! librdkafka's settings, passed through: SASL, TLS and everything else. Secrets among them are never printed.

use std::collections::BTreeMap;
use std::fmt;

use super::SettingsError;

/// Names and values for librdkafka. `Debug` shows names only: a value may be a password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KafkaProperties(BTreeMap<String, String>);

/// Environment variables with this prefix are librdkafka settings: `HOLDFAST_KAFKA__SASL_PASSWORD` is `sasl.password`.
pub(super) const ENVIRONMENT_PREFIX: &str = "HOLDFAST_KAFKA__";

/// Settings that ingest has to decide itself, and why.
pub(crate) const OURS: &[(&str, &str)] = &[
    ("bootstrap.servers", "the source's URL names the brokers"),
    // librdkafka's other name for the same.
    ("metadata.broker.list", "the source's URL names the brokers"),
    ("group.id", "the source's URL names the group"),
    (
        "enable.auto.commit",
        "offsets are committed after the archive's commit",
    ),
    (
        "enable.auto.offset.store",
        "positions come from the archive",
    ),
    (
        "auto.offset.reset",
        "a lost position is an error and never reset silently",
    ),
    ("enable.partition.eof", "--until-idle needs it on"),
    (
        "partition.assignment.strategy",
        "the rebalance barrier is built for the eager protocol",
    ),
    (
        "group.protocol",
        "the rebalance barrier is built for the classic protocol",
    ),
];

impl KafkaProperties {
    /// The `[kafka]` table. Nested tables are dotted names: `sasl.username` may be written either way.
    ///
    /// # Errors
    /// A value is a list or a date, or the setting is ingest's own.
    pub fn from_table(table: &toml::Table) -> Result<Self, SettingsError> {
        let mut properties = Self::default();
        properties.add_table("", table)?;
        Ok(properties)
    }

    fn add_table(&mut self, prefix: &str, table: &toml::Table) -> Result<(), SettingsError> {
        for (key, value) in table {
            let name = if prefix.is_empty() {
                key.clone()
            } else {
                format!("{prefix}.{key}")
            };
            let text = match value {
                toml::Value::Table(inner) => {
                    self.add_table(&name, inner)?;
                    continue;
                }
                toml::Value::String(text) => text.clone(),
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Float(number) => number.to_string(),
                toml::Value::Boolean(flag) => flag.to_string(),
                toml::Value::Array(_) | toml::Value::Datetime(_) => {
                    return Err(SettingsError::Value {
                        what: "a setting in [kafka]",
                        value: name,
                        problem: "its value is a list or a date".into(),
                        hint: "give a text, number, true or false; lists are texts with commas in librdkafka".into(),
                    });
                }
            };
            not_ours("a setting in [kafka]", &name, &name)?;
            self.0.insert(name, text);
        }
        Ok(())
    }

    /// Adds what the environment says over what the file said.
    ///
    /// # Errors
    /// The setting is ingest's own.
    pub fn overlay_environment(
        &mut self,
        environment: &[(String, String)],
    ) -> Result<(), SettingsError> {
        for (name, value) in environment {
            if let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) {
                let property = rest.to_ascii_lowercase().replace('_', ".");
                not_ours("a setting in the environment", name, &property)?;
                self.0.insert(property, value.clone());
            }
        }
        Ok(())
    }

    /// Names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Refuses what ingest has to decide itself: a setting that is passed over is one that somebody believes in.
fn not_ours(what: &'static str, given: &str, property: &str) -> Result<(), SettingsError> {
    match OURS.iter().find(|(ours, _)| *ours == property) {
        None => Ok(()),
        Some((_, reason)) => Err(SettingsError::Value {
            what,
            value: given.to_owned(),
            problem: (*reason).to_owned(),
            hint: "leave it out".into(),
        }),
    }
}

impl fmt::Debug for KafkaProperties {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}
