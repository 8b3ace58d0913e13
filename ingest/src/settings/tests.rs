use std::path::Path;

use clap::Parser;

use super::*;

fn resolve(
    flags: &[&str],
    file: &str,
    environment: &[(&str, &str)],
) -> Result<Settings, SettingsError> {
    let file = FileSettings::parse(file, Path::new("holdfast.toml"))?;
    let arguments = ["holdfast-ingest", "run"].iter().chain(flags);
    let Command::Run(flags) = Cli::try_parse_from(arguments).unwrap().command;
    let environment: Vec<_> = environment
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    Settings::resolve(*flags, file, &environment)
}

const MINIMAL: &str = "source = 'jsonl:-'\narchive = 'A'\n";

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let settings = resolve(
        &["--archive", "B", "--flush-rows", "7"],
        &format!("{MINIMAL}[flush]\nrows = 5\nmib = 3\n"),
        &[],
    )
    .unwrap();
    assert_eq!(settings.archive, "B");
    assert_eq!(
        settings.flush,
        FlushSettings {
            rows: 7,
            bytes: 3 << 20,
            age: Duration::from_millis(default::FLUSH_MS)
        }
    );
}

#[test]
fn an_unknown_key_is_an_error_that_names_the_nearest_known_one() {
    for (text, expected) in [
        ("sorce = 'jsonl:-'", "did you mean \"source\"?"),
        ("[flush]\nrow = 3", "did you mean \"flush.rows\"?"),
        ("'sasl.username' = 'x'", "[kafka]"),
        ("zzzzzz = 1", "known keys: source, archive"),
    ] {
        let error = FileSettings::parse(text, Path::new("f.toml"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("hint: ") && error.contains(expected),
            "{text}: {error}"
        );
    }
}

#[test]
fn a_value_of_the_wrong_type_says_where() {
    let error = FileSettings::parse("in_flight_mib = 'many'", Path::new("f.toml"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("f.toml") && error.contains("line 1"),
        "{error}"
    );
}

#[test]
fn missing_source_and_archive_say_how_to_give_them() {
    assert!(
        resolve(&[], "archive = 'A'", &[])
            .unwrap_err()
            .to_string()
            .contains("--source kafka://")
    );
    assert!(
        resolve(&[], "source = 'jsonl:-'", &[])
            .unwrap_err()
            .to_string()
            .contains("--archive")
    );
}

#[test]
fn zero_is_no_size() {
    let error = resolve(&["--flush-rows", "0"], MINIMAL, &[])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("at least 1") && error.contains("500000"),
        "{error}"
    );
}

#[test]
fn every_setting_of_a_run_has_its_variable() {
    use clap::CommandFactory;
    let cli = Cli::command();
    let run = cli.find_subcommand("run").unwrap();
    for flag in run.get_arguments().filter(|flag| flag.get_id() != "help") {
        let name = flag.get_long().unwrap().replace('-', "_").to_uppercase();
        let variable = flag.get_env().and_then(|name| name.to_str());
        assert_eq!(variable, Some(format!("HOLDFAST_{name}").as_str()));
    }
}

#[test]
fn a_variable_that_says_no_wins_over_a_file_that_says_yes() {
    let file = format!(
        "{MINIMAL}until_idle = true\nallow_short_retention = true\n[upkeep]\nenabled = false\n"
    );
    let by_file = resolve(&[], &file, &[]).unwrap();
    let told = |settings: &Settings| {
        let kafka = &settings.kafka;
        (
            settings.until_idle,
            kafka.allow_short_retention,
            settings.upkeep.enabled,
        )
    };
    assert_eq!(told(&by_file), (true, true, false));
    // clap has taken the variables for the flags, which are not set then.
    let no = [
        ("HOLDFAST_UNTIL_IDLE", "false"),
        ("HOLDFAST_ALLOW_SHORT_RETENTION", "0"),
        ("HOLDFAST_NO_UPKEEP", "no"),
    ];
    let by_variable = resolve(&[], &file, &no).unwrap();
    assert_eq!(told(&by_variable), (false, false, true));
}

#[test]
fn what_upkeep_is_set_to_is_what_it_uses() {
    let rows = |text: &str| {
        let settings = resolve(&[], &format!("{MINIMAL}{text}"), &[]).unwrap();
        settings.upkeep.rows_max
    };
    assert_eq!(rows(""), default::COMPACTION_ROWS_MAX);
    assert_eq!(rows("[upkeep]\nrows_max = 1000000\n"), 1_000_000);
}

#[test]
fn librdkafka_settings_pass_through_and_are_never_printed() {
    let file = format!(
        "{MINIMAL}[kafka]\n'security.protocol' = 'SASL_SSL'\nsasl.password = 'from-file'\n'fetch.wait.max.ms' = 10\n"
    );
    let settings = resolve(
        &[],
        &file,
        &[
            ("HOLDFAST_KAFKA__SASL_PASSWORD", "s3cret"),
            ("HOLDFAST_KAFKA__SASL_USERNAME", "u"),
        ],
    )
    .unwrap();
    let found: Vec<_> = settings.kafka.properties.iter().collect();
    assert_eq!(
        found,
        [
            ("fetch.wait.max.ms", "10"),
            ("sasl.password", "s3cret"),
            ("sasl.username", "u"),
            ("security.protocol", "SASL_SSL")
        ]
    );
    let printed = format!("{settings:?}");
    assert!(
        !printed.contains("s3cret") && printed.contains("sasl.password"),
        "{printed}"
    );
}

#[test]
fn settings_that_would_break_the_protocol_are_refused() {
    for name in [
        "auto.offset.reset",
        "enable.auto.commit",
        "group.id",
        "metadata.broker.list",
    ] {
        let error = resolve(&[], &format!("{MINIMAL}[kafka]\n'{name}' = 'x'\n"), &[])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(name) && error.contains("hint: leave it out"),
            "{error}"
        );
    }
    let error = resolve(&[], MINIMAL, &[("HOLDFAST_KAFKA__GROUP_ID", "x")])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("HOLDFAST_KAFKA__GROUP_ID") && error.contains("hint: leave it out"),
        "{error}"
    );
}

#[test]
fn an_accepted_loss_is_a_partition_and_a_range() {
    let settings = resolve(&["--accept-loss", "3:10-19"], MINIMAL, &[]).unwrap();
    assert_eq!(
        settings.kafka.accept_loss,
        [AcceptedLoss {
            partition: 3,
            first: 10,
            last: 19
        }]
    );
    for wrong in ["3", "3:10", "3:20-19", "-1:0-1", "a:b-c"] {
        let flag = format!("--accept-loss={wrong}");
        assert!(resolve(&[&flag], MINIMAL, &[]).is_err(), "{wrong}");
    }
}

#[test]
fn a_loss_of_an_outbox_is_an_origin_and_a_range() {
    let outbox = "source = 'outbox:sqlite://chat.db'\narchive = 'a'\n";
    let settings = resolve(&["--accept-loss", "a:b.1:10-19"], outbox, &[]).unwrap();
    let loss = &settings.outbox.accept_loss[0];
    assert!(loss.covers("a:b.1", 10, 19) && loss.covers("a:b.1", 12, 12));
    assert!(!loss.covers("a:b.1", 9, 12) && !loss.covers("a:b.1", 12, 20));
    assert!(!loss.covers("b.1", 12, 12) && settings.kafka.accept_loss.is_empty());
    for wrong in ["main.1", "main.1:10", "main.1:20-19", "main.1:0-1", ":1-2"] {
        let flag = format!("--accept-loss={wrong}");
        let error = resolve(&[&flag], outbox, &[]).unwrap_err().to_string();
        assert!(error.contains("ORIGIN:FIRST-LAST"), "{wrong}: {error}");
    }
}

#[test]
fn an_outboxs_password_comes_by_file_or_environment_and_is_never_printed() {
    let url = "outbox:postgres://me:s3cret@h/chat";
    let file = format!("source = '{url}'\narchive = 'a'\n");
    let by_file = resolve(&[], &file, &[]).unwrap();
    // clap takes the variable as if it were the flag; here both are given as clap would.
    let by_environment = resolve(&["--source", url], MINIMAL, &[("HOLDFAST_SOURCE", url)]).unwrap();
    for settings in [by_file, by_environment] {
        let printed = format!("{settings:?}");
        assert!(
            printed.contains("postgres://h/chat") && !printed.contains("s3cret"),
            "{printed}"
        );
    }
    let error = resolve(&["--source", url], MINIMAL, &[])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("HOLDFAST_SOURCE") && !error.contains("s3cret"),
        "{error}"
    );
}

#[test]
fn help_shows_each_default_and_the_memory_bound() {
    let help = Cli::try_parse_from(["holdfast-ingest", "run", "--help"])
        .unwrap_err()
        .to_string();
    // Lines are wrapped to the terminal; words are not.
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for (name, value) in [
        ("--flush-rows", default::FLUSH_ROWS),
        ("--flush-mib", default::FLUSH_MIB),
        ("--flush-ms", default::FLUSH_MS),
        ("--in-flight-mib", default::IN_FLIGHT_MIB),
        ("--retention-days-min", default::RETENTION_DAYS_MIN),
    ] {
        let after = help
            .split(name)
            .nth(1)
            .unwrap_or_else(|| panic!("no {name}"));
        assert!(after.contains(&format!("[default: {value}]")), "{name}");
    }
    assert!(help.contains("2.5 times that plus 100 MiB"));
    for (name, value) in [
        ("seconds", default::UPKEEP_S),
        ("rows_max", default::COMPACTION_ROWS_MAX),
        ("mib_max", default::COMPACTION_MIB_MAX),
    ] {
        assert!(help.contains(&format!("{name} ({value})")), "{name}");
    }
    assert!(help.contains("the group is holdfast where none is given"));
}
