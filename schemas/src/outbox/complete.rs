//! An event is stored before it has its place: `origin` and `sequence` come later, from the sequencer, in columns of their own.

use std::io::Write;

/// What is stored is no JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored event is no JSON object")]
pub struct IncompleteEvent;

/// The whole event: the stored text with `origin` and `sequence` as its last members. The same bytes each time, wherever it is done.
///
/// # Errors
/// The stored text is no JSON object, or an empty one.
pub fn complete(stored: &str, origin: &str, sequence: u64) -> Result<Vec<u8>, IncompleteEvent> {
    let mut out = Vec::with_capacity(stored.len() + origin.len() + 56);
    complete_into(stored, origin, sequence, &mut out)?;
    Ok(out)
}

/// [`complete`], appended to `out`.
///
/// # Errors
/// As [`complete`]; `out` is as it was.
pub fn complete_into(
    stored: &str,
    origin: &str,
    sequence: u64,
    out: &mut Vec<u8>,
) -> Result<(), IncompleteEvent> {
    let open = stored
        .trim_end()
        .strip_suffix('}')
        .ok_or(IncompleteEvent)?
        .trim_end();
    if !open.starts_with('{') || open.len() < 2 {
        return Err(IncompleteEvent);
    }
    let origin = serde_json::to_string(origin).map_err(|_never| IncompleteEvent)?;
    out.extend_from_slice(open.as_bytes());
    // Writing to a Vec cannot fail.
    let _infallible = write!(
        out,
        ",\"origin\":{origin},\"sequence\":\"{sequence:020}\"}}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_and_sequence_become_the_last_members() {
        let bytes = complete(r#"{"id":"x"}"#, "main.1", 123).unwrap();
        assert_eq!(
            bytes,
            br#"{"id":"x","origin":"main.1","sequence":"00000000000000000123"}"#
        );
        assert!(complete("{}", "main.1", 1).is_err());
        assert!(complete("[1]", "main.1", 1).is_err());
        assert!(complete("", "main.1", 1).is_err());
    }

    #[test]
    fn a_completed_example_decodes_with_its_place() {
        let path = "json/examples/chat.message.posted.json";
        let mut event: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        event.as_object_mut().unwrap().remove("origin");
        event.as_object_mut().unwrap().remove("sequence");
        let bytes = complete(&event.to_string(), "pool \"a\".2", u64::from(u32::MAX) + 7).unwrap();
        let decoded = crate::decode::decode(&bytes).unwrap();
        assert_eq!(
            (decoded.origin.as_ref(), decoded.sequence),
            ("pool \"a\".2", u64::from(u32::MAX) + 7)
        );
    }
}
