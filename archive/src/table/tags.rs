//! The tag of each add action that holds its file's SHA-256.
//!
//! The events' hashes say nothing of what ingest noted beside an event, nor of a file's padding and page headers: the
//! file's own digest does. It is in the add action and not in commitInfo, because entries are removed and add actions
//! live on in checkpoints. The kernel writes no tags, so they are set in the entry's bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::log::action::SHA256_TAG;

/// How each line of an add action begins.
const ADD: &[u8] = b"{\"add\":{";

/// SHA-256 of each file that a commit adds, by path.
pub(super) type Digests = BTreeMap<String, [u8; 32]>;

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    add: Option<Add<'a>>,
}

#[derive(Deserialize)]
struct Add<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
    tags: Option<IgnoredAny>,
}

/// The entry with a tag in every add action.
///
/// # Errors
/// What the kernel wrote is not what is expected here; it must not be committed.
pub(super) fn tag(entry: &[u8], digests: &Digests) -> Result<Vec<u8>, String> {
    let mut tagged = Vec::with_capacity(entry.len() + digests.len() * 128);
    let mut adds = 0;
    for line in entry.split_inclusive(|byte| *byte == b'\n') {
        let parsed: Line<'_> = serde_json::from_slice(line).map_err(|e| e.to_string())?;
        let Some(Add { path, tags }) = parsed.add else {
            tagged.extend_from_slice(line);
            continue;
        };
        let rest = line
            .strip_prefix(ADD)
            .filter(|_| tags.is_none())
            .ok_or_else(|| format!("the add action of {path} has another shape than expected"))?;
        let sha256 = digests
            .get(&*path)
            .ok_or_else(|| format!("{path} is added, but nobody planned to"))?;
        tagged.extend_from_slice(ADD);
        let tag = format!("\"tags\":{{\"{SHA256_TAG}\":\"{}\"}},", hex::encode(sha256));
        tagged.extend_from_slice(tag.as_bytes());
        tagged.extend_from_slice(rest);
        adds += 1;
    }
    if adds == digests.len() {
        Ok(tagged)
    } else {
        Err(format!("{adds} files are added of {}", digests.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_add_gets_its_tag_and_nothing_else_changes() {
        let entry = b"{\"commitInfo\":{}}\n{\"add\":{\"path\":\"a\",\"size\":1}}\n{\"remove\":{\"path\":\"b\"}}\n";
        let digests = Digests::from([("a".to_owned(), [0x1f; 32])]);
        let digest = "1f".repeat(32);
        let expected = format!(
            "{{\"commitInfo\":{{}}}}\n{{\"add\":{{\"tags\":{{\"holdfast.sha256\":\"{digest}\"}},\"path\":\"a\",\"size\":1}}}}\n{{\"remove\":{{\"path\":\"b\"}}}}\n"
        );
        assert_eq!(tag(entry, &digests).unwrap(), expected.as_bytes());
    }

    #[test]
    fn an_entry_of_another_shape_is_refused() {
        let digests = Digests::from([("a".to_owned(), [1; 32])]);
        for bad in [
            &b"{\"add\":{\"path\":\"b\"}}\n"[..],
            b"{\"add\":{\"path\":\"a\",\"tags\":{}}}\n",
            b"{ \"add\":{\"path\":\"a\"}}\n",
            b"{\"commitInfo\":{}}\n",
            b"{\"add\":",
        ] {
            assert!(tag(bad, &digests).is_err(), "{bad:?}");
        }
    }
}
