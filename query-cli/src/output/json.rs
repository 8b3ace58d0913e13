//! JSON on stdout. Programs read the same text; a person who looks at it on a terminal is not driven by what it holds.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

use super::text::is_hostile;

/// Compact JSON in which the characters that [`super::text::escape`] shows as escapes are `\u` escapes.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if !fragment.chars().any(is_hostile) {
            return out.write_all(fragment.as_bytes());
        }
        for c in fragment.chars() {
            if is_hostile(c) {
                // Every hostile character lies in the basic plane: one escape each.
                write!(out, "\\u{:04x}", u32::from(c))?;
            } else {
                out.write_all(c.encode_utf8(&mut [0; 4]).as_bytes())?;
            }
        }
        Ok(())
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        CompactFormatter.begin_object_key(out, first)
    }
}

/// Writes a value.
///
/// # Errors
/// The writer's.
pub fn write(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    value
        .serialize(&mut Serializer::with_formatter(out, Harmless))
        .map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_comes_back_but_does_not_reach_the_terminal() {
        let text = "a\u{9b}31m \u{202e}x\u{200f} \u{7f} \u{1b}[0m \"quoted\" \\ 日本 👩‍🚀\n";
        let mut out = Vec::new();
        write(&mut out, &serde_json::json!({ "t": [text] })).unwrap();
        let written = String::from_utf8(out).unwrap();
        assert!(!written.chars().any(is_hostile), "{written}");
        let back: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert_eq!(back["t"][0], text);
        assert!(written.contains("日本 👩‍🚀"));
    }
}
