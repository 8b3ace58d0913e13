//! The way to one connection: a bounded queue of frames, who sends from it, and how it is ended from outside.
//!
//! A connection's task sends what is queued. While it sleeps, whoever queues a frame sends it by the connection's [`Wire`]: that costs a fraction
//! of waking it. The turn says whose it is; it goes to the task when the task wakes or the wire is stuck, and back when the task has nothing left to
//! send. Frames leave in the order in which they were queued, whoever sends them.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::Farewell;
use crate::limits::FRAMES_QUEUED_MAX;
use crate::wire::{Sent, SharedFrame, Wire};

/// The sending half of a connection, shared by its rooms' channels.
#[derive(Debug)]
pub struct Outlet {
    /// `None`: its task sends everything.
    wire: Option<Arc<Wire>>,
    state: Mutex<State>,
    task: AtomicWaker,
    ended: CancellationToken,
    farewell: OnceLock<Farewell>,
}

#[derive(Debug)]
struct State {
    queue: VecDeque<SharedFrame>,
    turn: Turn,
}

/// Who sends next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The connection's task.
    Task,
    /// Whoever queues a frame.
    Anybody,
    /// Somebody who has queued one and has not sent it yet.
    Somebody,
}

impl Outlet {
    /// The outlet of a new connection, whose task has the turn.
    #[must_use]
    pub fn new(wire: Option<Arc<Wire>>) -> Arc<Self> {
        Arc::new(Self {
            wire,
            state: Mutex::new(State {
                queue: VecDeque::new(),
                turn: Turn::Task,
            }),
            task: AtomicWaker::new(),
            ended: CancellationToken::new(),
            farewell: OnceLock::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that panics runs under the lock; a poisoned one is as good.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a frame, or has the connection's task send it.
    pub fn send(&self, frame: SharedFrame) {
        if self.queue(frame) {
            self.send_directly();
        }
    }

    /// Where what was queued is sent directly.
    pub(super) fn runtime(&self) -> Option<&Handle> {
        self.wire.as_deref().map(Wire::runtime)
    }

    /// Queues a frame; whether the caller must see to [`Outlet::send_directly`]. A connection whose queue is full is ended: buffering more would take
    /// everybody's memory.
    #[must_use]
    pub(super) fn queue(&self, frame: SharedFrame) -> bool {
        let mut state = self.state();
        if state.queue.len() == FRAMES_QUEUED_MAX {
            drop(state);
            self.end(Farewell::Slow);
            return false;
        }
        state.queue.push_back(frame);
        match state.turn {
            Turn::Task => {
                drop(state);
                self.task.wake();
                false
            }
            Turn::Anybody => {
                state.turn = Turn::Somebody;
                true
            }
            Turn::Somebody => false,
        }
    }

    /// Sends what has queued, unless the connection's task has woken meanwhile and does it. Waits for nothing.
    pub(super) fn send_directly(&self) {
        let mut state = self.state();
        let (Turn::Somebody, Some(wire)) = (state.turn, &self.wire) else {
            return;
        };
        // To an ended connection nothing is sent; its task is awake.
        if !self.is_ended() && wire.send(&mut state.queue) == Sent::All {
            state.turn = Turn::Anybody;
            return;
        }
        state.turn = Turn::Task;
        drop(state);
        self.task.wake();
    }

    /// For the connection's task: it has the turn, and takes the next frame without waiting.
    pub fn take(&self) -> Option<SharedFrame> {
        let mut state = self.state();
        state.turn = Turn::Task;
        state.queue.pop_front()
    }

    /// For the connection's task: waits until it has the turn, and something to take, or at least to flush. Meanwhile others have the turn, and wake
    /// the task when they cannot send.
    pub async fn due(&self) {
        poll_fn(|cx| self.poll_due(cx)).await;
    }

    fn poll_due(&self, cx: &Context<'_>) -> Poll<()> {
        // Before the look: what is queued after it wakes the task, unless it is sent.
        self.task.register(cx.waker());
        let mut state = self.state();
        state.turn = Turn::Task;
        let Some(wire) = &self.wire else {
            return if state.queue.is_empty() {
                Poll::Pending
            } else {
                Poll::Ready(())
            };
        };
        if state.queue.is_empty() && !wire.has_rest() {
            state.turn = Turn::Anybody;
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// For the connection's task: it takes the turn, because it has something to say itself.
    pub fn take_turn(&self) {
        self.state().turn = Turn::Task;
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
