//! The way to one connection: a bounded queue of frames, and how it is ended from outside.

use std::sync::{Arc, OnceLock};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::limits::FRAMES_QUEUED_MAX;

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

/// The sending half of a connection, shared by its rooms' channels.
#[derive(Debug)]
pub struct Outlet {
    frames: mpsc::Sender<Utf8Bytes>,
    ended: CancellationToken,
    farewell: OnceLock<Farewell>,
}

impl Outlet {
    /// The outlet of a new connection, and the queue that the connection sends from, in order.
    #[must_use]
    pub fn new() -> (Arc<Self>, mpsc::Receiver<Utf8Bytes>) {
        let (frames, queue) = mpsc::channel(FRAMES_QUEUED_MAX);
        let outlet = Self {
            frames,
            ended: CancellationToken::new(),
            farewell: OnceLock::new(),
        };
        (Arc::new(outlet), queue)
    }

    /// Queues a frame. A connection whose queue is full is ended: buffering more would take everybody's memory.
    pub fn send(&self, frame: Utf8Bytes) {
        match self.frames.try_send(frame) {
            // A closed queue belongs to a connection that is being taken down.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(_)) => self.end(Farewell::Slow),
        }
    }

    /// Ends the connection; the first reason is the one that the client is told.
    pub fn end(&self, why: Farewell) {
        // A second reason changes nothing.
        let _first_wins = self.farewell.set(why);
        self.ended.cancel();
    }

    /// Comes true when the connection must end.
    pub fn ended(&self) -> impl Future<Output = ()> + '_ {
        self.ended.cancelled()
    }

    /// Whether it must. Cheaper than to ask [`Outlet::ended`], and asked whenever something is sent.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.farewell.get().is_some()
    }

    /// Why it was ended.
    #[must_use]
    pub fn farewell(&self) -> Option<Farewell> {
        self.farewell.get().copied()
    }
}
