//! One Tantivy split per segment: build, bundle, and search over a pinned snapshot.
