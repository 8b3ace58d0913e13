//! Where an archive is: a folder, or a place in an object store.

use std::path::{Path, PathBuf};
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
    /// Reads a path, `file://…`, `s3://bucket/prefix`, `gs://…` or `az://…`. A relative path is taken from the
    /// working directory.
    ///
    /// # Errors
    /// Another scheme, a URL without a bucket, an empty text.
    pub fn parse(text: &str) -> Result<Self, LocationError> {
        let error = |problem: &str| LocationError {
            text: text.to_owned(),
            problem: problem.to_owned(),
        };
        if text.is_empty() {
            return Err(error("it is empty"));
        }
        // Only `scheme://` makes a URL: a folder may well be called `a:b`.
        if !text.contains("://") {
            let path = std::path::absolute(text).map_err(|e| error(&e.to_string()))?;
            return Ok(Self::local(path));
        }
        let url = Url::parse(text).map_err(|e| error(&e.to_string()))?;
        match url.scheme() {
            "file" => {
                let path = url
                    .to_file_path()
                    .map_err(|()| error("the path must be absolute: file:///folder"))?;
                Ok(Self::local(path))
            }
            "s3" | "gs" | "az" => {
                if url.host_str().is_none_or(str::is_empty) {
                    return Err(error("the bucket is missing"));
                }
                if url.query().is_some() || url.fragment().is_some() {
                    return Err(error(
                        "settings come from the environment, not from the URL",
                    ));
                }
                Ok(Self {
                    kind: Kind::Remote(url),
                })
            }
            other => Err(error(&format!("the scheme `{other}` is not known"))),
        }
    }

    /// A folder on this machine.
    #[must_use]
    pub fn local(path: impl Into<PathBuf>) -> Self {
        Self {
            kind: Kind::Local(path.into()),
        }
    }

    /// The folder of a local archive.
    #[must_use]
    pub fn local_path(&self) -> Option<&Path> {
        match &self.kind {
            Kind::Local(path) => Some(path),
            Kind::Remote(_) => None,
        }
    }

    /// The URL of an archive in an object store.
    #[must_use]
    pub fn remote_url(&self) -> Option<&Url> {
        match &self.kind {
            Kind::Local(_) => None,
            Kind::Remote(url) => Some(url),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_urls_are_told_apart() {
        assert_eq!(
            Location::parse("/a/b").unwrap().local_path(),
            Some(Path::new("/a/b"))
        );
        assert_eq!(
            Location::parse("file:///a/b%20c").unwrap().local_path(),
            Some(Path::new("/a/b c"))
        );
        assert!(
            Location::parse("rel/x")
                .unwrap()
                .local_path()
                .unwrap()
                .is_absolute()
        );
        assert!(Location::parse("odd:name").unwrap().local_path().is_some());
        let s3 = Location::parse("s3://bucket/some/prefix").unwrap();
        assert!(s3.local_path().is_none());
        assert_eq!(s3.to_string(), "s3://bucket/some/prefix");
        assert!(Location::parse("gs://b").is_ok() && Location::parse("az://c/p").is_ok());
    }

    #[test]
    fn what_is_no_location_says_why() {
        for (text, part) in [
            ("", "empty"),
            ("http://x/y", "`http` is not known"),
            ("s3:///prefix", "bucket is missing"),
            ("s3://b/p?region=x", "environment"),
        ] {
            let error = Location::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(error.contains("give a folder"), "{error}");
        }
    }
}
