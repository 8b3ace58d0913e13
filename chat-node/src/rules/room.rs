//! What somebody may do in a room: role x operation x kind of room.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A role in one room; a later one includes the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads, and posts in normal rooms.
    Member,
    /// Posts in auditoriums too.
    Presenter,
    /// Members, settings, disabling.
    Manager,
}

/// Who posts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RoomKind {
    /// Every member.
    Normal,
    /// Presenters and managers.
    Auditorium,
}

/// Who finds and enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Privacy {
    /// Everybody inside the category's wall finds it and takes part as a member.
    Open,
    /// Everybody inside the wall finds it, members enter.
    Closed,
    /// Members only find it.
    Secret,
}

macro_rules! spelled {
    ($name:ident: $($variant:ident = $text:literal),*) => {
        impl $name {
            /// As stored and shown.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// From the stored text.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _unknown => None }
            }
        }
    };
}

spelled!(Role: Member = "member", Presenter = "presenter", Manager = "manager");
spelled!(RoomKind: Normal = "normal", Auditorium = "auditorium");
spelled!(Privacy: Open = "open", Closed = "closed", Secret = "secret");

/// What decides about a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomFacts {
    /// Who posts.
    pub kind: RoomKind,
    /// Who finds and enters.
    pub privacy: Privacy,
    /// Everybody is out and nobody finds it; the content stays.
    pub disabled: bool,
    /// The category lets users upload files.
    pub files: bool,
    /// The category keeps history for users.
    pub history: bool,
}

/// What decides about the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// An administrator of the pool.
    pub administrator: bool,
    /// Inside the wall of the room's category.
    pub admitted: bool,
    /// The role that the room's list of members gives.
    pub role: Option<Role>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Know that the room exists, and its settings.
    See,
    /// Subscribe: be a participant.
    Join,
    /// Post a message.
    Post,
    /// Change one's own message.
    EditOwn,
    /// Change somebody else's message.
    EditOther,
    /// Delete one's own message.
    DeleteOwn,
    /// Delete somebody else's message.
    DeleteOther,
    /// Add or take back one's own reaction.
    React,
    /// Read or search what was said.
    ReadHistory,
    /// Upload a file.
    Upload,
    /// Download a file.
    Download,
    /// See who the members are.
    ListMembers,
    /// Add, change and remove members.
    ManageMembers,
    /// Change name, description, privacy and so on.
    Update,
    /// Disable, and enable again.
    Disable,
    /// Delete the room and its content.
    DeleteRoom,
}

impl Operation {
    /// Every operation, for tables.
    pub const ALL: [Self; 16] = [
        Self::See,
        Self::Join,
        Self::Post,
        Self::EditOwn,
        Self::EditOther,
        Self::DeleteOwn,
        Self::DeleteOther,
        Self::React,
        Self::ReadHistory,
        Self::Upload,
        Self::Download,
        Self::ListMembers,
        Self::ManageMembers,
        Self::Update,
        Self::Disable,
        Self::DeleteRoom,
    ];
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Allow,
    /// Refused, and the caller may know why.
    Deny(&'static str),
    /// To this caller the room does not exist.
    Hide,
}

/// Whether `standing` may do `operation` in a room like `room`.
///
/// 1. A wall hides its rooms from everybody outside, whatever the list of members says. An administrator outside still manages, but takes no part.
/// 2. A disabled room is there for its managers and administrators only, and only to be looked at, managed, enabled or deleted.
/// 3. A secret room is there for its members; an open one makes everybody inside the wall a member.
/// 4. Then the role decides.
#[must_use]
pub fn decide(operation: Operation, standing: Standing, room: RoomFacts) -> Decision {
    let manages =
        standing.administrator || (standing.admitted && standing.role == Some(Role::Manager));
    if !standing.admitted && !standing.administrator {
        return Decision::Hide;
    }
    if room.disabled {
        return if manages {
            in_disabled(operation, standing)
        } else {
            Decision::Hide
        };
    }
    let role = standing
        .role
        .or((room.privacy == Privacy::Open).then_some(Role::Member));
    if role.is_none() && room.privacy == Privacy::Secret && !standing.administrator {
        return Decision::Hide;
    }
    if is_participation(operation) {
        if !standing.admitted {
            return Decision::Deny("the category's lists keep you out of its rooms");
        }
        if standing.administrator {
            return in_category(operation, room);
        }
    }
    match (standing.administrator, role) {
        (true, _) => as_administrator(operation),
        (false, Some(role)) => as_participant(operation, role, room),
        (false, None) => as_outsider(operation),
    }
}

/// Operations of people who take part in the room.
fn is_participation(operation: Operation) -> bool {
    match operation {
        Operation::Join
        | Operation::Post
        | Operation::EditOwn
        | Operation::React
        | Operation::Upload
        | Operation::Download
        | Operation::ReadHistory => true,
        Operation::See
        | Operation::EditOther
        | Operation::DeleteOwn
        | Operation::DeleteOther
        | Operation::ListMembers
        | Operation::ManageMembers
        | Operation::Update
        | Operation::Disable
        | Operation::DeleteRoom => false,
    }
}

/// What the category's switches forbid to everybody.
fn in_category(operation: Operation, room: RoomFacts) -> Decision {
    match operation {
        Operation::Upload if !room.files => Decision::Deny("the category forbids files"),
        Operation::ReadHistory if !room.history => Decision::Deny("the category keeps no history"),
        _allowed => Decision::Allow,
    }
}

fn as_participant(operation: Operation, role: Role, room: RoomFacts) -> Decision {
    let speaks = match room.kind {
        RoomKind::Normal => true,
        RoomKind::Auditorium => role >= Role::Presenter,
    };
    match operation {
        Operation::See
        | Operation::Join
        | Operation::React
        | Operation::ListMembers
        | Operation::DeleteOwn
        | Operation::Download => Decision::Allow,
        Operation::ReadHistory => in_category(operation, room),
        Operation::Post | Operation::EditOwn | Operation::Upload => {
            if speaks {
                in_category(operation, room)
            } else {
                Decision::Deny("only presenters post in an auditorium")
            }
        }
        Operation::EditOther => Decision::Deny("only the author edits a message"),
        Operation::DeleteOther => {
            Decision::Deny("only the author and administrators delete a message")
        }
        Operation::ManageMembers | Operation::Update | Operation::Disable => {
            if role == Role::Manager {
                Decision::Allow
            } else {
                Decision::Deny("only managers do this")
            }
        }
        Operation::DeleteRoom => Decision::Deny("only administrators delete rooms"),
    }
}

fn as_administrator(operation: Operation) -> Decision {
    match operation {
        // What somebody said is not rewritten in their name; administrators replace (an event of its own).
        Operation::EditOther => {
            Decision::Deny("only the author edits a message; administrators delete or replace it")
        }
        _everything_else => Decision::Allow,
    }
}

/// Inside the wall, but no member of a closed room.
fn as_outsider(operation: Operation) -> Decision {
    match operation {
        Operation::See => Decision::Allow,
        _everything_else => Decision::Deny("you are not a member of this room"),
    }
}

fn in_disabled(operation: Operation, standing: Standing) -> Decision {
    match operation {
        Operation::See
        | Operation::ListMembers
        | Operation::ManageMembers
        | Operation::Update
        | Operation::Disable => Decision::Allow,
        Operation::DeleteRoom | Operation::DeleteOther if standing.administrator => Decision::Allow,
        _everything_else => Decision::Deny("the room is disabled"),
    }
}
