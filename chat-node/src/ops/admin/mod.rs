//! What administrators do, each act with its compliance events.

mod configuration;
mod export;
mod import;
mod nodes;
mod prune;
mod purge;
mod replace;
mod synthetic;

pub use configuration::{Configuration, Configured, configuration, configure};
pub use export::{ExportedRoom, export};
pub use import::{Imported, import};
pub use nodes::{NodeState, nodes, set_node_state};
pub use prune::prune;
pub use purge::{Purge, Purged, purge};
pub use replace::{Replace, replace};
pub use synthetic::{Synthetic, synthetic};

use crate::error::{ChatError, Result};
use crate::model::Caller;

fn check_admin(caller: &Caller) -> Result<()> {
    if caller.administrator {
        Ok(())
    } else {
        Err(ChatError::Forbidden {
            reason: "only administrators do this",
        })
    }
}
