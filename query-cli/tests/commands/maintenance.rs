//! `holdfast compact`, `reindex` and `gc`.

use crate::check;
use crate::support::Home;

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
