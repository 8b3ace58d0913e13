//! Names in the log folder. Source: the Delta transaction log protocol, "Delta Log Entries" and "Checkpoints".

use object_store::path::Path;

/// The table's folder inside the archive.
pub(crate) const TABLE: &str = "events";
/// The log's folder inside the archive.
pub(crate) const LOG: &str = "events/_delta_log";

/// Log entry `version`.
pub(crate) fn entry(version: u64) -> Path {
    Path::from(format!("{LOG}/{version:020}.json"))
}

/// The single-file checkpoint of `version`.
pub(crate) fn checkpoint(version: u64) -> Path {
    Path::from(format!("{LOG}/{version:020}.checkpoint.parquet"))
}

/// The hint that names the newest checkpoint.
pub(crate) fn last_checkpoint() -> Path {
    Path::from(format!("{LOG}/_last_checkpoint"))
}

/// Holdfast's mark that the checkpoint of `version` was read back and says what the log says: its SHA-256. Other
/// programs skip names that begin with an underscore.
pub(crate) fn verified(version: u64) -> Path {
    Path::from(format!("{LOG}/_holdfast_verified.{version:020}"))
}

/// An empty file that garbage collection puts to learn the store's time.
pub(crate) fn clock() -> Path {
    Path::from(format!("{LOG}/_holdfast_clock"))
}

/// A file in the log folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Entry(u64),
    Checkpoint(u64),
    Other,
}

impl Kind {
    /// The version it stands for.
    pub(crate) fn version(self) -> Option<u64> {
        match self {
            Self::Entry(version) | Self::Checkpoint(version) => Some(version),
            Self::Other => None,
        }
    }
}

/// What a file name in the log folder stands for.
pub(crate) fn kind(name: &str) -> Kind {
    let Some((digits, rest)) = name.split_at_checked(20) else {
        return Kind::Other;
    };
    let Some(version) = digits
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| digits.parse().ok())
        .flatten()
    else {
        return Kind::Other;
    };
    match rest {
        ".json" => Kind::Entry(version),
        ".checkpoint.parquet" => Kind::Checkpoint(version),
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        let name = |path: Path| path.filename().unwrap().to_owned();
        assert_eq!(kind(&name(entry(42))), Kind::Entry(42));
        assert_eq!(
            kind(&name(checkpoint(u64::MAX))),
            Kind::Checkpoint(u64::MAX)
        );
        for other in [
            "_last_checkpoint",
            "00000000000000000001.crc",
            "x",
            "0000000000000000000é.json",
        ] {
            assert_eq!(kind(other), Kind::Other, "{other}");
        }
    }
}
