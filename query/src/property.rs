//! The properties of the language: their names, and what each is compared with.
//!
//! | property | aliases | `property:value` compares | `property=value` compares |
//! |---|---|---|---|
//! | `from` | `sender`, `author` | actor id, URI or e-mail as a whole, ignoring case; or terms of the actor's name, as a phrase | id, URI, e-mail or name as a whole |
//! | `participants` | `participant`, `custodian` | replaced before evaluation (`Expr::expand_participants`) | the same |
//! | `room` | | room id or name as a whole | the same |
//! | `category`, `type`, `kind`, `actorkind`, `target`, `origin`, `id` | | category, event type, message kind, actor kind, target id, origin, event id as a whole | the same |
//! | `message` | | message id as a whole | the same |
//! | `reply_to` | `replyto` | id of the message answered, as a whole | the same |
//! | `reaction` | | value of a `chat.reaction.*` event, as a whole | the same |
//! | `title`, `body` | `subject` | terms, as a free word or phrase would in this field alone | the whole text |
//! | `filename` | | terms of one attachment's name | one attachment's whole name |
//! | `date`, `received` | `sent` | event time, ingest time within the day, month, … written | the same |
//! | `size` | | some attachment's length in bytes | the same |
//! | `hasattachment` | | `true` or `false` | the same |
//!
//! "As a whole" ignores case ([`crate::analyzer::fold_keyword`]) and takes a trailing `*` for any ending. Only `date`,
//! `received` and `size` take `>`, `>=`, `<`, `<=` and `a..b`. A missing value never matches, so `-size>1` finds events
//! without attachments, too.

/// A property of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Property {
    /// Who did it.
    From,
    /// Who did it or could see it.
    Participants,
    /// The room.
    Room,
    /// The room's category.
    Category,
    /// The event type.
    Type,
    /// The message kind: plain, alert, story.
    Kind,
    /// The event time.
    Date,
    /// The ingest time.
    Received,
    /// A story's title.
    Title,
    /// The text.
    Body,
    /// Attachment names.
    Filename,
    /// The value of a reaction.
    Reaction,
    /// The actor kind: user, bot, system.
    ActorKind,
    /// Whom the event is about.
    Target,
    /// Whether there is an attachment.
    HasAttachment,
    /// Attachment sizes.
    Size,
    /// The message id.
    Message,
    /// The id of the message answered.
    ReplyTo,
    /// The event id.
    Id,
    /// The outbox that sequenced it.
    Origin,
}

/// How a property's value is written and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PropertyKind {
    /// Ids and addresses as a whole, the name by its terms.
    Person,
    /// Whole value, ignoring case.
    Whole,
    /// Terms.
    Text,
    /// A time.
    Time,
    /// A number of bytes.
    Size,
    /// Yes or no.
    Flag,
}

/// Every property with its name first, then its aliases.
const NAMES: &[(Property, PropertyKind, &[&str])] = &[
    (
        Property::From,
        PropertyKind::Person,
        &["from", "sender", "author"],
    ),
    (
        Property::Participants,
        PropertyKind::Person,
        &["participants", "participant", "custodian"],
    ),
    (Property::Room, PropertyKind::Whole, &["room"]),
    (Property::Category, PropertyKind::Whole, &["category"]),
    (Property::Type, PropertyKind::Whole, &["type"]),
    (Property::Kind, PropertyKind::Whole, &["kind"]),
    (Property::Date, PropertyKind::Time, &["date", "sent"]),
    (Property::Received, PropertyKind::Time, &["received"]),
    (Property::Title, PropertyKind::Text, &["title", "subject"]),
    (Property::Body, PropertyKind::Text, &["body"]),
    (Property::Filename, PropertyKind::Text, &["filename"]),
    (Property::Reaction, PropertyKind::Whole, &["reaction"]),
    (Property::ActorKind, PropertyKind::Whole, &["actorkind"]),
    (Property::Target, PropertyKind::Whole, &["target"]),
    (
        Property::HasAttachment,
        PropertyKind::Flag,
        &["hasattachment"],
    ),
    (Property::Size, PropertyKind::Size, &["size"]),
    (Property::Message, PropertyKind::Whole, &["message"]),
    (
        Property::ReplyTo,
        PropertyKind::Whole,
        &["reply_to", "replyto"],
    ),
    (Property::Id, PropertyKind::Whole, &["id"]),
    (Property::Origin, PropertyKind::Whole, &["origin"]),
];

impl Property {
    /// Every property, in the order of the language page.
    pub fn all() -> impl Iterator<Item = Property> {
        NAMES.iter().map(|(property, ..)| *property)
    }

    fn entry(self) -> &'static (Property, PropertyKind, &'static [&'static str]) {
        // Every variant stands in the table (a test walks both).
        NAMES
            .iter()
            .find(|(property, ..)| *property == self)
            .unwrap_or(&NAMES[0])
    }

    /// The name that prints.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().2[0]
    }

    /// Other names that parse.
    #[must_use]
    pub fn aliases(self) -> &'static [&'static str] {
        &self.entry().2[1..]
    }

    /// How its value is written and compared.
    #[must_use]
    pub fn kind(self) -> PropertyKind {
        self.entry().1
    }

    /// The property of that name or alias, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Property> {
        NAMES
            .iter()
            .find(|(_, _, names)| names.iter().any(|n| n.eq_ignore_ascii_case(name)))
            .map(|(p, ..)| *p)
    }

    /// The name or alias nearest to a name that is none, if one is near enough to be meant.
    #[must_use]
    pub fn nearest(name: &str) -> Option<&'static str> {
        let name = name.to_lowercase();
        let candidates = NAMES.iter().flat_map(|(_, _, names)| names.iter().copied());
        let long = name.chars().count() >= 3;
        let scored = candidates.map(|known| {
            let begins =
                long && known.len() >= 3 && (known.starts_with(&name) || name.starts_with(known));
            (
                if begins {
                    1
                } else {
                    strsim::damerau_levenshtein(&name, known)
                },
                known,
            )
        });
        let (distance, known) = scored.min_by_key(|(distance, _)| *distance)?;
        (distance <= 1.max(known.len() / 3)).then_some(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases_are_distinct_and_parse() {
        let mut seen = std::collections::BTreeSet::new();
        for property in Property::all() {
            for name in [property.name()].iter().chain(property.aliases()) {
                assert!(seen.insert(*name), "{name} twice");
                assert_eq!(Property::named(&name.to_uppercase()), Some(property));
            }
        }
        assert_eq!(Property::Origin.name(), "origin");
        assert_eq!(Property::all().count(), 20);
    }

    #[test]
    fn the_nearest_name_is_offered_only_when_near() {
        assert_eq!(Property::nearest("form"), Some("from"));
        assert_eq!(Property::nearest("custodain"), Some("custodian"));
        assert_eq!(Property::nearest("has_attachment"), Some("hasattachment"));
        assert_eq!(Property::nearest("File"), Some("filename"));
        assert_eq!(Property::nearest("http"), None);
        assert_eq!(Property::nearest("10"), None);
    }
}
