//! The TOML file: the same settings, and librdkafka's.

use std::net::SocketAddr;
use std::path::Path;

use serde::Deserialize;

use super::SettingsError;

/// The file's content; every key may be left out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct FileSettings {
    /// As `--source`.
    pub source: Option<String>,
    /// As `--archive`.
    pub archive: Option<String>,
    /// As `--attachments`.
    pub attachments: Option<String>,
    /// As `--until-idle`.
    pub until_idle: Option<bool>,
    /// As `--metrics`.
    pub metrics: Option<SocketAddr>,
    /// As `--in-flight-mib`.
    pub in_flight_mib: Option<u64>,
    /// As `--threads`.
    pub threads: Option<usize>,
    /// As `--retention-days-min`.
    pub retention_days_min: Option<u64>,
    /// As `--allow-short-retention`.
    pub allow_short_retention: Option<bool>,
    /// `[flush]`.
    pub flush: FlushTable,
    /// `[upkeep]`.
    pub upkeep: UpkeepTable,
    /// `[kafka]`: librdkafka's settings, by their own names.
    pub kafka: toml::Table,
}

/// `[flush]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct FlushTable {
    /// As `--flush-rows`.
    pub rows: Option<u64>,
    /// As `--flush-mib`.
    pub mib: Option<u64>,
    /// As `--flush-ms`.
    pub ms: Option<u64>,
}

/// `[upkeep]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct UpkeepTable {
    /// False: as `--no-upkeep`.
    pub enabled: Option<bool>,
    /// Seconds between two looks.
    pub seconds: Option<u64>,
    /// Rows of one merge, at most.
    pub rows_max: Option<u64>,
    /// MiB of Parquet of one merge, at most.
    pub mib_max: Option<u64>,
}

const TOP: &[&str] = &[
    "source",
    "archive",
    "attachments",
    "until_idle",
    "metrics",
    "in_flight_mib",
    "threads",
    "retention_days_min",
    "allow_short_retention",
    "flush",
    "upkeep",
    "kafka",
];
const FLUSH: &[&str] = &["rows", "mib", "ms"];
const UPKEEP: &[&str] = &["enabled", "seconds", "rows_max", "mib_max"];

/// Every key, dotted. Of librdkafka's there is only the name of their table, `kafka`.
pub(crate) fn keys() -> impl Iterator<Item = String> {
    TOP.iter().flat_map(|key| {
        let inner = match *key {
            "flush" => FLUSH,
            "upkeep" => UPKEEP,
            _ => return vec![(*key).to_owned()],
        };
        inner.iter().map(|name| format!("{key}.{name}")).collect()
    })
}

impl FileSettings {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, is not TOML, holds a value of the wrong type or a key that nothing reads.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Reads the file's text; `path` is for messages.
    ///
    /// # Errors
    /// As [`FileSettings::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, SettingsError> {
        let invalid = |error: toml::de::Error| SettingsError::Invalid {
            path: path.to_owned(),
            message: without_source(&error, text),
        };
        let table: toml::Table = toml::from_str(text).map_err(invalid)?;
        check_keys(&table, TOP, "", path)?;
        for (name, known) in [("flush", FLUSH), ("upkeep", UPKEEP)] {
            if let Some(toml::Value::Table(inner)) = table.get(name) {
                check_keys(inner, known, name, path)?;
            }
        }
        toml::from_str(text).map_err(invalid)
    }
}

/// What is wrong and where, without the line itself: it may hold a password, and messages end in logs.
fn without_source(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        None => error.message().to_owned(),
        Some(before) => {
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or(before).chars().count() + 1;
            format!("line {line}, column {column}: {}", error.message())
        }
    }
}

/// A key nobody reads is a setting somebody believes in: an error, with the key they may have meant.
fn check_keys(
    table: &toml::Table,
    known: &[&str],
    prefix: &str,
    path: &Path,
) -> Result<(), SettingsError> {
    for key in table.keys() {
        if known.contains(&key.as_str()) {
            continue;
        }
        let nearest = known
            .iter()
            .map(|k| (strsim::damerau_levenshtein(k, key), k))
            .min()
            .filter(|(distance, k)| *distance <= k.len().max(3) / 3);
        let dotted = |k: &str| {
            if prefix.is_empty() {
                k.to_owned()
            } else {
                format!("{prefix}.{k}")
            }
        };
        let hint = match nearest {
            Some((_, k)) => format!("did you mean {:?}?", dotted(k)),
            None if key.contains('.') => {
                "librdkafka's settings belong into the table [kafka], as \"sasl.username\" = \"…\""
                    .to_owned()
            }
            None => format!(
                "known keys: {}",
                known
                    .iter()
                    .map(|k| dotted(k))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        };
        return Err(SettingsError::UnknownKey {
            path: path.to_owned(),
            key: dotted(key),
            hint,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_line_is_named_and_not_printed() {
        for text in [
            "threads = 2\n[kafka]\n\"sasl.password\" = \"s3cret\n",
            "threads = 2\n[kafka]\n\"sasl.password\" = s3cret\n",
        ] {
            let message = FileSettings::parse(text, Path::new("f.toml"))
                .unwrap_err()
                .to_string();
            assert!(
                message.contains("line 3") && !message.contains("s3cret"),
                "{message}"
            );
        }
    }
}
