//! The walkthrough of the README, command by command: what it shows is what the programs print, but for ids, times,
//! digests and sizes. `HOLDFAST_WALKTHROUGH=write` writes into the README what they print now.

use std::path::Path;
use std::process::Command;

use holdfast_tests::program;
use tempfile::TempDir;

const BEGIN: &str = "<!-- walkthrough -->\n```console\n";
const END: &str = "```\n<!-- /walkthrough -->";

/// A command as the README has it, and what it printed.
struct Step {
    command: String,
    output: String,
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            let command = command.to_owned();
            let output = String::new();
            steps.push(Step { command, output });
        } else if let Some(step) = steps.last_mut() {
            step.output.push_str(line);
            step.output.push('\n');
        }
    }
    steps
}

/// Runs a command in a shell as a reader would; both outputs as a terminal shows them.
fn run(command: &str, folder: &Path, exported: &[(String, String)]) -> String {
    let programs = program::path("holdfast").parent().unwrap().to_owned();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HOLDFAST_")) {
        shell.env_remove(name);
    }
    let ran = shell
        .args(["-c", &format!("{command} 2>&1")])
        .current_dir(folder)
        .env("PATH", path)
        .env("XDG_CONFIG_HOME", folder)
        .env("XDG_CACHE_HOME", folder)
        .env("COLUMNS", "150")
        .envs(exported.iter().cloned())
        .output()
        .unwrap();
    String::from_utf8(ran.stdout).unwrap()
}

/// `export A=1 B=2` is for the commands after it.
fn exports(command: &str) -> Option<Vec<(String, String)>> {
    let words = command.strip_prefix("export ")?.split(' ');
    let pairs = words.map(|word| word.split_once('=').expect("NAME=VALUE"));
    Some(
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    )
}

/// Without what differs from run to run.
fn normal(text: &str) -> String {
    text.lines()
        .map(|line| {
            let words: Vec<String> = line.split_whitespace().map(normal_word).collect();
            words.join(" ").replace("<n> <unit>", "<size>")
        })
        .collect::<Vec<_>>()
        .join("\n")
}

fn normal_word(word: &str) -> String {
    if let Some((name, value)) = word.split_once("_us=")
        && value.chars().all(|c| c.is_ascii_digit())
    {
        return format!("{name}_us=<time>");
    }
    let core = word.trim_matches(|letter: char| "()[],;:`".contains(letter));
    let is = |test: fn(char) -> bool| core.chars().all(test);
    let plain = if ["B", "KiB", "MiB", "ms"].contains(&core) {
        "<unit>"
    } else if core.contains("T") && core.ends_with('Z') && core.starts_with("20") {
        "<time>"
    } else if core.contains('/') || core.ends_with(".json") || core.ends_with(".parquet") {
        "<path>"
    } else if core.len() >= 26 && is(|c| c.is_ascii_uppercase() || c.is_ascii_digit()) {
        "<ulid>"
    } else if core.len() >= 16 && is(|c| c.is_ascii_hexdigit()) {
        "<digest>"
    } else if !core.is_empty() && is(|c| c.is_ascii_digit() || c == '.') && core.contains('.') {
        "<n>"
    } else {
        return word.to_owned();
    };
    word.replace(core, plain)
}

#[test]
fn the_readme_shows_what_the_programs_print() {
    let file = program::root().join("README.md");
    let readme = std::fs::read_to_string(&file).unwrap();
    let from = readme.find(BEGIN).expect("the walkthrough begins") + BEGIN.len();
    let to = from + readme[from..].find(END).expect("the walkthrough ends");
    let steps = steps(&readme[from..to]);
    assert!(steps.len() > 12, "only {} commands", steps.len());
    let folder = TempDir::new().unwrap();
    let sample = program::root().join("fixtures/data/conversation.jsonl");
    std::fs::copy(sample, folder.path().join("conversation.jsonl")).unwrap();
    let mut exported = Vec::new();
    let (mut shown, mut differ) = (String::new(), Vec::new());
    for step in &steps {
        let printed = match exports(&step.command) {
            Some(more) => {
                exported.extend(more);
                String::new()
            }
            None => run(&step.command, folder.path(), &exported),
        };
        shown.push_str(&format!("$ {}\n{printed}", step.command));
        if normal(&printed) != normal(&step.output) {
            differ.push(format!(
                "$ {}\nthe README shows:\n{}\nit prints:\n{printed}",
                step.command, step.output
            ));
        }
    }
    if std::env::var("HOLDFAST_WALKTHROUGH").is_ok_and(|value| value == "write") {
        let text = format!("{}{shown}{}", &readme[..from], &readme[to..]);
        std::fs::write(&file, text).unwrap();
        return;
    }
    assert!(
        differ.is_empty(),
        "{}\nhint: HOLDFAST_WALKTHROUGH=write puts what is printed into the README",
        differ.join("\n")
    );
}
