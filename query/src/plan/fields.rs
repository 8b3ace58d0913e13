//! Where the values of a row are: the one place that says which text and which ids a field is.

use std::borrow::Cow;

use holdfast_schemas::{Event, columns};

/// Text that is searched by terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TextField {
    /// A story's title.
    Title,
    /// The text.
    Body,
    /// The names of the attachments, one value each.
    AttachmentName,
    /// The actor's name.
    ActorName,
}

/// One value of a text field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextValue<'a> {
    /// Index of the attachment; 0 for fields of one value.
    pub index: usize,
    /// The text.
    pub text: &'a str,
}

impl TextField {
    /// Fields of free words.
    pub const FREE: [TextField; 3] = [TextField::Title, TextField::Body, TextField::AttachmentName];

    /// Every field.
    pub const ALL: [TextField; 4] = [
        TextField::Title,
        TextField::Body,
        TextField::AttachmentName,
        TextField::ActorName,
    ];

    /// Its values, in order.
    pub fn values<'e>(self, event: &'e Event<'_>) -> impl Iterator<Item = TextValue<'e>> {
        let single = match self {
            TextField::Title => event.message.title.as_deref(),
            TextField::Body => event.message.body.as_deref(),
            TextField::ActorName => event.actor.name.as_deref(),
            TextField::AttachmentName => None,
        };
        let attachments = match self {
            TextField::AttachmentName => event.attachments.as_slice(),
            _ => &[],
        };
        let names = attachments.iter().enumerate();
        let names = names.filter_map(|(index, a)| {
            Some(TextValue {
                index,
                text: a.name.as_deref()?,
            })
        });
        single
            .map(|text| TextValue { index: 0, text })
            .into_iter()
            .chain(names)
    }

    /// The value of that index.
    #[must_use]
    pub fn value<'e>(self, event: &'e Event<'_>, index: usize) -> Option<&'e str> {
        match self {
            TextField::Title => event.message.title.as_deref(),
            TextField::Body => event.message.body.as_deref(),
            TextField::ActorName => event.actor.name.as_deref(),
            TextField::AttachmentName => event.attachments.get(index)?.name.as_deref(),
        }
    }
}

/// Values that are compared as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeywordField {
    /// The event id.
    EventId,
    /// The event type.
    EventType,
    /// The origin.
    Origin,
    /// The room's id.
    RoomId,
    /// The room's name.
    RoomName,
    /// The category.
    Category,
    /// The actor's id.
    ActorId,
    /// The actor's URI.
    ActorUri,
    /// The actor's e-mail address.
    ActorEmail,
    /// The actor's kind.
    ActorKind,
    /// Whom the event is about: [`columns::target_id`].
    TargetId,
    /// The message's id.
    MessageId,
    /// The message's kind.
    MessageKind,
    /// The id of the message answered.
    ReplyTo,
    /// The value of a reaction: [`reaction`].
    Reaction,
}

impl KeywordField {
    /// Its value, as it is in the event.
    #[must_use]
    pub fn value<'e>(self, event: &'e Event<'_>) -> Option<Cow<'e, str>> {
        let text = match self {
            KeywordField::EventId => Some(event.id.as_ref()),
            KeywordField::EventType => Some(event.event_type.as_ref()),
            KeywordField::Origin => Some(event.origin.as_ref()),
            KeywordField::RoomId => event.room.id.as_deref(),
            KeywordField::RoomName => event.room.name.as_deref(),
            KeywordField::Category => event.room.category.as_deref(),
            KeywordField::ActorId => event.actor.id.as_deref(),
            KeywordField::ActorUri => event.actor.uri.as_deref(),
            KeywordField::ActorEmail => event.actor.email.as_deref(),
            KeywordField::ActorKind => event.actor.kind.as_deref(),
            KeywordField::MessageId => event.message.id.as_deref(),
            KeywordField::MessageKind => event.message.kind.as_deref(),
            KeywordField::ReplyTo => event.message.reply_to.as_deref(),
            KeywordField::TargetId => return columns::target_id(event).map(Cow::Owned),
            KeywordField::Reaction => return reaction(event).map(Cow::Owned),
        };
        text.filter(|t| !t.is_empty()).map(Cow::Borrowed)
    }
}

/// The value of a `chat.reaction.*` event; it has no column of its own.
#[must_use]
pub fn reaction(event: &Event<'_>) -> Option<String> {
    if !event.event_type.starts_with("chat.reaction.") {
        return None;
    }
    let extra = holdfast_schemas::json::Json::parse(event.extra.as_deref()?).ok()?;
    let value = extra.get("data")?.get("value")?.as_str()?;
    (!value.is_empty()).then(|| value.to_owned())
}
