//! The event types of the contract. A new type is added here and nowhere else: tests over all types walk [`KNOWN`].

/// One type of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventType {
    /// The CloudEvents `type`.
    pub name: &'static str,
    /// Whether `subject` and `data.room.id` are required.
    pub room_bound: bool,
}

macro_rules! types {
    ($($constant:ident = $name:literal, $room_bound:literal;)*) => {
        $(#[doc = concat!("`", $name, "`")] pub const $constant: &str = $name;)*
        /// Every type of the contract, in its order.
        pub const KNOWN: &[EventType] = &[$(EventType { name: $name, room_bound: $room_bound },)*];
    };
}

types! {
    MESSAGE_POSTED = "chat.message.posted", true;
    MESSAGE_EDITED = "chat.message.edited", true;
    MESSAGE_DELETED = "chat.message.deleted", true;
    MESSAGE_REPLACED = "chat.message.replaced", true;
    REACTION_ADDED = "chat.reaction.added", true;
    REACTION_REMOVED = "chat.reaction.removed", true;
    ROOM_JOINED = "chat.room.joined", true;
    ROOM_LEFT = "chat.room.left", true;
    HISTORY_VIEWED = "chat.history.viewed", true;
    HISTORY_SEARCHED = "chat.history.searched", false;
    FILE_UPLOADED = "chat.file.uploaded", true;
    FILE_DOWNLOADED = "chat.file.downloaded", true;
    ROOM_CREATED = "chat.room.created", true;
    ROOM_UPDATED = "chat.room.updated", true;
    ROOM_DISABLED = "chat.room.disabled", true;
    ROOM_ENABLED = "chat.room.enabled", true;
    ROOM_DELETED = "chat.room.deleted", true;
    ROOM_PURGED = "chat.room.purged", true;
    ROOM_MEMBER_ADDED = "chat.room.member_added", true;
    ROOM_MEMBER_REMOVED = "chat.room.member_removed", true;
    ROOM_SNAPSHOT = "chat.room.snapshot", true;
    CATEGORY_CREATED = "chat.category.created", false;
    CATEGORY_UPDATED = "chat.category.updated", false;
    CATEGORY_DELETED = "chat.category.deleted", false;
    USER_CREATED = "chat.user.created", false;
    USER_UPDATED = "chat.user.updated", false;
    USER_DISABLED = "chat.user.disabled", false;
    USER_DELETED = "chat.user.deleted", false;
    NODE_STARTED = "chat.node.started", false;
    NODE_STOPPED = "chat.node.stopped", false;
    NODE_FAILED_OVER = "chat.node.failed_over", false;
    ORIGIN_HEARTBEAT = "chat.origin.heartbeat", false;
    QUARANTINED = "holdfast.quarantined", false;
}

/// The contract's entry for a type, or `None` for a foreign one.
#[must_use]
pub fn known(name: &str) -> Option<&'static EventType> {
    KNOWN.iter().find(|t| t.name == name)
}

/// Whether the type carries its one file as `data.attachment` instead of `data.message.attachments`.
#[must_use]
pub fn carries_single_attachment(name: &str) -> bool {
    matches!(name, FILE_UPLOADED | FILE_DOWNLOADED)
}
