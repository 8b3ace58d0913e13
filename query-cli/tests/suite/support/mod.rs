//! A small archive, built from events through the archive's and indexer's own interfaces, and the program run against it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use holdfast_archive::{Archive, Location};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

mod commit;

pub(crate) use commit::{append, append_forged, lines};

/// When everything of the small archive was archived: 2025-11-24T00:00:00Z.
pub(crate) const INGESTED_US: i64 = 1_763_942_400_000_000;
/// Text that must not drive a terminal, break a CSV file or change in any export.
pub(crate) const HOSTILE: &str = "=cmd|'/c calc'!A1 \"quoted\", comma\r\nline two\u{1b}[31mred\u{7}\u{0} \u{202e}txet\u{202c} \u{200f}þ ® \u{14} 👩‍🚀 ]]> <script> From here";

/// Id of the event with sequence `n`.
pub(crate) fn id(n: u64) -> String {
    format!("0197c0de-7a3e-7c51-9a1f-{n:012}")
}

/// An event of the main origin; `time` is within November 2025.
pub(crate) fn event(
    n: u64,
    kind: &str,
    time: &str,
    room: Option<(&str, &str)>,
    actor: &str,
    mut data: Value,
) -> Value {
    let people = [
        ("u-1", "Ana Pérez", "ana@example.com"),
        ("u-2", "Bo Lindqvist", "bo@example.com"),
        ("u-3", "山田太郎", "taro@example.jp"),
    ];
    let (who, name, email) = people.into_iter().find(|p| p.0 == actor).unwrap();
    data["actor"] =
        json!({ "id": who, "name": name, "email": email, "internal": true, "kind": "user" });
    data["room_seq"] = json!(n);
    let mut event = json!({
        "specversion": "1.0", "id": id(n), "source": "/pools/main/nodes/chat-1", "type": kind, "time": format!("2025-11-{time}Z"),
        "datacontenttype": "application/json", "dataschema": "urn:holdfast:compliance-event:1",
        "origin": "main.1", "sequence": format!("{n:020}"),
    });
    if let Some((id, name)) = room {
        data["room"] = json!({ "id": id, "name": name, "category": "sales" });
        event["subject"] = json!(id);
        event["partitionkey"] = json!(id);
    }
    event["data"] = data;
    event
}

/// A posted message.
pub(crate) fn posted(n: u64, time: &str, room: (&str, &str), actor: &str, body: &str) -> Value {
    event(
        n,
        "chat.message.posted",
        time,
        Some(room),
        actor,
        json!({ "message": { "id": format!("m-{n}"), "kind": "plain", "body": body } }),
    )
}

pub(crate) const DEALS: (&str, &str) = ("r-1", "deals");
pub(crate) const LUNCH: (&str, &str) = ("r-2", "lunch");

/// The bytes of the one attachment that is stored.
pub(crate) const FILE: &[u8] = b"price list 2026\n";

/// The two commits of the small archive.
pub(crate) fn small() -> [Vec<Value>; 2] {
    let digest = hex::encode(Sha256::digest(FILE));
    let missing = hex::encode(Sha256::digest(b"never uploaded"));
    let first = vec![
        event(
            1,
            "chat.room.joined",
            "20T08:00:00",
            Some(DEALS),
            "u-1",
            json!({ "session": "s-1" }),
        ),
        posted(
            2,
            "20T08:01:00",
            DEALS,
            "u-1",
            "Good morning, the pricing is ready",
        ),
        posted(
            3,
            "20T08:02:00",
            DEALS,
            "u-2",
            "Which price list do you mean?",
        ),
        event(
            4,
            "chat.message.posted",
            "20T08:03:00",
            Some(DEALS),
            "u-1",
            json!({ "message": {
            "id": "m-4", "kind": "plain", "body": "This one", "reply_to": "m-3",
            "attachments": [{ "id": "f-1", "name": "price-list.pdf", "media_type": "application/pdf", "size": FILE.len(), "sha256": digest }] } }),
        ),
        posted(5, "20T08:04:00", DEALS, "u-3", "契約書を確認してください"),
        posted(
            6,
            "20T12:00:00",
            LUNCH,
            "u-2",
            "Lunch at noon? The pricing can wait",
        ),
        event(
            7,
            "chat.message.edited",
            "20T12:05:00",
            Some(LUNCH),
            "u-2",
            json!({ "message": { "id": "m-6", "kind": "plain", "body": "Lunch at one? The pricing can wait" } }),
        ),
        posted(
            8,
            "20T12:06:00",
            LUNCH,
            "u-3",
            "Gerne, um eins in der Küche",
        ),
    ];
    let second = vec![
        posted(9, "21T09:00:00", DEALS, "u-1", HOSTILE),
        posted(
            10,
            "21T09:01:00",
            DEALS,
            "u-2",
            "That secret discount must go",
        ),
        event(
            11,
            "chat.message.deleted",
            "21T09:02:00",
            Some(DEALS),
            "u-2",
            json!({ "message": { "id": "m-10" }, "by": "u-2", "reason": "mistake" }),
        ),
        event(
            12,
            "chat.message.posted",
            "22T10:00:00",
            Some(DEALS),
            "u-1",
            json!({ "message": {
            "id": "m-12", "kind": "story", "title": "Pricing for next year", "body": "The long story of our discount" } }),
        ),
        event(
            13,
            "chat.message.posted",
            "22T11:00:00",
            Some(LUNCH),
            "u-2",
            json!({ "message": {
            "id": "m-13", "kind": "plain", "body": "Menu attached",
            "attachments": [{ "id": "f-2", "name": "menu.png", "media_type": "image/png", "size": 10, "sha256": missing }] } }),
        ),
        event(
            14,
            "chat.origin.heartbeat",
            "22T12:00:00",
            None,
            "u-1",
            json!({ "through": 14 }),
        ),
    ];
    [first, second]
}

/// A folder for one test with its archive in it.
pub(crate) struct Home {
    pub(crate) dir: tempfile::TempDir,
}

impl Home {
    /// Nothing in it.
    pub(crate) fn empty() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// With the small archive: two commits, one quarantined record, one of two attachments stored.
    pub(crate) fn small() -> Self {
        let home = Self::empty();
        home.block_on(async {
            let archive = home.create().await;
            let [first, second] = small();
            append(&archive, 1, &lines(&first), None).await;
            append(
                &archive,
                2,
                &lines(&second),
                Some(b"{\"not\": an event\x1b}"),
            )
            .await;
            archive
                .put_attachment(&hex::encode(Sha256::digest(FILE)), FILE.into())
                .await
                .unwrap();
        });
        home
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
            .block_on(future)
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.dir.path().join("archive")
    }

    pub(crate) async fn create(&self) -> Archive {
        Archive::create(&Location::parse(self.archive().to_str().unwrap()).unwrap())
            .await
            .unwrap()
    }

    pub(crate) async fn open(&self) -> Archive {
        Archive::open(&Location::parse(self.archive().to_str().unwrap()).unwrap())
            .await
            .unwrap()
    }

    /// The program with a clean environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command
            .env_clear()
            .env("HOME", self.dir.path())
            .env("COLUMNS", "150")
            .current_dir(self.dir.path());
        command
            .args(["--archive", "archive", "--actor", "tester"])
            .args(args);
        command
    }

    /// Runs it.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        Run::of(self.command(args).output().unwrap(), self.dir.path())
    }

    /// Files of the archive whose path ends so, ascending.
    pub(crate) fn files(&self, folder: &str, suffix: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(&self.archive().join(folder), &mut |path| {
            if path.to_str().unwrap().ends_with(suffix) {
                found.push(path.to_owned());
            }
        });
        found.sort();
        found
    }
}

fn walk(folder: &Path, visit: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, visit);
        } else {
            visit(&path);
        }
    }
}

/// All files of a folder by their path in it.
pub(crate) fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    walk(folder, &mut |path| {
        let name = path
            .strip_prefix(folder)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        files.insert(name, std::fs::read(path).unwrap());
    });
    files
}

/// What the program answered.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    home: PathBuf,
}

impl Run {
    pub(crate) fn of(output: Output, home: &Path) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            home: home.to_owned(),
        }
    }
}

impl Run {
    /// Of a command that was prepared otherwise than [`Home::run`] does.
    pub(crate) fn of_command(mut command: Command) -> Self {
        let home = command.get_current_dir().unwrap().to_owned();
        Self::of(command.output().unwrap(), &home)
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let home = self.home.canonicalize().unwrap();
        let clean = |text: &str| {
            text.replace(home.to_str().unwrap(), "HOME")
                .replace(self.home.to_str().unwrap(), "HOME")
        };
        write!(
            f,
            "code: {}\n----- stdout -----\n{}----- stderr -----\n{}",
            self.code,
            clean(&self.stdout),
            clean(&self.stderr)
        )
    }
}

/// Compares an answer with its snapshot; what differs from run to run is named instead.
#[macro_export]
macro_rules! check {
    ($name:literal, $run:expr) => {
        insta::with_settings!({
            filters => vec![
                (r"[0-9A-HJKMNP-TV-Z]{26}\.", "ULID."),
                (r"\d+y( \d+d)? ago|\d+d( \d+h)? ago|(\d+m )?\d+s ago|\d+\.\ds ago", "AGE ago"),
                (r" +LAST SEEN", "  LAST SEEN"),
                (r"\d+(\.\d)? (B|KiB)\b", "SIZE"),
                (r#""(segment_bytes|split_bytes|bytes)":\d+"#, "\"$1\":N"),
                (r#""archive":"[^"]*""#, "\"archive\":\"URL\""),
                (r"process \d+", "process PID"),
                // As wide as the oldest age in its column.
                (r" +LAST SEEN", "  LAST SEEN"),
            ],
            omit_expression => true,
            prepend_module_to_snapshot => false,
            snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/snapshots"),
        }, { insta::assert_snapshot!($name, $run.to_string()) });
    };
}
