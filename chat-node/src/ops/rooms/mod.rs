//! Rooms.

mod create;
mod delete;
mod get;
mod list;
pub mod snapshot;
mod update;

pub use create::{NewRoom, create, create_empty};
pub use delete::{delete, delete_content};
pub use get::{get, participants};
pub use list::{Filter, list};
pub use update::{RoomChange, update};

use crate::error::Result;
use crate::limits::DESCRIPTION_BYTES_MAX;
use crate::rules::{valid_text, valid_url};

fn check_texts(description: &str, addin_url: Option<&str>) -> Result<()> {
    valid_text("description", description, DESCRIPTION_BYTES_MAX)?;
    addin_url.map_or(Ok(()), |url| valid_url("addin_url", url))
}
