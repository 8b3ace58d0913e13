//! Where an archive is: a folder, or a place in an object store.

use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

/// Where an archive is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Local(PathBuf),
    Remote(Url),
}

/// A location that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{text}` is no location: {problem}; give a folder, file:///folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
)]
pub struct LocationError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Location {
    /// Reads a path, `file://…`, `s3://bucket/prefix`, `gs://…` or `az://…`.
    ///
    /// # Errors
    /// Another scheme, or a URL without a bucket.
    pub fn parse(_text: &str) -> Result<Self, LocationError> {
        todo!()
    }

    /// The folder of a local archive.
    #[must_use]
    pub fn local_path(&self) -> Option<&std::path::Path> {
        match &self.kind {
            Kind::Local(path) => Some(path),
            Kind::Remote(_) => None,
        }
    }
}

impl FromStr for Location {
    type Err = LocationError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.kind {
            Kind::Local(path) => write!(f, "{}", path.display()),
            Kind::Remote(url) => f.write_str(url.as_str()),
        }
    }
}
