//! `Range` of downloads (RFC 9110, section 14): one range of bytes.

use crate::error::{ChatError, Result};

/// What a `Range` header asks of a file of `size` bytes: first byte and the one after the last. `None`: the whole file, as for every header that
/// is not understood (several ranges among them), which the standard allows.
///
/// # Errors
/// A range that no byte of the file is in: answered 416.
pub fn parse_range(header: Option<&str>, size: u64) -> Result<Option<(u64, u64)>> {
    let Some(spec) = header.and_then(|value| value.trim().strip_prefix("bytes=")) else {
        return Ok(None);
    };
    let Some((first, last)) = spec.split_once('-') else {
        return Ok(None);
    };
    if spec.contains(',') {
        return Ok(None);
    }
    let unsatisfiable = || ChatError::invalid("range", format!("the file has {size} bytes"));
    match (first.trim().parse::<u64>(), last.trim()) {
        (Ok(first), "") if first < size => Ok(Some((first, size))),
        (Ok(_beyond), "") => Err(unsatisfiable()),
        (Ok(first), last) => match last.parse::<u64>() {
            Ok(last) if last < first => Ok(None),
            Ok(_) if first >= size => Err(unsatisfiable()),
            Ok(last) => Ok(Some((first, last.saturating_add(1).min(size)))),
            Err(_not_a_number) => Ok(None),
        },
        (Err(_empty), last) if first.trim().is_empty() => match last.parse::<u64>() {
            Ok(0) => Err(unsatisfiable()),
            Ok(count) if size > 0 => Ok(Some((size.saturating_sub(count), size))),
            Ok(_of_nothing) => Err(unsatisfiable()),
            Err(_not_a_number) => Ok(None),
        },
        (Err(_not_a_number), _) => Ok(None),
    }
}

/// Whether `If-Range` lets a `Range` count: when there is none, or it names this very entity. Otherwise the client has a part of something else and
/// needs the whole. No dates are given out here, and a weak tag promises no equal bytes: neither matches.
#[must_use]
pub fn range_counts(if_range: Option<&str>, etag: &str) -> bool {
    if_range.is_none_or(|value| value.trim() == etag)
}

#[cfg(test)]
mod tests {
    use super::{parse_range, range_counts};

    #[test]
    fn one_range_of_bytes() {
        let ranged = |header| parse_range(Some(header), 100);
        assert_eq!(parse_range(None, 100).unwrap(), None);
        for (header, range) in [
            ("bytes=0-9", Some((0, 10))),
            ("bytes=90-", Some((90, 100))),
            ("bytes=90-500", Some((90, 100))),
            ("bytes=-10", Some((90, 100))),
            ("bytes=-500", Some((0, 100))),
            ("bytes=5-4", None),
            ("bytes=0-1,5-6", None),
            ("lines=0-1", None),
            ("bytes=x-y", None),
            ("bytes=0-18446744073709551615", Some((0, 100))),
        ] {
            assert_eq!(ranged(header).unwrap(), range, "{header}");
        }
        for header in ["bytes=100-", "bytes=100-200", "bytes=-0"] {
            assert!(ranged(header).is_err(), "{header}");
        }
        assert!(parse_range(Some("bytes=-5"), 0).is_err());
    }

    #[test]
    fn a_range_of_another_entity_does_not_count() {
        let counts = |value| range_counts(value, "\"abc\"");
        assert!(counts(None) && counts(Some("\"abc\"")));
        for other in [
            "\"abd\"",
            "W/\"abc\"",
            "abc",
            "*",
            "",
            "Fri, 27 Nov 2026 10:00:00 GMT",
        ] {
            assert!(!counts(Some(other)), "{other}");
        }
    }
}
