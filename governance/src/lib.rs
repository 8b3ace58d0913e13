//! The ledger and what is judged by it: matters, holds, retention, disposition, erasure, verification.
