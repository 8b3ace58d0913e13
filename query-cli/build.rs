//! Links `holdfast` at a fixed address.
//!
//! A position-independent program of this size has its 97,000 pointers to functions and constants relocated by the
//! dynamic loader at every start, in 500 pages that have to be copied for it: 1.6 ms, a third of what the search for a
//! rare word takes as a process. At a fixed address the linker does it once. Only the program's own image loses its
//! random place by this; libraries, heap, stacks and memory maps keep theirs.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    // Elsewhere the start files that the compiler chose for a position-independent program would not fit.
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
