//! Categories: flat, managed by administrators.

mod create;
mod delete;
mod list;
mod update;

pub use create::{NewCategory, create};
pub use delete::delete;
pub use list::{get, list};
pub use update::{CategoryChange, update};

use crate::error::{ChatError, Result};
use crate::limits::LIST_ENTRIES_MAX;
use crate::model::Caller;
use crate::rules::{may_manage_categories, valid_text};

fn check_manager(caller: &Caller) -> Result<()> {
    if may_manage_categories(caller.administrator) {
        Ok(())
    } else {
        Err(ChatError::Forbidden {
            reason: "only administrators manage categories",
        })
    }
}

fn check_list(place: &'static str, list: &[String]) -> Result<()> {
    if list.len() > LIST_ENTRIES_MAX {
        return Err(ChatError::invalid(
            place,
            format!("has more than {LIST_ENTRIES_MAX} entries"),
        ));
    }
    for entry in list {
        valid_text(place, entry, holdfast_schemas::limits::NAME_BYTES_MAX)?;
        if entry.is_empty() || matches!(entry.as_str(), "group:" | "user:") {
            return Err(ChatError::invalid(place, "has an entry that names nobody"));
        }
    }
    Ok(())
}
