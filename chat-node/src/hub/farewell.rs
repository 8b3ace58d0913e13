//! Why connections end from this side.

/// Why a connection is ended: WebSocket close codes with a reason that the client shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// It did not take its frames.
    Slow,
    /// It sent more than it may.
    Flood,
    /// Its token ended.
    TokenEnded,
    /// Its user was disabled or deleted.
    UserDisabled,
    /// The node stops taking users.
    Draining,
    /// Its user has as many connections as one may have.
    TooMany,
}

impl Farewell {
    /// The close frame's code: 1008 policy, 1001 going away, or one of ours (4000 and above).
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Slow => 4008,
            Self::Flood => 1008,
            Self::TokenEnded => 4001,
            Self::UserDisabled => 4003,
            Self::Draining => 1001,
            Self::TooMany => 4029,
        }
    }

    /// What the client is told.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Slow => {
                "you read too slowly: reconnect and go on after the last sequence you saw"
            }
            Self::Flood => "too many frames: slow down",
            Self::TokenEnded => "the token has expired: reconnect with a new one",
            Self::UserDisabled => "this user is disabled",
            Self::Draining => "this node is going away: reconnect to another",
            Self::TooMany => {
                "this user has as many connections to this node as one may have: close one first"
            }
        }
    }
}
