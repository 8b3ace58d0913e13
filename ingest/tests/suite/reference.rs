//! `docs/ingest.md` is what the program says of itself.

#[test]
fn the_reference_page_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/ingest.md");
    let page = holdfast_ingest::reference::page();
    if std::env::var_os("HOLDFAST_UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page,
        "docs/ingest.md is not what the definitions say; run HOLDFAST_UPDATE_DOCS=1 cargo test -p holdfast-ingest the_reference_page"
    );
}
