//! `property`, operator and value to a leaf.

use super::Problem;
use super::lexer::Lexer;
use crate::ast::{Comparison, Expr, Size, Span, Test, Text};
use crate::plan;
use crate::property::{Property, PropertyKind};
use crate::time::TimeSpan;

/// A value as written.
struct Written {
    text: String,
    quoted: bool,
    /// A `*` followed the closing quote.
    star: bool,
    span: Span,
}

/// Reads from the beginning of the property's name.
pub(super) fn property(
    lexer: &mut Lexer<'_>,
    from: usize,
    name: &str,
    operator: &str,
) -> Result<Expr, Problem> {
    lexer.at += name.len();
    let name_span = lexer.since(from);
    let property = Property::named(name).ok_or_else(|| unknown(name, operator, name_span))?;
    let operator_at = lexer.at;
    lexer.at += operator.len();
    let operator_span = lexer.since(operator_at);
    let value = written(lexer, property)?;
    let test = match operator {
        "：" => Err(Problem::new(
            operator_span,
            "this colon is full-width",
            format!(
                "write {property_name}:value with an ASCII colon",
                property_name = property.name()
            ),
        )),
        "<>" => Err(Problem::new(
            operator_span,
            "`<>` is no operator here",
            format!("write NOT {}:value", property.name()),
        )),
        ":" => matches_value(lexer, property, &value),
        "=" => equals_value(lexer, property, &value),
        other => compared(lexer, property, other, operator_span, &value),
    }?;
    Ok(Expr::Property {
        property,
        test,
        span: lexer.since(from),
    })
}

fn unknown(name: &str, operator: &str, span: Span) -> Problem {
    let message = format!("unknown property `{name}`");
    let quote = format!("if the text itself is meant, quote it: \"{name}{operator}…\"");
    let hint = match Property::nearest(name) {
        Some(known) => format!("did you mean `{known}`? {quote}"),
        None => {
            let names: Vec<&str> = Property::all().map(Property::name).collect();
            format!("properties are {}; {quote}", names.join(", "))
        }
    };
    Problem::new(span, message, hint)
}

fn written(lexer: &mut Lexer<'_>, property: Property) -> Result<Written, Problem> {
    let from = lexer.at;
    let name = property.name();
    let quote = |c: char| matches!(c, '"' | '“' | '”' | '„' | '‟');
    let (text, quoted, star) = if lexer.first().is_some_and(quote) {
        let text = lexer.quoted()?;
        (text, true, lexer.star())
    } else {
        let rest = lexer.rest();
        let end = rest
            .find(|c: char| c.is_whitespace() || matches!(c, '(' | ')') || quote(c))
            .unwrap_or(rest.len());
        lexer.at += end;
        (rest[..end].to_owned(), false, false)
    };
    let span = if lexer.at > from {
        lexer.since(from)
    } else {
        Span {
            from: from.saturating_sub(1),
            to: from,
        }
    };
    if text.is_empty() {
        let hint = format!("write the value right behind it, without a blank: {name}:value");
        return Err(Problem::new(span, format!("`{name}` has no value"), hint));
    }
    if lexer
        .first()
        .is_some_and(|c| !c.is_whitespace() && c != ')')
    {
        let at = Span {
            from: lexer.at,
            to: lexer.at + lexer.first().map_or(0, char::len_utf8),
        };
        let hint = format!(
            "quote a value that holds blanks, parentheses or quotes: {name}:\"a (b)\"; within quotes, double a quote"
        );
        return Err(Problem::new(at, "a blank must follow the value", hint));
    }
    Ok(Written {
        text,
        quoted,
        star,
        span,
    })
}

/// `property:value`.
fn matches_value(lexer: &Lexer<'_>, property: Property, value: &Written) -> Result<Test, Problem> {
    match property.kind() {
        PropertyKind::Text => text(value).map(Test::Text),
        PropertyKind::Person | PropertyKind::Whole => whole(property, value),
        PropertyKind::Flag => flag(property, value),
        PropertyKind::Time => match range(value) {
            Some((a, b)) => {
                let (from, to) = (time(lexer, a, value)?, time(lexer, b, value)?);
                if from.from_us >= to.to_us {
                    return Err(backwards(value));
                }
                Ok(Test::TimeBetween { from, to })
            }
            None => Ok(Test::Time {
                comparison: Comparison::Is,
                bound: time(lexer, &value.text, value)?,
            }),
        },
        PropertyKind::Size => match range(value) {
            Some((a, b)) => {
                let (from, to) = (size(a, value)?, size(b, value)?);
                if from.bytes > to.bytes {
                    return Err(backwards(value));
                }
                Ok(Test::SizeBetween { from, to })
            }
            None => Ok(Test::Size {
                comparison: Comparison::Is,
                bound: size(&value.text, value)?,
            }),
        },
    }
}

/// `property=value`.
fn equals_value(lexer: &Lexer<'_>, property: Property, value: &Written) -> Result<Test, Problem> {
    match property.kind() {
        PropertyKind::Time | PropertyKind::Size | PropertyKind::Flag => {
            matches_value(lexer, property, value)
        }
        PropertyKind::Text | PropertyKind::Person | PropertyKind::Whole => {
            if value.star || (!value.quoted && value.text.contains(['*', '?'])) {
                let hint = format!(
                    "write {}:value* for a beginning, or quote the value if `*` or `?` belongs to it",
                    property.name()
                );
                return Err(Problem::new(
                    value.span,
                    "`=` compares the whole value and takes no wildcard",
                    hint,
                ));
            }
            Ok(Test::Equals(value.text.clone()))
        }
    }
}

fn compared(
    lexer: &Lexer<'_>,
    property: Property,
    operator: &str,
    at: Span,
    value: &Written,
) -> Result<Test, Problem> {
    let comparison = match operator {
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        ">" => Comparison::Greater,
        _ => Comparison::GreaterOrEqual,
    };
    match property.kind() {
        PropertyKind::Time => Ok(Test::Time {
            comparison,
            bound: time(lexer, &value.text, value)?,
        }),
        PropertyKind::Size => Ok(Test::Size {
            comparison,
            bound: size(&value.text, value)?,
        }),
        _ => {
            let name = property.name();
            let hint = format!(
                "write {name}:value or {name}=value; date, received and size can be compared"
            );
            Err(Problem::new(at, format!("`{name}` has no order"), hint))
        }
    }
}

fn text(value: &Written) -> Result<Text, Problem> {
    let text = match value.quoted {
        true => Text::Phrase {
            text: value.text.clone(),
            prefix: value.star,
        },
        false => Text::Word(value.text.clone()),
    };
    plan::check(&text).map_err(|e| Problem::new(value.span, e.to_string(), e.hint()))?;
    Ok(text)
}

fn whole(property: Property, value: &Written) -> Result<Test, Problem> {
    if value.quoted {
        return Ok(Test::Value {
            value: value.text.clone(),
            prefix: value.star,
        });
    }
    let (text, prefix) = match value.text.strip_suffix('*') {
        Some(text) => (text, true),
        None => (value.text.as_str(), false),
    };
    if text.is_empty() || text.contains(['*', '?']) {
        let name = property.name();
        let hint = format!(
            "`*` stands at the end of a value: {name}:abc*; quote the value if `*` or `?` belongs to it"
        );
        return Err(Problem::new(
            value.span,
            format!("`{name}` takes no other wildcard than a `*` at the end"),
            hint,
        ));
    }
    Ok(Test::Value {
        value: text.to_owned(),
        prefix,
    })
}

fn flag(property: Property, value: &Written) -> Result<Test, Problem> {
    match value.text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(Test::Flag(true)),
        "false" | "no" | "0" => Ok(Test::Flag(false)),
        _ => {
            let name = property.name();
            let message = format!("`{name}` is true or false");
            Err(Problem::new(
                value.span,
                message,
                format!("write {name}:true or {name}:false"),
            ))
        }
    }
}

fn range(value: &Written) -> Option<(&str, &str)> {
    value.text.split_once("..")
}

fn backwards(value: &Written) -> Problem {
    Problem::new(
        value.span,
        "this range ends before it begins",
        "write the earlier or smaller end first",
    )
}

fn time(lexer: &Lexer<'_>, text: &str, value: &Written) -> Result<TimeSpan, Problem> {
    let hint = "for example date:2026-11-20, date>=2026-11-20T05:10Z, date:2026-01..2026-03";
    TimeSpan::parse(text, &lexer.options.tz, lexer.options.now)
        .map_err(|m| Problem::new(value.span, m, hint))
}

fn size(text: &str, value: &Written) -> Result<Size, Problem> {
    parse_size(text).ok_or_else(|| {
        let message = format!("`{text}` is no size");
        Problem::new(
            value.span,
            message,
            "for example size>1MB, size:10KB..2MB, size<4096; KB is 1,000 bytes, KiB 1,024",
        )
    })
}

/// A number of bytes: digits, a decimal fraction at most where a unit follows, and B, KB, MB, GB, TB (thousands) or KiB,
/// MiB, GiB, TiB (1,024) in any case. A fraction of a byte is cut off.
#[must_use]
pub fn parse_size(text: &str) -> Option<Size> {
    let unit_at = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let scale: i64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole)
        || !digits(fraction)
        || fraction.len() > 6
        || (scale == 1 && number.contains('.'))
    {
        return None;
    }
    let whole = whole.parse::<i64>().ok()?.checked_mul(scale)?;
    let tenth = 10_i64.pow(u32::try_from(fraction.len()).ok()?);
    // At most 999,999 units of a tebibyte: far below i64.
    let fraction = fraction.parse::<i64>().ok()? * scale / tenth;
    Some(Size {
        text: text.to_owned(),
        bytes: whole.checked_add(fraction)?,
    })
}
