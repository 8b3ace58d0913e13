//! What all commands share: a missing archive, help, settings, the reference page; and `holdfast init`.

use crate::check;
use crate::support::{Home, Run};

#[test]
fn init_creates_once() {
    let home = Home::empty();
    check!("init", home.run(&["init"]));
    check!("init_again", home.run(&["init"]));
    check!("status_empty", home.run(&["status"]));
    check!("search_empty", home.run(&["search", "word"]));
    check!("verify_empty", home.run(&["verify"]));
}

#[test]
fn a_missing_archive_is_told_with_a_hint() {
    let home = Home::empty();
    for command in [
        &["status"][..],
        &["search", "word"],
        &["show", "x"],
        &["thread", "r", "--around", "x"],
        &["rooms"],
        &["export", "word", "--out", "out", "--as", "jsonl"],
        &["verify"],
        &["compact"],
        &["reindex"],
        &["gc"],
    ] {
        let run = home.run(command);
        assert_eq!(run.code, 2, "{command:?}: {run}");
        assert!(run.stdout.is_empty(), "{command:?}: {run}");
        assert!(
            run.stderr.contains("error: there is no archive at")
                && run.stderr.contains("hint: create one with `holdfast init"),
            "{command:?}: {run}"
        );
    }
    check!("missing_archive", home.run(&["search", "word"]));
    let mut command = home.command(&[]);
    let unnamed = command.output().unwrap();
    assert_eq!(unnamed.status.code(), Some(2), "no command is a mistake");
}

#[test]
fn no_archive_named_is_a_mistake() {
    let home = Home::empty();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .env_clear()
        .args(["search", "word"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text.contains("no archive was named")
            && text.contains("hint: name it with `--archive URI`"),
        "{text}"
    );
    drop(home);
}

#[test]
fn help_version_and_completions() {
    let home = Home::empty();
    let version = home.run(&["--version"]);
    assert_eq!(
        (version.code, version.stdout.as_str()),
        (0, concat!("holdfast ", env!("CARGO_PKG_VERSION"), "\n"))
    );
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = home.run(&["completions", shell]);
        assert_eq!(script.code, 0);
        assert!(script.stdout.contains("exact-diacritics"), "{shell}");
    }
    check!("completions_mistake", home.run(&["completions", "tcsh"]));
    check!("unknown_command", home.run(&["serch", "word"]));
    for command in [
        "init",
        "status",
        "search",
        "show",
        "thread",
        "rooms",
        "export",
        "verify",
        "compact",
        "reindex",
        "gc",
        "completions",
    ] {
        let help = home.run(&[command, "--help"]);
        assert_eq!(help.code, 0, "{help}");
        assert!(
            help.stdout.contains("Examples:"),
            "{command} has no example"
        );
    }
}

#[test]
fn settings_come_after_flags_and_environment() {
    let home = Home::small();
    let folder = home.dir.path().join(".config/holdfast");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(
        folder.join("config.toml"),
        "format = \"jsonl\"\ntz = \"+02:00\"\ncolor = \"always\"\n",
    )
    .unwrap();
    let file = home.run(&["search", "契約"]);
    assert!(file.stdout.starts_with("{\"event_id\""), "{file}");
    let mut command = home.command(&["search", "契約"]);
    command
        .env("HOLDFAST_FORMAT", "table")
        .env("HOLDFAST_COLOR", "never");
    let environment = Run::of_command(command);
    assert!(
        environment.stdout.contains("2025-11-20 10:04:00+02:00"),
        "{environment}"
    );
    let mut command = home.command(&["search", "契約", "--format", "csv", "--tz", "UTC"]);
    command.env("HOLDFAST_FORMAT", "table");
    assert!(
        Run::of_command(command).stdout.starts_with("event_id,"),
        "a flag wins"
    );
    std::fs::write(folder.join("config.toml"), "formt = \"jsonl\"\n").unwrap();
    let broken = home.run(&["search", "契約"]);
    assert_eq!(broken.code, 2);
    assert!(
        broken.stderr.contains("unknown field `formt`")
            && broken.stderr.contains("hint: its keys are"),
        "{broken}"
    );
}

#[test]
fn the_reference_page_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
    let page = holdfast_query_cli::reference::page();
    if std::env::var_os("HOLDFAST_UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs")).unwrap();
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page,
        "docs/cli.md is not what the definitions say; run HOLDFAST_UPDATE_DOCS=1 cargo test -p holdfast-query-cli"
    );
}
