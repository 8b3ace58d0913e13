use super::*;

#[test]
fn digests_are_told_from_other_text() {
    assert!(is_digest(&"0a".repeat(32)));
    for text in [
        "",
        "0a",
        &"0A".repeat(32),
        &"0g".repeat(32),
        &"0a".repeat(33),
    ] {
        assert!(!is_digest(text), "{text}");
    }
}

#[test]
fn a_file_store_that_cannot_be_is_an_error_with_a_hint() {
    for text in ["", "http://x/y", "/no/such/folder/anywhere"] {
        let error = open_source(text).unwrap_err().to_string();
        assert!(error.contains("hint: give the folder"), "{text}: {error}");
    }
}
