//! RE-1 and HO-1: runs, restores, purges and erasures, and what is left after them.

mod accounts;
mod contract_types;
mod forgetting;
mod runs;
