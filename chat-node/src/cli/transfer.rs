//! What takes several calls: lists of any length, and what is written down and taken in page by page.

use reqwest::Method;
use serde_json::Value;

use super::client::{AdminClient, AdminError, print};

/// Prints a list of any length: each page begins after the last element's `key`.
pub(super) async fn pages(
    client: &AdminClient,
    path: &str,
    key: &str,
    filter: &[(&str, String)],
) -> Result<(), AdminError> {
    let mut query = filter.to_vec();
    loop {
        let page = client.call(Method::GET, path, &query, None).await?;
        print(&page)?;
        let last = page.as_array().and_then(|elements| elements.last());
        let Some(after) = last.and_then(|element| element[key].as_str()) else {
            return Ok(());
        };
        query = filter.to_vec();
        query.push(("after", after.to_owned()));
    }
}

/// Prints what a path gives, a page a line.
pub(super) async fn export(client: &AdminClient, path: &str) -> Result<(), AdminError> {
    let mut after = Some(0);
    while let Some(from) = after {
        let query = [("after_seq", from.to_string())];
        let page = client.call(Method::GET, path, &query, None).await?;
        print(&page)?;
        after = page["next_after_seq"].as_i64();
    }
    Ok(())
}

const CONFIGURATION: &str = "/v1/admin/configuration";

/// Prints categories and rooms, a page a line.
pub(super) async fn export_configuration(client: &AdminClient) -> Result<(), AdminError> {
    let mut query = Vec::new();
    loop {
        let page = client
            .call(Method::GET, CONFIGURATION, &query, None)
            .await?;
        print(&page)?;
        match page["next_after"].as_str() {
            Some(after) => query = vec![("after", after.to_owned())],
            None => return Ok(()),
        }
    }
}

/// What was written down, a line a page.
fn pages_of(
    file: &std::path::Path,
) -> Result<impl Iterator<Item = Result<Value, AdminError>>, AdminError> {
    use std::io::BufRead;
    let file = std::io::BufReader::new(std::fs::File::open(file)?);
    Ok(file.lines().map(|line| Ok(serde_json::from_str(&line?)?)))
}

/// Takes categories and rooms in.
pub(super) async fn import_configuration(
    client: &AdminClient,
    file: &std::path::Path,
) -> Result<(), AdminError> {
    for page in pages_of(file)? {
        let page = page?;
        let done = client.call(Method::PUT, CONFIGURATION, &[], Some(&page));
        print(&done.await?)?;
    }
    Ok(())
}

/// Takes a room in: the first page makes it, the others go on with it.
pub(super) async fn import(client: &AdminClient, file: &std::path::Path) -> Result<(), AdminError> {
    let mut into: Option<String> = None;
    for page in pages_of(file)? {
        let page = page?;
        let query: Vec<(&str, String)> = into.iter().map(|room| ("into", room.clone())).collect();
        let taken = client
            .call(Method::POST, "/v1/admin/import", &query, Some(&page))
            .await?;
        print(&taken)?;
        into = taken["room"].as_str().map(str::to_owned);
    }
    Ok(())
}
