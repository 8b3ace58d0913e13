//! Who may know whom (ARCHITECTURE.md), held against what cargo says.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};
use holdfast_tests::program::root;

/// Each crate and the crates of this workspace that it may use outside of tests.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("schemas", &[]),
    ("archive", &["schemas"]),
    ("query", &["schemas"]),
    ("indexer", &["schemas", "archive", "query"]),
    ("governance", &["schemas", "archive", "query", "indexer"]),
    ("ingest", &["schemas", "archive", "indexer"]),
    (
        "query-cli",
        &["schemas", "archive", "query", "indexer", "governance"],
    ),
    ("chat-node", &["schemas"]),
    ("fixtures", &["schemas", "archive", "query", "indexer"]),
    (
        "tests",
        &[
            "schemas",
            "archive",
            "query",
            "indexer",
            "governance",
            "ingest",
            "query-cli",
            "chat-node",
            "fixtures",
        ],
    ),
    (
        "bench",
        &[
            "schemas",
            "archive",
            "query",
            "indexer",
            "governance",
            "ingest",
            "query-cli",
            "chat-node",
            "fixtures",
            "tests",
        ],
    ),
];

/// Crates whose types meet in delta_kernel's: with two versions in the tree they would not fit together.
const ONE_VERSION: &[&str] = &[
    "arrow",
    "arrow-array",
    "arrow-schema",
    "parquet",
    "object_store",
];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(vec!["--locked".to_owned()])
        .exec()
        .expect("cargo metadata")
}

fn folder(package: &str) -> Option<&str> {
    package.strip_prefix("holdfast-")
}

#[test]
fn crates_know_only_whom_they_may() {
    let metadata = metadata();
    let allowed: BTreeMap<_, BTreeSet<_>> = MAY_KNOW
        .iter()
        .map(|(folder, known)| (*folder, known.iter().copied().collect()))
        .collect();
    let mut seen = BTreeSet::new();
    for package in metadata.workspace_packages() {
        let name = folder(package.name.as_str()).expect("packages are named holdfast-<folder>");
        let may = allowed
            .get(name)
            .unwrap_or_else(|| panic!("{name} is new: say here whom it may know"));
        seen.insert(name);
        let normal = package
            .dependencies
            .iter()
            .filter(|d| d.kind != DependencyKind::Development);
        for known in normal.filter_map(|dependency| folder(&dependency.name)) {
            assert!(may.contains(known), "{name} must not know {known}");
        }
    }
    assert_eq!(
        seen.len(),
        allowed.len(),
        "a crate is listed here that does not exist"
    );
}

#[test]
fn each_package_lies_in_the_folder_of_its_name() {
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        let lies_in = package
            .manifest_path
            .parent()
            .and_then(|folder| folder.file_name());
        assert_eq!(lies_in, folder(package.name.as_str()));
        assert_eq!(
            package.license.as_deref(),
            Some("Apache-2.0"),
            "{}",
            package.name
        );
    }
}

#[test]
fn crates_whose_types_meet_have_one_version() {
    let metadata = metadata();
    for name in ONE_VERSION {
        let versions: Vec<_> = metadata
            .packages
            .iter()
            .filter(|p| p.name.as_str() == *name)
            .map(|p| p.version.to_string())
            .collect();
        assert_eq!(versions.len(), 1, "{name}: {versions:?}");
    }
}

#[test]
fn the_command_line_links_no_kafka_client() {
    let metadata = metadata();
    let linked = linked_by(&metadata, "holdfast-query-cli");
    assert!(
        linked.contains("tantivy") && linked.contains("delta_kernel"),
        "the walk over the tree works"
    );
    let kafka: Vec<_> = linked
        .iter()
        .filter(|name| name.contains("rdkafka"))
        .collect();
    assert!(kafka.is_empty(), "{kafka:?}");
    assert!(
        linked_by(&metadata, "holdfast-ingest").contains("rdkafka"),
        "the same walk finds it where it is"
    );
}

#[test]
fn everything_else_comes_from_the_package_registry() {
    for package in metadata().packages {
        let from_registry = package
            .source
            .as_ref()
            .is_some_and(cargo_metadata::Source::is_crates_io);
        assert!(
            from_registry || folder(package.name.as_str()).is_some(),
            "{} comes from {:?}",
            package.name,
            package.source
        );
    }
}

/// Names of all packages in the tree below one, tests' own needs left out.
fn linked_by<'m>(metadata: &'m Metadata, package: &str) -> BTreeSet<&'m str> {
    let resolve = metadata.resolve.as_ref().expect("a resolved tree");
    let nodes: BTreeMap<&PackageId, _> =
        resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let root = metadata
        .packages
        .iter()
        .find(|p| p.name.as_str() == package)
        .expect("a package of the workspace");
    let (mut open, mut reached) = (vec![&root.id], BTreeSet::new());
    while let Some(id) = open.pop() {
        if !reached.insert(id) {
            continue;
        }
        let dependencies = nodes[id].deps.iter();
        let linked = dependencies.filter(|d| {
            d.dep_kinds
                .iter()
                .any(|kind| kind.kind != DependencyKind::Development)
        });
        open.extend(linked.map(|dependency| &dependency.pkg));
    }
    reached
        .into_iter()
        .map(|id| metadata[id].name.as_str())
        .collect()
}
