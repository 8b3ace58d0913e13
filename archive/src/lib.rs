//! The record: a Delta table of Parquet segments with positions, commits, snapshots and garbage collection.
