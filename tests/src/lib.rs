//! End-to-end tests, named by the promise they hold.
