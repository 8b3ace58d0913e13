//! `--source`: what is read, told apart by its scheme.

use std::path::PathBuf;
use std::str::FromStr;

use super::outbox::OutboxUrl;
use crate::settings::SettingsError;

/// A source as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceSpec {
    /// A file of JSON lines.
    JsonlFile(PathBuf),
    /// JSON lines on standard input.
    JsonlStdin,
    /// A topic, read as a member of a consumer group.
    Kafka {
        /// `HOST:PORT`, several separated by commas.
        brokers: String,
        /// The topic's name.
        topic: String,
        /// The consumer group's name.
        group: String,
    },
    /// The SQL outbox of a chat pool.
    Outbox(OutboxUrl),
}

/// The consumer group when the URL names none.
pub(super) const GROUP_DEFAULT: &str = "holdfast";

const HINT: &str = "kafka://HOST:PORT[,HOST:PORT]/TOPIC?group=GROUP, outbox:sqlite://PATH, outbox:postgres://USER@HOST/DATABASE, jsonl:PATH, or jsonl:- for standard input";

impl FromStr for SourceSpec {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |problem: String| SettingsError::Value {
            what: "source",
            value: without_credentials(text),
            problem,
            hint: HINT.to_owned(),
        };
        if let Some(path) = text.strip_prefix("jsonl:") {
            return match path {
                "" => Err(wrong("it names no file".into())),
                "-" => Ok(Self::JsonlStdin),
                path => Ok(Self::JsonlFile(PathBuf::from(path))),
            };
        }
        if let Some(rest) = text.strip_prefix("kafka://") {
            return kafka(rest).map_err(wrong);
        }
        if let Some(url) = text.strip_prefix("outbox:") {
            return url.parse().map(Self::Outbox).map_err(wrong);
        }
        Err(wrong("it begins with no scheme that is known".into()))
    }
}

fn kafka(rest: &str) -> Result<SourceSpec, String> {
    let (brokers, path) = rest.split_once('/').ok_or("it names no topic")?;
    let (topic, query) = path.split_once('?').unwrap_or((path, ""));
    if brokers.contains('@') {
        return Err("it holds a user name or password, which would show in process lists; they belong into [kafka] of the settings file or into HOLDFAST_KAFKA__SASL_USERNAME and HOLDFAST_KAFKA__SASL_PASSWORD".into());
    }
    if brokers.is_empty() || brokers.split(',').any(|broker| !broker.contains(':')) {
        return Err("each broker is HOST:PORT".into());
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if topic.is_empty() || !topic.chars().all(legal) {
        return Err("it names no topic that Kafka could have".into());
    }
    let mut group = GROUP_DEFAULT.to_owned();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "group" if !value.is_empty() => group = value.into_owned(),
            _ => {
                return Err(format!(
                    "its query has {name:?}, and only group=NAME is known"
                ));
            }
        }
    }
    Ok(SourceSpec::Kafka {
        brokers: brokers.to_owned(),
        topic: topic.to_owned(),
        group,
    })
}

/// The text as it may be printed: what stands before an `@`, and options, may hold a password.
pub(crate) fn without_credentials(text: &str) -> String {
    let scheme = text.find(':').map_or(0, |colon| colon + 1);
    let from = text.rfind('@').filter(|at| *at > scheme);
    let options = text.find('?').filter(|_| !text.starts_with("jsonl:"));
    let to = options.unwrap_or(text.len());
    match from {
        Some(at) => format!("{}…{}", &text[..scheme], &text[at..to.max(at)]),
        None => text[..to.max(scheme)].to_owned(),
    }
}

impl SourceSpec {
    /// Short name for metrics and messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::JsonlFile(_) | Self::JsonlStdin => "jsonl",
            Self::Kafka { .. } => "kafka",
            Self::Outbox(_) => "outbox",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_apart() {
        let kafka = |brokers: &str, topic: &str, group: &str| SourceSpec::Kafka {
            brokers: brokers.into(),
            topic: topic.into(),
            group: group.into(),
        };
        for (text, expected) in [
            ("jsonl:-", SourceSpec::JsonlStdin),
            (
                "outbox:sqlite:///var/chat.db",
                SourceSpec::Outbox(OutboxUrl::Sqlite("/var/chat.db".into())),
            ),
            ("jsonl:a b.jsonl", SourceSpec::JsonlFile("a b.jsonl".into())),
            ("kafka://h:9092/t?group=g", kafka("h:9092", "t", "g")),
            (
                "kafka://a:1,b:2/compliance.events",
                kafka("a:1,b:2", "compliance.events", GROUP_DEFAULT),
            ),
        ] {
            assert_eq!(text.parse::<SourceSpec>().unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_supported_is_said_with_what_is() {
        for text in [
            "outbox:sqlite://",
            "outbox:mysql://h/d",
            "jsonl:",
            "kafka://h:1",
            "kafka://h/t",
            "kafka://h:1/",
            "kafka://h:1/t?grup=x",
            "x",
        ] {
            let error = text.parse::<SourceSpec>().unwrap_err().to_string();
            assert!(
                error.contains("hint: kafka://") && error.contains("jsonl:-"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn a_mistyped_url_of_an_outbox_is_printed_without_its_password() {
        for wrong in [
            "outbox:postgres://me:s3cret@h",
            "outbox:postgres:/me:s3cret@h/chat",
            "outbox:postgres://h?password=s3cret",
            "outbux:postgres://me:s3cret@h/chat?x=@",
        ] {
            let error = wrong.parse::<SourceSpec>().unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_repeated() {
        let error = "kafka://me:s3cret@h:1/t"
            .parse::<SourceSpec>()
            .unwrap_err()
            .to_string();
        assert!(
            !error.contains("s3cret") && error.contains("SASL_PASSWORD"),
            "{error}"
        );
    }
}
