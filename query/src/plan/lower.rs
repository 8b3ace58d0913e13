//! The syntax tree to what it means.

use super::text::{TextError, pattern};
use super::{KeywordField, KeywordTest, Near, Operand, Pattern, Plan, TextField, TimeColumn};
use crate::analyzer::{Diacritics, fold_keyword};
use crate::ast::{Comparison, Expr, Size, Test, Text};
use crate::property::Property;
use crate::time::TimeSpan;

/// A tree without a meaning. What `parse` returns has one, unless it asks for participants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LowerError {
    /// A `participants` node is still there.
    #[error(
        "`{0}` was not expanded: who could see an event is told by memberships, not by the event itself; expand the query over a snapshot first"
    )]
    Unexpanded(String),
    /// A word or phrase cannot be searched for.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A property is asked what it cannot be asked.
    #[error("`{0}` asks of a property what it cannot be asked")]
    Misplaced(String),
    /// NEAR stands between other things than words and phrases.
    #[error("`{0}`: NEAR stands between words, phrases, or alternatives of them")]
    NearOperand(String),
}

/// What `expr` means. With `exact_diacritics`, every word must also occur with the diacritics it is written with.
///
/// # Errors
/// See [`LowerError`].
pub fn lower(expr: &Expr, exact_diacritics: bool) -> Result<Plan, LowerError> {
    let each = |children: &[Expr]| {
        children
            .iter()
            .map(|c| lower(c, exact_diacritics))
            .collect::<Result<_, _>>()
    };
    Ok(match expr {
        Expr::And { children, .. } => Plan::All(each(children)?),
        Expr::Or { children, .. } => Plan::Any(each(children)?),
        Expr::Not { child, .. } => Plan::Not(Box::new(lower(child, exact_diacritics)?)),
        Expr::Text { text, .. } => Plan::Text {
            fields: TextField::FREE.to_vec(),
            operand: operand(text, exact_diacritics)?,
        },
        Expr::Near {
            left,
            right,
            distance,
            ordered,
            ..
        } => Plan::Near(Near {
            fields: TextField::FREE.to_vec(),
            left: near_operands(left, exact_diacritics)?,
            right: near_operands(right, exact_diacritics)?,
            distance: *distance,
            ordered: *ordered,
        }),
        Expr::Property { property, test, .. } => {
            let misplaced = || LowerError::Misplaced(expr.to_string());
            lower_property(*property, test, exact_diacritics)?.ok_or_else(misplaced)?
        }
    })
}

fn operand(text: &Text, exact_diacritics: bool) -> Result<Operand, TextError> {
    let exact = exact_diacritics
        .then(|| pattern(text, Diacritics::Kept))
        .transpose()?;
    Ok(Operand {
        pattern: pattern(text, Diacritics::Dropped)?,
        exact,
    })
}

fn near_operands(expr: &Expr, exact_diacritics: bool) -> Result<Vec<Operand>, LowerError> {
    match expr {
        Expr::Text { text, .. } => Ok(vec![operand(text, exact_diacritics)?]),
        Expr::Or { children, .. } if !children.is_empty() => {
            let each = children
                .iter()
                .map(|child| near_operands(child, exact_diacritics));
            Ok(each.collect::<Result<Vec<_>, _>>()?.concat())
        }
        other => Err(LowerError::NearOperand(other.to_string())),
    }
}

/// `None` when the property cannot be asked this.
fn lower_property(
    property: Property,
    test: &Test,
    exact_diacritics: bool,
) -> Result<Option<Plan>, LowerError> {
    use KeywordField as K;
    let whole = |fields: &[K]| Ok(keyword(fields, test));
    match property {
        Property::Participants => Err(LowerError::Unexpanded(format!("{}{test}", property.name()))),
        Property::From => person(test, exact_diacritics),
        Property::Room => whole(&[K::RoomId, K::RoomName]),
        Property::Category => whole(&[K::Category]),
        Property::Type => whole(&[K::EventType]),
        Property::Kind => whole(&[K::MessageKind]),
        Property::Reaction => whole(&[K::Reaction]),
        Property::ActorKind => whole(&[K::ActorKind]),
        Property::Target => whole(&[K::TargetId]),
        Property::Message => whole(&[K::MessageId]),
        Property::ReplyTo => whole(&[K::ReplyTo]),
        Property::Id => whole(&[K::EventId]),
        Property::Origin => whole(&[K::Origin]),
        Property::Title => text_field(TextField::Title, test, exact_diacritics),
        Property::Body => text_field(TextField::Body, test, exact_diacritics),
        Property::Filename => text_field(TextField::AttachmentName, test, exact_diacritics),
        Property::Date => Ok(time(TimeColumn::Event, test)),
        Property::Received => Ok(time(TimeColumn::Ingest, test)),
        Property::Size => Ok(size(test)),
        Property::HasAttachment => Ok(match test {
            Test::Flag(wanted) => Some(Plan::HasAttachment(*wanted)),
            _ => None,
        }),
    }
}

fn keyword(fields: &[KeywordField], test: &Test) -> Option<Plan> {
    let test = match test {
        Test::Value {
            value,
            prefix: true,
        } => KeywordTest::Prefix(fold_keyword(value).into_owned()),
        Test::Value {
            value,
            prefix: false,
        }
        | Test::Equals(value) => KeywordTest::Equals(fold_keyword(value).into_owned()),
        _ => return None,
    };
    Some(Plan::Keyword {
        fields: fields.to_vec(),
        test,
    })
}

fn person(test: &Test, exact_diacritics: bool) -> Result<Option<Plan>, LowerError> {
    let ids = [
        KeywordField::ActorId,
        KeywordField::ActorUri,
        KeywordField::ActorEmail,
    ];
    let Some(id) = keyword(&ids, test) else {
        return Ok(None);
    };
    let name = match test {
        Test::Equals(value) => whole_value(TextField::ActorName, value)?,
        Test::Value { value, prefix } => {
            let text = Text::Phrase {
                text: value.clone(),
                prefix: *prefix,
            };
            match operand(&text, exact_diacritics) {
                Ok(operand) => Plan::Text {
                    fields: vec![TextField::ActorName],
                    operand,
                },
                Err(TextError::NoTerm(_)) => return Ok(Some(id)),
                Err(error) => return Err(error.into()),
            }
        }
        _ => return Ok(None),
    };
    Ok(Some(Plan::Any(vec![id, name])))
}

fn text_field(
    field: TextField,
    test: &Test,
    exact_diacritics: bool,
) -> Result<Option<Plan>, LowerError> {
    Ok(match test {
        Test::Text(text) => Some(Plan::Text {
            fields: vec![field],
            operand: operand(text, exact_diacritics)?,
        }),
        Test::Equals(value) => Some(whole_value(field, value)?),
        _ => None,
    })
}

fn whole_value(field: TextField, value: &str) -> Result<Plan, LowerError> {
    let phrase = Text::Phrase {
        text: value.to_owned(),
        prefix: false,
    };
    let within: Option<Pattern> = match pattern(&phrase, Diacritics::Dropped) {
        Ok(pattern) => Some(pattern),
        Err(TextError::NoTerm(_)) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(Plan::Whole {
        fields: vec![field],
        value: fold_keyword(value).into_owned(),
        within,
    })
}

fn time(column: TimeColumn, test: &Test) -> Option<Plan> {
    let bounds = |from: Option<&TimeSpan>, to: Option<i64>| Plan::Time {
        column,
        from_us: from.map(|f| f.from_us),
        to_us: to,
    };
    Some(match test {
        Test::Time { comparison, bound } => match comparison {
            Comparison::Is => bounds(Some(bound), Some(bound.to_us)),
            Comparison::Less => bounds(None, Some(bound.from_us)),
            Comparison::LessOrEqual => bounds(None, Some(bound.to_us)),
            Comparison::GreaterOrEqual => bounds(Some(bound), None),
            Comparison::Greater => Plan::Time {
                column,
                from_us: Some(bound.to_us),
                to_us: None,
            },
        },
        Test::TimeBetween { from, to } => bounds(Some(from), Some(to.to_us)),
        _ => return None,
    })
}

fn size(test: &Test) -> Option<Plan> {
    let between = |from_bytes, to_bytes| Plan::Size {
        from_bytes,
        to_bytes,
    };
    let above = |size: &Size| size.bytes.checked_add(1);
    Some(match test {
        Test::Size { comparison, bound } => match comparison {
            Comparison::Is => between(Some(bound.bytes), Some(bound.bytes)),
            Comparison::Less => between(None, Some(bound.bytes - 1)),
            Comparison::LessOrEqual => between(None, Some(bound.bytes)),
            Comparison::GreaterOrEqual => between(Some(bound.bytes), None),
            Comparison::Greater => {
                above(bound).map_or(Plan::Any(Vec::new()), |from| between(Some(from), None))
            }
        },
        Test::SizeBetween { from, to } => between(Some(from.bytes), Some(to.bytes)),
        _ => return None,
    })
}
