//! Real object stores: the bucket that the environment names when it does, else one server for this test program, started by a script.

use std::process::Command;
use std::sync::{Arc, OnceLock};

use holdfast_archive::{Archive, OpenOptions};
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, parse_url_opts};
use url::Url;

use crate::program::root;

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Amazon S3's: `HOLDFAST_TEST_S3` and `AWS_*`, or `scripts/s3`.
    S3,
    /// Azure Blob Storage's: `HOLDFAST_TEST_AZURE` and `AZURE_*`, or `scripts/azure`.
    Azure,
}

impl Protocol {
    /// The variable that names the bucket.
    const fn variable(self) -> &'static str {
        match self {
            Self::S3 => "HOLDFAST_TEST_S3",
            Self::Azure => "HOLDFAST_TEST_AZURE",
        }
    }

    /// How the variables begin that say how the server is reached.
    const fn prefix(self) -> &'static str {
        match self {
            Self::S3 => "AWS_",
            Self::Azure => "AZURE_",
        }
    }

    const fn script(self) -> &'static str {
        match self {
            Self::S3 => "scripts/s3",
            Self::Azure => "scripts/azure",
        }
    }
}

/// A bucket, and how its server is reached.
#[derive(Debug)]
pub struct Bucket {
    /// `s3://bucket`, `az://container`, or that with a prefix.
    url: String,
    /// Variables for it.
    variables: Vec<(String, String)>,
}

/// A place in a bucket that no other test has.
#[derive(Debug)]
pub struct Place {
    bucket: &'static Bucket,
    url: String,
}

impl Bucket {
    /// The bucket that all tests of this program share. A server that was started for it ends with the program, however that
    /// ends.
    ///
    /// # Panics
    /// There is none and none can be started; the message says why.
    #[must_use]
    pub fn shared(protocol: Protocol) -> &'static Self {
        static S3: OnceLock<Bucket> = OnceLock::new();
        static AZURE: OnceLock<Bucket> = OnceLock::new();
        let shared = match protocol {
            Protocol::S3 => &S3,
            Protocol::Azure => &AZURE,
        };
        shared.get_or_init(|| match std::env::var(protocol.variable()) {
            Ok(url) if !url.is_empty() => Self::new(protocol, url, std::env::vars()),
            _ => Self::start(protocol),
        })
    }

    fn new(
        protocol: Protocol,
        url: String,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Self {
        let variables = variables.filter(|(name, _)| name.starts_with(protocol.prefix()));
        Self {
            url,
            variables: variables.collect(),
        }
    }

    fn start(protocol: Protocol) -> Self {
        let (script, parent) = (protocol.script(), std::process::id().to_string());
        let output = Command::new(root().join(script))
            .args(["start", "--with-parent", &parent])
            .output()
            .unwrap_or_else(|error| panic!("{script}: {error}"));
        assert!(
            output.status.success(),
            "{script} start: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        let printed = String::from_utf8(output.stdout).expect("variables");
        let variables: Vec<(String, String)> = printed
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let url = variables
            .iter()
            .find(|(name, _)| name == protocol.variable())
            .unwrap_or_else(|| panic!("{script} printed no {}", protocol.variable()))
            .1
            .clone();
        Self::new(protocol, url, variables.into_iter())
    }

    /// A place that no other test has.
    #[must_use]
    pub fn place(&'static self) -> Place {
        let url = format!("{}/{}", self.url, uuid::Uuid::now_v7().simple());
        Place { bucket: self, url }
    }
}

impl Place {
    /// `s3://…` or `az://…`, as `--archive` takes it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What a program needs in its environment to reach it.
    #[must_use]
    pub fn variables(&self) -> &[(String, String)] {
        &self.bucket.variables
    }

    /// The place as a store of this process, which has no variables of the server in its own environment.
    ///
    /// # Panics
    /// The variables say nothing that a store can be built from.
    #[must_use]
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        // Variables that mean nothing to a store are left out by it.
        let (store, prefix) =
            parse_url_opts(&self.parsed(), self.variables().iter().cloned()).expect("a store");
        Arc::new(PrefixStore::new(store, prefix))
    }

    fn parsed(&self) -> Url {
        Url::parse(&self.url).expect("a bucket's URL")
    }

    /// Opens the archive that lies there.
    ///
    /// # Panics
    /// There is none, or the server does not answer.
    pub async fn open(&self) -> Archive {
        Archive::open_in_with(self.store(), self.parsed(), OpenOptions::default())
            .await
            .expect("an archive in a bucket")
    }
}
