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

/// What the hint of a search says is what helps: a split that does not open is built anew by `reindex`, one that is damaged inside by `reindex --all`.
#[test]
fn the_hint_of_a_scan_mends_it() {
    let home = Home::small();
    let splits = home.files("index", ".split");
    let search = || home.run(&["search", "pricing"]);
    let change = |split: &std::path::Path, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = std::fs::read(split).unwrap();
        change(&mut bytes);
        std::fs::write(split, bytes).unwrap();
    };
    change(&splits[0], &|bytes| bytes.truncate(bytes.len() - 5));
    let cut = search();
    assert!(
        cut.stderr.contains("hint: `holdfast reindex` builds"),
        "{cut}"
    );
    let built = home.run(&["reindex"]);
    assert!(built.stdout.starts_with("built 1 of "), "{built}");
    assert!(!search().stderr.contains("scanned"), "{}", search());
    // Every block, so that whatever the search reads is damaged; and the tail as it was.
    for split in &splits {
        change(split, &|bytes| {
            bytes[..1000].iter_mut().for_each(|byte| *byte ^= 1);
        });
    }
    let damaged = search();
    let hint = "damaged inside: `holdfast reindex --all` builds";
    assert!(damaged.stderr.contains(hint), "{damaged}");
    assert!(home.run(&["reindex"]).stdout.starts_with("built 0 of "));
    assert_eq!(home.run(&["reindex", "--all"]).code, 0);
    assert!(!search().stderr.contains("scanned"), "{}", search());
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
