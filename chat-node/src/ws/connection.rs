//! One connection, from its first frame to its last.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures::{FutureExt, SinkExt};
use rustc_hash::FxHashMap;
use tokio::time::MissedTickBehavior;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::error::ProtocolError;

use super::frame::{ClientFrame, Subscribe, error_frame};
use super::{leave, post, subscribe};
use crate::error::ChatError;
use crate::hub::{Farewell, Outlet};
use crate::limits::{FRAMES, SUBSCRIBED_AT_ONCE};
use crate::model::{Caller, ServerFrame};
use crate::node::Node;
use crate::rate::Bucket;
use crate::wire::{SharedFrame, Wire};

/// A client is asked whether it lives this often: within the minute after which proxies take a silent connection for dead. Then, too, it is looked
/// at whether its token has ended.
const PING: Duration = Duration::from_secs(45);
/// It is given up when it has answered none of so many, and would be asked again.
const PINGS_UNANSWERED_MAX: u32 = 2;
/// Frames handed to the socket before it is flushed.
const FRAMES_AT_ONCE: usize = 64;
/// What a last frame may take.
const FAREWELL: Duration = Duration::from_secs(2);
/// What a client that is refused has for reading why.
const LINGER: Duration = Duration::from_millis(250);

/// What a connection knows about itself.
pub(super) struct Session {
    pub(super) node: Arc<Node>,
    pub(super) caller: Arc<Caller>,
    pub(super) outlet: Arc<Outlet>,
    pub(super) socket: WebSocket,
    /// Its number on this node.
    pub(super) number: u64,
    /// Its name in events.
    pub(super) id: Arc<str>,
    /// Rooms it is subscribed to, with the endpoint that the client named.
    pub(super) rooms: FxHashMap<String, Option<Arc<str>>>,
    /// Held by each post that is on its way.
    pub(super) on_their_way: Arc<()>,
}

/// What a socket gave; `None`: it is closed.
type Received = Option<Result<Message, axum::Error>>;

/// Why a connection ends from this side.
pub(super) enum End {
    /// The client is gone.
    Gone,
    /// The client took its leave; the library has its answer ready.
    Closed,
    /// What it sent is no frame of the protocol, or too long a one.
    Refused(CloseFrame),
    /// The outlet was ended: it knows why.
    Farewell,
}

/// Serves a connection until it ends. `wire`: of the stream below, if it has one.
pub(super) async fn run(
    node: Arc<Node>,
    caller: Arc<Caller>,
    socket: WebSocket,
    wire: Option<Arc<Wire>>,
) {
    if let Some(wire) = &wire {
        wire.begin_frames();
    }
    let outlet = Outlet::new(wire);
    let number = node.connections.enter(
        Arc::clone(&outlet),
        Arc::clone(&caller),
        node.limits.connections,
    );
    node.metrics.connected();
    let id = crate::clock::new_id("s").into();
    let mut session = Session {
        node,
        caller,
        outlet,
        socket,
        number,
        id,
        rooms: FxHashMap::default(),
        on_their_way: Arc::default(),
    };
    // The table of connections was entered before the state was read: a drain that began between finds this one.
    if !session.node.takes_users() {
        session.outlet.end(Farewell::Draining);
    }
    let end = Box::pin(session.serve()).await;
    // Entered until this is written: a node that ends waits for connections before it stops writing.
    leave::leave_all(&mut session).await;
    session.node.connections.leave(session.number);
    let farewell = session.outlet.farewell();
    session
        .node
        .metrics
        .disconnected(farewell.map(|why| match why {
            Farewell::Slow => "slow",
            Farewell::Flood => "flood",
            Farewell::TokenEnded => "token",
            Farewell::UserDisabled => "user",
            Farewell::Draining => "draining",
            Farewell::TooMany => "too_many",
        }));
    let refused = matches!(end, End::Refused(_));
    let last = match (end, farewell) {
        (End::Farewell, Some(why)) => Some(CloseFrame {
            code: why.code(),
            reason: why.reason().into(),
        }),
        (End::Refused(close), _) => Some(close),
        (End::Closed, _) => None,
        (End::Gone | End::Farewell, _) => return,
    };
    let socket = &mut session.socket;
    let say = async {
        match last {
            Some(close) => socket.send(Message::Close(Some(close))).await?,
            None => socket.flush().await?,
        }
        // What it sent and nobody read resets the connection when it is closed, and takes words with it that were not read yet.
        if refused {
            tokio::time::sleep(LINGER).await;
        }
        Ok::<_, axum::Error>(())
    };
    // A client that reads nothing gets no last words either.
    let _unheard = tokio::time::timeout(FAREWELL, say).await;
}

/// How a client is told that what it sent cannot be read. Codes: RFC 6455, 7.4.1.
fn refusal(error: axum::Error) -> End {
    let error = match error.into_inner().downcast::<WsError>() {
        Ok(error) => *error,
        Err(_other) => return End::Gone,
    };
    let code = match &error {
        WsError::Capacity(_) => close_code::SIZE,
        WsError::Utf8(_) => close_code::INVALID,
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => return End::Gone,
        WsError::Protocol(_) => close_code::PROTOCOL,
        _ => return End::Gone,
    };
    End::Refused(CloseFrame {
        code,
        reason: reason(&error.to_string()).into(),
    })
}

/// A control frame holds 125 bytes, two of which are the code.
fn reason(text: &str) -> &str {
    const BYTES_MAX: usize = 123;
    &text[..text.floor_char_boundary(BYTES_MAX)]
}

impl Session {
    /// Sends one frame; a client that does not take it is ended by its own queue.
    pub(super) async fn send(&mut self, frame: SharedFrame) -> Result<(), End> {
        self.send_all([frame]).await
    }

    /// Sends frames, as many as there are at once: each call of the system costs more than a frame.
    pub(super) async fn send_all(
        &mut self,
        frames: impl IntoIterator<Item = SharedFrame>,
    ) -> Result<(), End> {
        send_all(&mut self.socket, &self.outlet, frames).await
    }

    /// Sends what has queued, without waiting for more.
    pub(super) async fn send_queued(&mut self) -> Result<(), End> {
        let queued = std::iter::from_fn(|| self.outlet.take());
        send_all(&mut self.socket, &self.outlet, queued.take(FRAMES_AT_ONCE)).await
    }

    fn nodes_frame(&self) -> SharedFrame {
        ServerFrame::Nodes(&self.node.nodes()).encode()
    }

    async fn serve(&mut self) -> End {
        match self.talk().await {
            Ok(()) => End::Gone,
            Err(end) => end,
        }
    }

    async fn talk(&mut self) -> Result<(), End> {
        let outlet = Arc::clone(&self.outlet);
        let mut ended = std::pin::pin!(outlet.ended());
        let mut bucket = Bucket::full(FRAMES, self.node.clock.now_us());
        let mut unanswered = 0;
        let mut ping = tokio::time::interval(PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ping.reset();
        self.send(self.nodes_frame()).await?;
        loop {
            tokio::select! {
                // Frames first; to an ended connection none is sent.
                biased;
                () = outlet.due() => self.send_queued().await?,
                () = ended.as_mut() => return Err(End::Farewell),
                message = self.socket.recv() => {
                    outlet.take_turn();
                    unanswered = 0;
                    let mut next = Some(message);
                    while let Some(message) = next.take() {
                        match message {
                            Some(Ok(message)) => next = self.hear(message, &mut bucket).await?,
                            Some(Err(error)) => return Err(refusal(error)),
                            None => return Ok(()),
                        }
                    }
                }
                _tick = ping.tick() => {
                    outlet.take_turn();
                    self.ping(unanswered).await?;
                    unanswered += 1;
                }
            }
        }
    }

    /// Asks whether the client lives, unless it should be there no longer.
    async fn ping(&mut self, unanswered: u32) -> Result<(), End> {
        if self.node.clock.now_us() >= self.caller.expires_us {
            self.outlet.end(Farewell::TokenEnded);
            return Err(End::Farewell);
        }
        if unanswered >= PINGS_UNANSWERED_MAX {
            return Err(End::Gone);
        }
        let ping = Message::Ping(Vec::new().into());
        self.socket.send(ping).await.map_err(|_closed| End::Gone)
    }

    /// Acts on a message; what was read behind it and is to be acted on next.
    async fn hear(
        &mut self,
        message: Message,
        bucket: &mut Bucket,
    ) -> Result<Option<Received>, End> {
        let text = match message {
            Message::Close(_) => return Err(End::Closed),
            Message::Binary(_) => {
                let error = ChatError::invalid("frame", "frames are text");
                self.send(error_frame("frame", None, None, error)).await?;
                return Ok(None);
            }
            // Answered by the library; they count as frames all the same.
            Message::Ping(_) | Message::Pong(_) => {
                self.count_frame(bucket)?;
                return Ok(None);
            }
            Message::Text(text) => text,
        };
        self.count_frame(bucket)?;
        match serde_json::from_str::<ClientFrame>(&text) {
            Ok(ClientFrame::Subscribe(frame)) => {
                let (frames, next) = self.more_subscriptions(frame, bucket)?;
                Box::pin(subscribe::subscribe(self, frames)).await?;
                return Ok(next);
            }
            Ok(ClientFrame::Unsubscribe(frame)) => {
                Box::pin(leave::unsubscribe(self, &frame.room)).await?;
            }
            Ok(ClientFrame::Post(frame)) => Box::pin(post::post(self, *frame)).await?,
            Ok(ClientFrame::Ack(_seen)) => {}
            Err(error) => {
                let error = ChatError::invalid("frame", error.to_string());
                self.send(error_frame("frame", None, None, error)).await?;
            }
        }
        Ok(None)
    }

    /// Every frame counts, whatever it says.
    fn count_frame(&self, bucket: &mut Bucket) -> Result<(), End> {
        if bucket.take(FRAMES, self.node.clock.now_us()) {
            return Ok(());
        }
        self.outlet.end(Farewell::Flood);
        Err(End::Farewell)
    }

    /// Subscriptions that have arrived behind the first one, and the message behind them if one has been read. Waits for nothing.
    fn more_subscriptions(
        &mut self,
        first: Subscribe,
        bucket: &mut Bucket,
    ) -> Result<(Vec<Subscribe>, Option<Received>), End> {
        let mut frames = vec![first];
        while frames.len() < SUBSCRIBED_AT_ONCE
            && let Some(received) = self.socket.recv().now_or_never()
        {
            let text = match &received {
                Some(Ok(Message::Text(text))) => text,
                _ => return Ok((frames, Some(received))),
            };
            match serde_json::from_str::<ClientFrame>(text) {
                Ok(ClientFrame::Subscribe(frame)) => {
                    self.count_frame(bucket)?;
                    frames.push(frame);
                }
                _ => return Ok((frames, Some(received))),
            }
        }
        Ok((frames, None))
    }
}

async fn send_all(
    socket: &mut WebSocket,
    outlet: &Outlet,
    frames: impl IntoIterator<Item = SharedFrame>,
) -> Result<(), End> {
    if outlet.is_ended() {
        return Err(End::Farewell);
    }
    let sending = async {
        for frame in frames {
            socket.feed(Message::Text(frame.text().clone())).await?;
        }
        socket.flush().await
    };
    tokio::select! {
        // Most are taken at once: then nobody waits for the end.
        biased;
        sent = sending => sent.map_err(|_closed| End::Gone),
        () = outlet.ended() => Err(End::Farewell),
    }
}
