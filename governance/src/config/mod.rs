//! Settings of the archive: a table of keys, types, defaults and help. Changing one is an act.

use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::actor::Role;
use holdfast_schemas::ledger::config::ConfigSet;

use crate::ledger::{Judged, Refusal, State};

const DAY_S: u64 = 86_400;

/// What a setting's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A span of fixed length: `0d`, `90m`, `30d`, `2w`.
    Span {
        /// The longest that makes sense, seconds.
        max_s: u64,
    },
    /// A part of the whole: `1%`, `0.5%`.
    Share,
}

/// A setting's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// `governance.four_eyes`
    FourEyes,
    /// `retention.ingest_grace`
    IngestGrace,
    /// `retention.grace`
    Grace,
    /// `retention.max_share`
    MaxShare,
    /// `hold.release_grace`
    ReleaseGrace,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Which.
    pub key: Key,
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its default, in the canonical spelling.
    pub default: &'static str,
    /// What it does, for people.
    pub help: &'static str,
}

/// Every setting, by name.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: Key::FourEyes,
        name: "governance.four_eyes",
        kind: Kind::Flag,
        default: "false",
        help: "releases, policy changes, runs, purges and erasures need `approve` by another key than the requester's",
    },
    Setting {
        key: Key::ReleaseGrace,
        name: "hold.release_grace",
        kind: Kind::Span {
            max_s: 3650 * DAY_S,
        },
        default: "30d",
        help: "how long a released hold still holds, unless its release says otherwise",
    },
    Setting {
        key: Key::Grace,
        name: "retention.grace",
        kind: Kind::Span { max_s: 7 * DAY_S },
        default: "7d",
        help: "how long disposed events can be restored before they are purged",
    },
    Setting {
        key: Key::IngestGrace,
        name: "retention.ingest_grace",
        kind: Kind::Span {
            max_s: 3650 * DAY_S,
        },
        default: "30d",
        help: "nothing is disposed of within this time of its ingest, whatever its own date says",
    },
    Setting {
        key: Key::MaxShare,
        name: "retention.max_share",
        kind: Kind::Share,
        default: "1%",
        help: "the part of all events that a scheduled run may remove without an approval of its own",
    },
];

/// The row of a name.
///
/// # Errors
/// There is no such setting; the nearest name is the hint.
pub fn setting(name: &str) -> Result<&'static Setting, Refusal> {
    SETTINGS.iter().find(|s| s.name == name).ok_or_else(|| {
        let names: Vec<_> = SETTINGS.iter().map(|s| format!("`{}`", s.name)).collect();
        Refusal::because(
            format!("there is no setting `{}`", name.escape_debug()),
            format!("the settings are {}", names.join(", ")),
        )
    })
}

/// A setting's value in this state, in its canonical spelling: the default when it was never set.
#[must_use]
pub fn value<'s>(state: &'s State, setting: &Setting) -> &'s str {
    state
        .config
        .get(setting.name)
        .map_or(setting.default, String::as_str)
}

/// Whether four eyes are set.
#[must_use]
pub fn four_eyes(state: &State) -> bool {
    of(state, Key::FourEyes) == "true"
}

/// Seconds of a setting that is a span.
#[must_use]
pub fn span_s(state: &State, key: Key) -> u64 {
    parse_span(of(state, key)).unwrap_or_default()
}

/// Parts of a million of a setting that is a share.
#[must_use]
pub fn share_ppm(state: &State, key: Key) -> u32 {
    parse_share(of(state, key)).unwrap_or_default()
}

fn of(state: &State, key: Key) -> &str {
    SETTINGS
        .iter()
        .find(|setting| setting.key == key)
        .map_or("", |setting| value(state, setting))
}

/// Judges `config set`.
///
/// # Errors
/// There is no such setting, the value is none of its type, or four eyes would have only one pair.
pub fn judge_set(state: &State, name: &str, text: &str) -> Result<Judged, Refusal> {
    let setting = setting(name)?;
    let canonical = canonical(setting, text)?;
    if setting.key == Key::FourEyes && canonical == "true" {
        two_pairs(state)?;
    }
    Ok(Judged::Write(Act::ConfigSet(ConfigSet {
        key: setting.name.to_owned(),
        value: canonical,
    })))
}

/// Four eyes take an approver, and somebody else who asks.
fn two_pairs(state: &State) -> Result<(), Refusal> {
    let active = || state.actors.iter().filter(|(_, a)| a.disabled.is_none());
    let enough = active().any(|(approver, a)| {
        a.roles.contains(&Role::Approver)
            && active().any(|(other, o)| {
                other != approver && o.key != a.key && o.roles.contains(&Role::Records)
            })
    });
    if enough {
        Ok(())
    } else {
        Err(Refusal::OnePair {
            what: "`governance.four_eyes` cannot be set: there is no approver beside another actor who asks".to_owned(),
        })
    }
}

/// A value in the canonical spelling of its type.
fn canonical(setting: &Setting, text: &str) -> Result<String, Refusal> {
    let wrong = |hint: String| {
        Refusal::because(
            format!(
                "`{}` is no value of `{}`",
                text.escape_debug(),
                setting.name
            ),
            hint,
        )
    };
    match setting.kind {
        Kind::Flag => match text {
            "true" | "false" => Ok(text.to_owned()),
            _ => Err(wrong("give `true` or `false`".to_owned())),
        },
        Kind::Span { max_s } => match parse_span(text) {
            Some(s) if s <= max_s => Ok(text.to_owned()),
            Some(_) => Err(wrong(format!("give at most `{}d`", max_s / DAY_S))),
            None => Err(wrong(
                "give a number and a unit: `12h`, `30d`, `2w`; `0d` for none".to_owned(),
            )),
        },
        Kind::Share => match parse_share(text) {
            Some(_) => Ok(text.to_owned()),
            None => Err(wrong(
                "give a percentage from `0%` to `100%`, such as `0.5%`".to_owned(),
            )),
        },
    }
}

/// Seconds of `90s`, `5m`, `12h`, `30d`, `2w`.
#[must_use]
pub fn parse_span(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => DAY_S,
        "w" => 7 * DAY_S,
        _ => return None,
    };
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// Parts of a million of `1%` or `0.25%`.
#[must_use]
pub fn parse_share(text: &str) -> Option<u32> {
    let number = text.strip_suffix('%')?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 4 {
        return None;
    }
    let ppm = whole.parse::<u32>().ok()?.checked_mul(10_000)?;
    let part: u32 = format!("{part:0<4}").parse().ok()?;
    ppm.checked_add(part).filter(|ppm| *ppm <= 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_of_its_type_and_names_are_in_order() {
        for setting in SETTINGS {
            assert_eq!(
                canonical(setting, setting.default).unwrap(),
                setting.default
            );
            assert!(!setting.help.is_empty());
        }
        assert!(SETTINGS.is_sorted_by_key(|s| s.name));
    }

    #[test]
    fn values_are_checked() {
        let state = State::default();
        for (name, good, bad) in [
            (
                "governance.four_eyes",
                &["false"][..],
                &["yes", "", "TRUE"][..],
            ),
            (
                "retention.grace",
                &["0d", "7d", "36h"],
                &["8d", "7", "-1d", "1y", "d", "99999999999999999999d"],
            ),
            (
                "retention.max_share",
                &["0%", "100%", "0.25%"],
                &["101%", "1", "%", "0.00001%", "1.%"],
            ),
        ] {
            for text in good {
                assert!(judge_set(&state, name, text).is_ok(), "{name} {text}");
            }
            for text in bad {
                let refusal = judge_set(&state, name, text).unwrap_err();
                assert!(refusal.hint().contains("give"), "{name} {text}: {refusal}");
            }
        }
        assert_eq!(parse_share("0.25%"), Some(2500));
        let refusal = judge_set(&state, "retention.graze", "1d").unwrap_err();
        assert!(refusal.hint().contains("`retention.grace`"));
    }

    #[test]
    fn four_eyes_cannot_be_set_for_one_pair() {
        let refusal = judge_set(&State::default(), "governance.four_eyes", "true").unwrap_err();
        assert!(matches!(refusal, Refusal::OnePair { .. }), "{refusal}");
    }
}
