//! JSON as the contract needs it: nothing rounded, nothing merged silently, and a place for every complaint.
//!
//! This is the tree for unusual events (extra members, odd spellings); the usual ones never build it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::limits::JSON_DEPTH_MAX;

/// A JSON value; objects keep their members sorted as RFC 8785 wants them.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number in its canonical spelling.
    Number(Cow<'a, str>),
    /// A string, unescaped.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object.
    Object(Object<'a>),
}

/// Members sorted by UTF-16 code units of their names, each name once.
pub type Object<'a> = Vec<(Cow<'a, str>, Json<'a>)>;

/// Why a record is no event: the reason its quarantined row gives.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {message}")]
pub struct DecodeError {
    /// Path of the value, such as `data.room.name`.
    pub place: String,
    /// What is wrong there.
    pub message: String,
}

impl DecodeError {
    pub(crate) fn new(place: &str, message: impl Into<String>) -> Self {
        let place = if place.is_empty() {
            "event".to_owned()
        } else {
            place.to_owned()
        };
        Self {
            place,
            message: message.into(),
        }
    }
}

impl<'a> Json<'a> {
    /// Reads one JSON text.
    ///
    /// # Errors
    /// It is not JSON, has a member twice, a lone surrogate, a number beyond double range, or is nested deeper than [`JSON_DEPTH_MAX`].
    pub fn parse(text: &'a str) -> Result<Self, DecodeError> {
        let raw: &RawValue =
            serde_json::from_str(text).map_err(|e| DecodeError::new("", e.to_string()))?;
        value(raw.get(), &Place::Root, 0)
    }

    /// Whether this is `null` or an empty string, array or object: what normalisation leaves out of known members.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        match self {
            Json::Null => true,
            Json::Bool(_) | Json::Number(_) => false,
            Json::String(s) => s.is_empty(),
            Json::Array(a) => a.is_empty(),
            Json::Object(o) => o.is_empty(),
        }
    }

    /// The member of an object.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json<'a>> {
        match self {
            Json::Object(members) => members.iter().find(|(n, _)| n == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(s) => Some(s),
            _ => None,
        }
    }

    /// The JSON word for this kind of value.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "a boolean",
            Json::Number(_) => "a number",
            Json::String(_) => "a string",
            Json::Array(_) => "an array",
            Json::Object(_) => "an object",
        }
    }
}

/// The order of RFC 8785: by UTF-16 code units.
pub(crate) fn member_order(a: &str, b: &str) -> std::cmp::Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

pub(crate) fn join(place: &str, name: &str) -> String {
    if place.is_empty() {
        name.to_owned()
    } else {
        format!("{place}.{name}")
    }
}

/// Where a value is. Spelt out only for a complaint: a record may have a million values under a name of a megabyte.
enum Place<'p> {
    Root,
    Member(&'p Place<'p>, &'p str),
    Element(&'p Place<'p>, usize),
}

/// Characters of a member's name that a complaint repeats.
const NAME_CHARS_SHOWN: usize = 64;

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Root => Ok(()),
            Place::Member(Place::Root, name) => write!(f, "{name:.NAME_CHARS_SHOWN$}"),
            Place::Member(parent, name) => write!(f, "{parent}.{name:.NAME_CHARS_SHOWN$}"),
            Place::Element(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

fn complaint(place: &Place<'_>, message: impl Into<String>) -> DecodeError {
    DecodeError::new(&place.to_string(), message)
}

fn value<'a>(raw: &'a str, place: &Place<'_>, depth: usize) -> Result<Json<'a>, DecodeError> {
    if depth > JSON_DEPTH_MAX {
        return Err(complaint(
            place,
            format!("nested deeper than {JSON_DEPTH_MAX} levels"),
        ));
    }
    let fail = |e: serde_json::Error| complaint(place, e.to_string());
    Ok(match raw.as_bytes().first() {
        Some(b'{') => Json::Object(object(
            serde_json::from_str::<RawMembers<'a>>(raw).map_err(fail)?.0,
            place,
            depth,
        )?),
        Some(b'[') => Json::Array(array(
            &serde_json::from_str::<Vec<&'a RawValue>>(raw).map_err(fail)?,
            place,
            depth,
        )?),
        Some(b'"') => Json::String(serde_json::from_str::<Str<'a>>(raw).map_err(fail)?.0),
        Some(b't') => Json::Bool(true),
        Some(b'f') => Json::Bool(false),
        Some(b'n') => Json::Null,
        _ => Json::Number(number(raw).ok_or_else(|| {
            complaint(
                place,
                format!("number {raw:.NAME_CHARS_SHOWN$} is out of range"),
            )
        })?),
    })
}

fn object<'a>(
    raw: Vec<(Cow<'a, str>, &'a RawValue)>,
    place: &Place<'_>,
    depth: usize,
) -> Result<Object<'a>, DecodeError> {
    let mut members = Vec::with_capacity(raw.len());
    for (name, raw) in raw {
        let inside = value(raw.get(), &Place::Member(place, &name), depth + 1)?;
        members.push((name, inside));
    }
    members.sort_by(|(a, _), (b, _)| member_order(a, b));
    match members.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(complaint(
            &Place::Member(place, &pair[0].0),
            "member appears twice",
        )),
        None => Ok(members),
    }
}

fn array<'a>(
    raw: &[&'a RawValue],
    place: &Place<'_>,
    depth: usize,
) -> Result<Vec<Json<'a>>, DecodeError> {
    let elements = raw.iter().enumerate();
    elements
        .map(|(i, raw)| value(raw.get(), &Place::Element(place, i), depth + 1))
        .collect()
}

/// Canonical spelling of a number: as ECMAScript prints the double, or the literal itself where a double would lose digits
/// (integers beyond 2^53 above all). `None` beyond the range of doubles.
fn number(literal: &str) -> Option<Cow<'_, str>> {
    let double: f64 = literal.parse().ok().filter(|d: &f64| d.is_finite())?;
    let mut buffer = ryu_js::Buffer::new();
    let printed = buffer.format_finite(double);
    if printed == literal {
        return Some(Cow::Borrowed(literal));
    }
    if significand(printed) == significand(literal) {
        Some(Cow::Owned(printed.to_owned()))
    } else {
        Some(Cow::Borrowed(literal))
    }
}

/// Sign, significant digits and decimal exponent: equal for two spellings of the same decimal number.
fn significand(literal: &str) -> (bool, String, i64) {
    let (negative, rest) = literal
        .strip_prefix('-')
        .map_or((false, literal), |r| (true, r));
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let trimmed = digits.trim_end_matches('0');
    let dropped = i64::try_from(digits.len() - trimmed.len()).unwrap_or(i64::MAX);
    let significant = trimmed.trim_start_matches('0');
    if significant.is_empty() {
        return (false, String::new(), 0);
    }
    let places = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    let power = exponent
        .parse::<i64>()
        .unwrap_or(i64::MAX)
        .saturating_sub(places)
        .saturating_add(dropped);
    (negative, significant.to_owned(), power)
}

/// A string that borrows from the input wherever it has no escapes.
#[derive(Debug, Default)]
pub(crate) struct Str<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StrVisitor;
        impl<'de> Visitor<'de> for StrVisitor {
            type Value = Str<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: de::Error>(self, v: &'de str) -> Result<Str<'de>, E> {
                Ok(Str(Cow::Borrowed(v)))
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Str<'de>, E> {
                Ok(Str(Cow::Owned(v.to_owned())))
            }
            fn visit_string<E: de::Error>(self, v: String) -> Result<Str<'de>, E> {
                Ok(Str(Cow::Owned(v)))
            }
        }
        deserializer.deserialize_str(StrVisitor)
    }
}

/// Members in input order, doubles included: serde's maps would keep only the last of two.
struct RawMembers<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for RawMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = RawMembers<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawMembers<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((name, raw)) = map.next_entry::<Str<'de>, &'de RawValue>()? {
                    members.push((name.0, raw));
                }
                Ok(RawMembers(members))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<RawMembers<'de>, A::Error> {
                Err(de::Error::custom("expected an object"))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_what_a_double_would_lose() {
        for (literal, canonical) in [
            ("1", "1"),
            ("-0", "0"),
            ("1.0", "1"),
            ("1e2", "100"),
            ("0.10", "0.1"),
            ("1E400", "out"),
            ("9007199254740993", "9007199254740993"),
            ("0.1234567890123456789", "0.1234567890123456789"),
            ("1e21", "1e+21"),
        ] {
            assert_eq!(
                number(literal).as_deref().unwrap_or("out"),
                canonical,
                "{literal}"
            );
        }
    }

    #[test]
    fn complaints_have_a_place() {
        let complaint = |text: &str| Json::parse(text).unwrap_err().to_string();
        assert_eq!(
            complaint(r#"{"a":{"b":[1,{"c":1,"c":2}]}}"#),
            "a.b[1].c: member appears twice"
        );
        assert!(complaint(r#"{"a":"\ud800"}"#).starts_with("a: "));
        assert!(
            complaint(&format!("{}1{}", "[".repeat(70), "]".repeat(70)))
                .contains("nested deeper than 64")
        );
        assert!(complaint("{").starts_with("event: "));
    }
}
