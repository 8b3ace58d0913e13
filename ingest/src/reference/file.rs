//! The keys of the settings file, with their defaults.

use clap::Arg;

use super::commands::program;
use super::{code, row};
use crate::settings::{KAFKA_OURS, default, keys};
use crate::source::kafka::OVERRIDABLE;

/// A key as the page tells it.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    flag: String,
    value: String,
    default: String,
    meaning: String,
}

/// What a key means that no flag has the name of.
fn without_flag(key: &str) -> Option<Key> {
    let (flag, value, default, meaning) = match key {
        "upkeep.enabled" => (
            "--no-upkeep",
            "true or false",
            "true".to_owned(),
            "Compact, build missing splits and collect garbage in this process; false is what the flag says",
        ),
        "upkeep.seconds" => (
            "",
            "N",
            default::UPKEEP_S.to_string(),
            "Seconds between two looks at what compaction, garbage collection and pending attachments need",
        ),
        "upkeep.rows_max" => (
            "",
            "N",
            default::COMPACTION_ROWS_MAX.to_string(),
            "Rows of one merge, at most",
        ),
        "upkeep.mib_max" => (
            "",
            "MIB",
            default::COMPACTION_MIB_MAX.to_string(),
            "MiB of Parquet of one merge, at most",
        ),
        "kafka" => (
            "",
            "table",
            String::new(),
            "Settings of librdkafka by their own names, see below",
        ),
        _ => return None,
    };
    Some(Key {
        flag: flag.to_owned(),
        value: value.to_owned(),
        default,
        meaning: meaning.to_owned(),
    })
}

/// What a flag says of the key of its name.
fn with_flag(flag: &Arg) -> Key {
    let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
    let (meaning, default) = help
        .strip_suffix(']')
        .and_then(|text| text.split_once(" [default: "))
        .unwrap_or((&help, ""));
    let names = flag.get_value_names().filter(|_| takes_value(flag));
    Key {
        flag: long(flag),
        value: names.map_or("true or false".to_owned(), |names| names.join(" ")),
        default: match default {
            "" if takes_value(flag) => "none: it is needed".to_owned(),
            "" => "false".to_owned(),
            default => default.to_owned(),
        },
        meaning: meaning.to_owned(),
    }
}

fn takes_value(flag: &Arg) -> bool {
    flag.get_action().takes_values()
}

fn long(flag: &Arg) -> String {
    flag.get_long()
        .map(|name| format!("--{name}"))
        .unwrap_or_default()
}

/// The flags of the command that reads a source.
fn flags() -> Vec<Arg> {
    let program = program();
    let commands = program.get_subcommands();
    commands
        .flat_map(clap::Command::get_arguments)
        .cloned()
        .collect()
}

fn described(key: &str, flags: &[Arg]) -> Option<Key> {
    let id = key.replace('.', "_");
    let flag = flags.iter().find(|flag| *flag.get_id() == id.as_str());
    flag.map(with_flag).or_else(|| without_flag(key))
}

/// Flags whose settings cannot stand in the file.
fn flags_alone(flags: &[Arg]) -> Vec<String> {
    let told: Vec<String> = keys()
        .filter_map(|key| Some(described(&key, flags)?.flag))
        .collect();
    let all = flags.iter().map(long);
    all.filter(|flag| !told.contains(flag))
        .map(|flag| code(&flag))
        .collect()
}

pub(super) fn section() -> String {
    let flags = flags();
    let mut page = String::from(
        "TOML; `flush.rows` is `rows` in the table `[flush]`. Text stands in quotes; numbers, true and false do not. A key that nothing reads is an error, which names the nearest one that is known. A number is at least 1, but for `threads` and `retention_days_min`.\n\n",
    );
    page.push_str(&row(["key", "flag", "value", "default", "meaning"]));
    page.push_str("|---|---|---|---|---|\n");
    for name in keys() {
        let Some(key) = described(&name, &flags) else {
            continue;
        };
        let (name, flag) = (code(&name), code(&key.flag));
        page.push_str(&row([
            &*name,
            &flag,
            &key.value,
            &key.default,
            &key.meaning,
        ]));
    }
    page.push_str(&format!(
        "\nFlags and variables alone: {}.\n",
        flags_alone(&flags).join(", ")
    ));
    page.push_str(&kafka());
    page
}

fn kafka() -> String {
    let mut page = String::from(
        "\n### Kafka\n\n`[kafka]` takes every setting of librdkafka (`\"sasl.username\" = \"…\"`); `HOLDFAST_KAFKA__SASL_USERNAME` is the same in the environment, and wins. What is in neither has librdkafka's default, but for these:\n\n| setting | default here |\n|---|---|\n",
    );
    for (name, value) in OVERRIDABLE {
        page.push_str(&row([&*code(name), &code(value)]));
    }
    page.push_str(
        "\nThese are refused, since ingest decides them itself:\n\n| setting | why |\n|---|---|\n",
    );
    for (name, reason) in KAFKA_OURS {
        page.push_str(&row([&*code(name), reason]));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_file_is_described() {
        let flags = flags();
        for key in keys() {
            let described = described(&key, &flags).unwrap_or_else(|| panic!("{key}"));
            assert!(!described.meaning.is_empty(), "{key}");
        }
    }

    #[test]
    fn a_default_comes_from_the_flags_help() {
        let rows = described("flush.rows", &flags()).unwrap();
        assert_eq!(
            rows,
            Key {
                flag: "--flush-rows".to_owned(),
                value: "N".to_owned(),
                default: default::FLUSH_ROWS.to_string(),
                meaning: "Rows that close a batch".to_owned(),
            }
        );
    }
}
