//! What has been brought to the disk, for tests: nothing else of a running system shows it.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

static SYNCED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

pub(super) fn note(path: &Path) {
    SYNCED.lock().unwrap().push(path.to_owned());
}

/// What was synced below a folder since this was asked last, in order. A file that had no name yet ends in `#`.
pub(super) fn below(root: &Path) -> Vec<String> {
    let mut all = SYNCED.lock().unwrap();
    let ours = all.extract_if(.., |path| path.starts_with(root));
    ours.map(|path| {
        let path = path.strip_prefix(root).unwrap().display().to_string();
        match path.split_once('#') {
            Some((path, _)) => format!("{path}#"),
            None => path,
        }
    })
    .collect()
}
