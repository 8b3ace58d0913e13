//! A real S3 server: the bucket that `HOLDFAST_TEST_S3` names when it is set, else one server for this test program, started by
//! `scripts/s3`.

use std::process::Command;
use std::sync::{Arc, OnceLock};

use holdfast_archive::{Archive, OpenOptions};
use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::prefix::PrefixStore;
use url::Url;

use crate::program::root;

/// A bucket, and how its server is reached.
#[derive(Debug)]
pub struct Bucket {
    /// `s3://bucket`, or `s3://bucket/prefix`.
    url: String,
    /// The `AWS_*` variables for it.
    variables: Vec<(String, String)>,
}

/// A place in the bucket that no other test has.
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
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Bucket> = OnceLock::new();
        SHARED.get_or_init(|| match std::env::var("HOLDFAST_TEST_S3") {
            Ok(url) if !url.is_empty() => Self {
                url,
                variables: std::env::vars().filter(is_aws).collect(),
            },
            _ => Self::start(),
        })
    }

    fn start() -> Self {
        let parent = std::process::id().to_string();
        let output = Command::new(root().join("scripts/s3"))
            .args(["start", "--with-parent", &parent])
            .output()
            .expect("scripts/s3 runs");
        assert!(
            output.status.success(),
            "scripts/s3 start: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        let printed = String::from_utf8(output.stdout).expect("variables");
        let mut variables: Vec<(String, String)> = printed
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let url = variables
            .iter()
            .find(|(name, _)| name == "HOLDFAST_TEST_S3")
            .unwrap_or_else(|| panic!("scripts/s3 printed no HOLDFAST_TEST_S3: {printed}"))
            .1
            .clone();
        variables.retain(is_aws);
        Self { url, variables }
    }

    /// A place that no other test has.
    #[must_use]
    pub fn place(&'static self) -> Place {
        let url = format!("{}/{}", self.url, uuid::Uuid::now_v7().simple());
        Place { bucket: self, url }
    }
}

fn is_aws((name, _): &(String, String)) -> bool {
    name.starts_with("AWS_")
}

impl Place {
    /// `s3://…`, as `--archive` takes it.
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
        let url = Url::parse(&self.url).expect("HOLDFAST_TEST_S3 is a URL");
        let bucket = url.host_str().expect("HOLDFAST_TEST_S3 names a bucket");
        let mut builder = AmazonS3Builder::new().with_bucket_name(bucket);
        for (name, value) in &self.bucket.variables {
            // Variables of the AWS tools that mean nothing to a store are none of its keys.
            if let Ok(key) = name.to_ascii_lowercase().parse() {
                builder = builder.with_config(key, value);
            }
        }
        let store = builder.build().expect("a store");
        let prefix = url.path().trim_start_matches('/').to_owned();
        Arc::new(PrefixStore::new(store, prefix))
    }

    /// Opens the archive that lies there.
    ///
    /// # Panics
    /// There is none, or the server does not answer.
    pub async fn open(&self) -> Archive {
        let url = Url::parse(&self.url).expect("a URL");
        Archive::open_in_with(self.store(), url, OpenOptions::default())
            .await
            .expect("an archive on S3")
    }
}
