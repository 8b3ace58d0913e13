//! Durations as people type them: `90s`, `5m`, `12h`, `2d`.

use std::time::Duration;

/// Parses a whole number with a unit: `ms`, `s`, `m`, `h`, `d`, `w`.
///
/// # Errors
/// Not of this form; the text says so, for clap to show.
pub fn parse(text: &str) -> Result<Duration, String> {
    let mistake = || {
        format!(
            "`{text}` is no duration; write a number and a unit, like `90s`, `5m`, `12h` or `2d`"
        )
    };
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .ok_or_else(mistake)?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| mistake())?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 604_800_000,
        _ => return Err(mistake()),
    };
    number
        .checked_mul(unit_ms)
        .map(Duration::from_millis)
        .ok_or_else(mistake)
}

/// A span of microseconds in its two largest units: `3d 4h`, `12m 5s`, `0.3s`.
#[must_use]
pub fn people(us: i64) -> String {
    let us = us.max(0);
    let seconds = us / 1_000_000;
    if seconds < 10 {
        return format!("{}.{}s", seconds, us / 100_000 % 10);
    }
    const UNITS: [(&str, i64); 5] = [
        ("y", 31_557_600),
        ("d", 86_400),
        ("h", 3_600),
        ("m", 60),
        ("s", 1),
    ];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, size) in UNITS {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            parts.push(format!("{count}{unit}"));
        }
        if parts.len() == 2 || (!parts.is_empty() && count == 0) {
            break;
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse() {
        assert_eq!(parse("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("12h"), Ok(Duration::from_secs(43_200)));
        assert_eq!(parse("2d"), Ok(Duration::from_secs(172_800)));
        for bad in [
            "",
            "12",
            "h",
            "-1h",
            "1.5h",
            "3 days",
            "99999999999999999999s",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(people(300_000), "0.3s");
        assert_eq!(people(65_000_000), "1m 5s");
        assert_eq!(people(90_000_000_000), "1d 1h");
        assert_eq!(people(86_400_000_000), "1d");
        assert_eq!(people(-5), "0.0s");
    }
}
