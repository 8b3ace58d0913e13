//! `holdfast status`.

use crate::check;
use crate::support::Home;

#[test]
fn status_tells_and_judges() {
    let home = Home::small();
    check!("status", home.run(&["status"]));
    check!("status_json", home.run(&["status", "--format", "json"]));
    check!("status_csv", home.run(&["status", "--format", "csv"]));
    check!("status_check", home.run(&["status", "--check", "-q"]));
    let silent = home.run(&[
        "status",
        "--check",
        "--max-lag",
        "5m",
        "--max-silence",
        "1m",
        "--format",
        "csv",
    ]);
    assert_eq!(silent.code, 2, "{silent}");
    assert!(
        silent
            .stderr
            .contains("origin main.1: its newest event was archived 1d 12h after it happened"),
        "{silent}"
    );
    assert!(
        silent.stderr.contains("origin main.1: silent for"),
        "{silent}"
    );
    for split in home.files("index", ".split").iter().take(1) {
        std::fs::remove_file(split).unwrap();
    }
    check!(
        "status_check_unindexed",
        home.run(&["status", "--check", "--format", "csv"])
    );
    check!(
        "status_bad_duration",
        home.run(&["status", "--check", "--max-lag", "5"])
    );
}
