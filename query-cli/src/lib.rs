//! The command line of Holdfast: search, show, export, verify and maintain an archive.
