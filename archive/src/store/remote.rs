//! Object stores: S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use url::Url;

use crate::error::ArchiveError;

/// A store for `s3://bucket/prefix` and its like, rooted at the prefix. Credentials, region, endpoint and
/// `allow_http` come from the variables that the provider's own tools read (`AWS_ACCESS_KEY_ID`, `AWS_REGION`,
/// `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`, …; `GOOGLE_…`; `AZURE_…`).
pub(crate) fn build(url: &Url) -> Result<Arc<dyn ObjectStore>, ArchiveError> {
    let bucket = url.host_str().unwrap_or_default();
    let store: Arc<dyn ObjectStore> = match url.scheme() {
        // Conditional puts are what makes a commit atomic; the default (If-None-Match) is what S3 and its
        // work-alikes offer. A store without it fails the first commit loudly.
        "s3" => Arc::new(
            AmazonS3Builder::from_env()
                .with_bucket_name(bucket)
                .build()
                .map_err(|e| error(url, e))?,
        ),
        "gs" => Arc::new(
            GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(bucket)
                .build()
                .map_err(|e| error(url, e))?,
        ),
        "az" => Arc::new(
            MicrosoftAzureBuilder::from_env()
                .with_container_name(bucket)
                .build()
                .map_err(|e| error(url, e))?,
        ),
        other => {
            return Err(ArchiveError::Invalid(format!(
                "{url}: no store for the scheme `{other}`"
            )));
        }
    };
    let prefix = Path::from_url_path(url.path())
        .map_err(|e| ArchiveError::Invalid(format!("{url}: {e}")))?;
    if prefix.as_ref().is_empty() {
        Ok(store)
    } else {
        Ok(Arc::new(PrefixStore::new(store, prefix)))
    }
}

fn error(url: &Url, source: object_store::Error) -> ArchiveError {
    ArchiveError::Store {
        operation: "open the store of",
        path: url.to_string(),
        source,
    }
}
