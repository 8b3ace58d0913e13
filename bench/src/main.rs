//! The bench table.
fn main() {}
