//! Names that people give: of actors, matters, holds, policies, persons.

use crate::ledger::Refusal;

/// Characters of a name, at most.
const NAME_CHARS_MAX: usize = 128;

/// Whether a name can be written on a command line and in a list without being mistaken.
///
/// # Errors
/// It is empty, too long, begins with `-`, or holds control characters or blanks at its ends.
pub fn check(what: &str, name: &str) -> Result<(), Refusal> {
    let problem = if name.is_empty() {
        "it is empty"
    } else if name.chars().count() > NAME_CHARS_MAX {
        "it is longer than 128 characters"
    } else if name.starts_with('-') {
        "it begins with `-`"
    } else if name.chars().any(char::is_control) {
        "it holds control characters"
    } else if name.trim() != name {
        "it begins or ends with a blank"
    } else {
        return Ok(());
    };
    Err(Refusal::because(
        format!("`{}` is no name of {what}: {problem}", name.escape_debug()),
        "choose a short, plain name",
    ))
}
