//! Whether a split can be used, for verification.

use holdfast_archive::Segment;
use tokio::runtime::Handle;

use super::searcher::Searcher;
use crate::error::SplitError;

impl Searcher {
    /// Whether a segment's split is there, of this analyzer version and this segment's rows, and each of its blocks as its
    /// checksum says. Reads the whole split.
    ///
    /// # Errors
    /// It cannot be used, and why; searches scan its segment then.
    pub async fn check_split(&self, segment: &Segment) -> Result<(), SplitError> {
        let (engine, segment, runtime) = (
            std::sync::Arc::clone(&self.engine),
            segment.clone(),
            Handle::current(),
        );
        let check = tokio::task::spawn_blocking(move || engine.split(&runtime, &segment)?.check());
        check
            .await
            .map_err(|error| SplitError::Io(std::io::Error::other(error)))?
    }
}
