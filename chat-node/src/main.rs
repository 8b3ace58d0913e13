//! `holdfast-chat`: one node of a chat pool.

fn main() {}
