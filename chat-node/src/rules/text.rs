//! What text may look like, before it reaches a database.

use crate::error::{ChatError, Result};
use crate::limits::{NAME_CHARS_MAX, SEARCH_TERMS_MAX};

/// Text of at most `bytes_max` bytes without NUL, which PostgreSQL cannot store.
///
/// # Errors
/// Too long ([`ChatError::TooLarge`]), or a NUL in it.
pub fn valid_text(place: &'static str, text: &str, bytes_max: usize) -> Result<()> {
    if text.len() > bytes_max {
        return Err(ChatError::TooLarge {
            what: place,
            bytes_max: bytes_max as u64,
        });
    }
    if text.contains('\0') {
        return Err(ChatError::invalid(place, "holds a NUL character"));
    }
    Ok(())
}

/// The id of a user. What the categories' lists and the events call somebody else (`*`, `group:…`, `node:…`) is none.
///
/// # Errors
/// Too long ([`ChatError::TooLarge`]), or it names no user.
pub fn valid_user_id(place: &'static str, id: &str) -> Result<()> {
    valid_text(place, id, holdfast_schemas::limits::NAME_BYTES_MAX)?;
    if id.is_empty()
        || id == "*"
        || id.starts_with("group:")
        || id.starts_with("node:")
        || id.chars().any(char::is_control)
    {
        return Err(ChatError::invalid(
            place,
            format!("{id:?} is no id of a user"),
        ));
    }
    Ok(())
}

/// A name that people see: not empty, no control characters, no blanks around it; returns its key, under which it is unique.
///
/// # Errors
/// What is wrong with it.
pub fn valid_name(place: &'static str, name: &str) -> Result<String> {
    if name.is_empty() || name.trim() != name {
        return Err(ChatError::invalid(
            place,
            "must not be empty or begin or end with a blank",
        ));
    }
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(ChatError::invalid(
            place,
            format!("has more than {NAME_CHARS_MAX} characters"),
        ));
    }
    if name.chars().any(char::is_control) {
        return Err(ChatError::invalid(place, "holds control characters"));
    }
    Ok(name.to_lowercase())
}

/// An address that a client may open: https, or http.
///
/// # Errors
/// It is neither.
pub fn valid_url(place: &'static str, text: &str) -> Result<()> {
    valid_text(place, text, holdfast_schemas::limits::NAME_BYTES_MAX)?;
    match url::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "https" | "http") => Ok(()),
        Ok(_) => Err(ChatError::invalid(
            place,
            "must begin with https:// or http://",
        )),
        Err(error) => Err(ChatError::invalid(place, format!("is no URL: {error}"))),
    }
}

/// A mark that belongs to the letter before it (`e` and U+0301 are one `é`): the databases do not end a word there.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

/// The words of a text: runs of letters and digits, with the accents that are characters of their own.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && !is_accent(c))
        .filter(|word| word.contains(char::is_alphanumeric))
}

/// The words and phrases of a search: each is a list of words that must stand side by side. All of them must be in a message.
///
/// Words are those of [`words`]; `"` begins and ends a phrase; a phrase that is not ended goes to the end. Whatever joins word
/// characters without a blank (`e-mail`, `3.5`) is a phrase of its parts. `place` is the part of the request that holds them.
///
/// # Errors
/// No word at all, or more than [`SEARCH_TERMS_MAX`].
pub fn search_terms(place: &'static str, query: &str) -> Result<Vec<Vec<String>>> {
    let words = |text: &str| -> Vec<String> { words(text).map(str::to_owned).collect() };
    let terms: Vec<Vec<String>> = query
        .split('"')
        .enumerate()
        .flat_map(|(part, text)| match part % 2 {
            0 => text.split_whitespace().map(words).collect::<Vec<_>>(),
            _quoted => vec![words(text)],
        })
        .filter(|term| !term.is_empty())
        .collect();
    if terms.is_empty() {
        return Err(ChatError::invalid(place, "holds no word"));
    }
    if terms.len() > SEARCH_TERMS_MAX {
        return Err(ChatError::invalid(
            place,
            format!("holds more than {SEARCH_TERMS_MAX} words and phrases"),
        ));
    }
    Ok(terms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_words_and_phrases() {
        let terms = |query: &str| search_terms("q", query).unwrap();
        assert_eq!(terms("keep this"), [vec!["keep"], vec!["this"]]);
        assert_eq!(
            terms("\"keep this\" now"),
            [vec!["keep", "this"], vec!["now"]]
        );
        assert_eq!(
            terms("e-mail \"to be"),
            [vec!["e", "mail"], vec!["to", "be"]]
        );
        assert_eq!(terms("Ünïcode 日本"), [vec!["Ünïcode"], vec!["日本"]]);
        assert_eq!(terms("Rene\u{301}'s \u{301}"), [vec!["Rene\u{301}", "s"]]);
        assert!(search_terms("q", " \"\" -- ").is_err());
        assert!(search_terms("q", &"w ".repeat(SEARCH_TERMS_MAX + 1)).is_err());
    }

    #[test]
    fn names_are_clean_and_unique_without_case() {
        assert_eq!(
            valid_name("name", "Incident Review").unwrap(),
            "incident review"
        );
        for bad in ["", " x", "x ", "a\nb", &"x".repeat(257)] {
            assert!(valid_name("name", bad).is_err(), "{bad:?}");
        }
        assert!(valid_name("name", &"é".repeat(256)).is_ok());
    }

    #[test]
    fn users_are_called_what_nothing_else_is() {
        for id in ["u-7", "ana@example.com", "日本", &"x".repeat(1024)] {
            assert!(valid_user_id("user", id).is_ok(), "{id:?}");
        }
        for bad in ["", "*", "group:legal", "node:chat-1", "a\nb", "\0"] {
            assert!(valid_user_id("user", bad).is_err(), "{bad:?}");
        }
        assert!(valid_user_id("user", &"x".repeat(1025)).is_err());
    }

    #[test]
    fn addresses_are_of_the_web() {
        assert!(valid_url("addin_url", "https://example.com/x").is_ok());
        for bad in [
            "javascript:alert(1)",
            "file:///etc/passwd",
            "example.com",
            "",
        ] {
            assert!(valid_url("addin_url", bad).is_err(), "{bad:?}");
        }
    }
}
