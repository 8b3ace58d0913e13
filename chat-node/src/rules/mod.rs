//! Who may do what: pure functions of what is stored. Effects are in `ops/`, which asks here before it changes or shows anything.

mod category;
mod room;
mod text;

pub use category::{Lists, Principal, may_create_room, may_manage_categories};
pub use room::{Decision, Operation, Privacy, Role, RoomFacts, RoomKind, Standing, decide};
pub use text::{search_terms, valid_name, valid_text, valid_url, valid_user_id, words};
