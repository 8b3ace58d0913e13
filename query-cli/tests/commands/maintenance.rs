//! `holdfast compact`, `reindex` and `gc`.

use crate::check;
use crate::support::{DEALS, Home, append, lines, posted};

#[test]
fn maintenance_by_hand() {
    let home = Home::small();
    let before = home.run(&[
        "export",
        "type:chat.*",
        "--out",
        "before",
        "--as",
        "jsonl",
        "-q",
        "--allow-missing",
    ]);
    assert_eq!(before.code, 0, "{before}");
    check!("compact", home.run(&["compact"]));
    check!("compact_all", home.run(&["compact", "--all"]));
    check!("verify_compacted", home.run(&["verify", "--deep"]));
    let after = home.run(&[
        "export",
        "type:chat.*",
        "--out",
        "after",
        "--as",
        "jsonl",
        "-q",
        "--allow-missing",
    ]);
    assert_eq!(after.code, 0, "{after}");
    let read = |name: &str| std::fs::read(home.dir.path().join(name).join("events.jsonl")).unwrap();
    assert_eq!(read("before"), read("after"), "compaction changes no event");
    let pinned = home.run(&[
        "search",
        "type:chat.message.posted",
        "--count",
        "--as-of",
        "1",
    ]);
    assert_eq!(pinned.stdout, "6\n", "a pinned version survives compaction");
    check!("reindex", home.run(&["reindex"]));
    check!(
        "reindex_all",
        home.run(&["reindex", "--all", "--format", "json"])
    );
    check!("gc", home.run(&["gc"]));
    check!(
        "gc_yes",
        home.run(&["gc", "--yes", "--min-age", "0s", "--grace", "0s"])
    );
    check!("gc_mistake", home.run(&["gc", "--grace", "30d"]));
    let sound = home.run(&["verify"]);
    assert_eq!(sound.code, 0, "{sound}");
}

/// An archive that only commands write to would never get one otherwise.
#[test]
fn a_checkpoint_that_a_command_makes_due_is_there_when_it_has_ended() {
    let home = Home::empty();
    home.block_on(async {
        let archive = home.create().await;
        for n in 1..100 {
            let event = posted(n, "20T08:01:00", DEALS, "u-1", "words");
            append(&archive, n.into(), &lines(&[event]), None).await;
        }
    });
    let checkpoint = home.archive().join("events/_delta_log/_last_checkpoint");
    assert!(!checkpoint.exists(), "not due yet");
    let opened = home.run(&["matter", "open", "m"]);
    assert_eq!(opened.code, 0, "{opened}");
    let held = home.run(&[
        "hold", "place", "h", "--matter", "m", "--query", "*", "--reason", "r",
    ]);
    assert_eq!(held.code, 0, "{held}");
    assert!(checkpoint.exists());
}
