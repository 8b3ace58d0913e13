//! Messages.

mod delete;
mod edit;
mod history;
mod locate;
mod post;
mod react;

pub use delete::delete;
pub(crate) use edit::blank;
pub use edit::{MessageChange, edit};
pub use history::{Page, history, viewed};
pub use locate::{Located, append_entry, locate, locate_locked};
pub(crate) use post::check_title;
pub use post::{NewPost, post};
pub use react::{Reaction, react, reactions};
