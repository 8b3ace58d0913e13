//! One connection, from its first frame to its last.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use rustc_hash::FxHashMap;
use serde_json::json;
use tokio::time::Instant;

use super::flood::Bucket;
use super::frame::{ClientFrame, error_frame};
use super::{post, subscribe};
use crate::error::ChatError;
use crate::hub::{Farewell, Outlet, Taps};
use crate::model::Caller;
use crate::node::Node;

/// A silent client is asked whether it lives this often…
const PING: Duration = Duration::from_secs(30);
/// …and is given up after this long without a sign.
const SILENCE: Duration = Duration::from_secs(90);
/// What a last frame may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a connection knows about itself.
pub(super) struct Session {
    pub(super) node: Arc<Node>,
    pub(super) caller: Arc<Caller>,
    pub(super) outlet: Arc<Outlet>,
    pub(super) taps: Taps,
    pub(super) socket: WebSocket,
    /// Its number on this node.
    pub(super) number: u64,
    /// Its name in events.
    pub(super) id: String,
    /// Rooms it is subscribed to, with the endpoint that the client named.
    pub(super) rooms: FxHashMap<String, Option<String>>,
}

/// Why a connection ends from this side.
pub(super) enum End {
    /// The client is gone, or does not follow the protocol of WebSockets.
    Gone,
    /// The outlet was ended: it knows why.
    Farewell,
}

/// Serves a connection until it ends.
pub(super) async fn run(node: Arc<Node>, caller: Arc<Caller>, socket: WebSocket) {
    let (outlet, taps) = Outlet::new();
    let number = node
        .connections
        .enter(Arc::clone(&outlet), Arc::clone(&caller));
    node.metrics.connected();
    let id = crate::clock::new_id("s");
    let mut session = Session {
        node,
        caller,
        outlet,
        taps,
        socket,
        number,
        id,
        rooms: FxHashMap::default(),
    };
    // The table of connections was entered before the state was read: a drain that began between finds this one.
    if !session.node.takes_users() {
        session.outlet.end(Farewell::Draining);
    }
    let end = Box::pin(session.serve()).await;
    // Entered until this is written: a node that ends waits for connections before it stops writing.
    subscribe::leave_all(&mut session).await;
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
        }));
    if let (End::Farewell, Some(why)) = (end, farewell) {
        let close = Message::Close(Some(CloseFrame {
            code: why.code(),
            reason: why.reason().into(),
        }));
        // A client that reads nothing gets no last words either.
        let _unheard = tokio::time::timeout(FAREWELL, session.socket.send(close)).await;
    }
}

impl Session {
    /// Sends one frame; a client that does not take it is ended by its own queue.
    pub(super) async fn send(&mut self, frame: Utf8Bytes) -> Result<(), End> {
        tokio::select! {
            sent = self.socket.send(Message::Text(frame)) => sent.map_err(|_closed| End::Gone),
            () = self.taps.ended.cancelled() => Err(End::Farewell),
        }
    }

    /// Sends what has queued, without waiting for more.
    pub(super) async fn send_queued(&mut self) -> Result<(), End> {
        while let Ok(frame) = self.taps.frames.try_recv() {
            self.send(frame).await?;
        }
        Ok(())
    }

    fn nodes_frame(&self) -> Utf8Bytes {
        let nodes = self.node.nodes.borrow();
        json!({"nodes": *nodes}).to_string().into()
    }

    async fn serve(&mut self) -> End {
        match self.talk().await {
            Ok(()) => End::Gone,
            Err(end) => end,
        }
    }

    async fn talk(&mut self) -> Result<(), End> {
        let mut nodes = self.node.nodes.subscribe();
        let mut bucket = Bucket::full(self.node.clock.now_us());
        let mut heard = Instant::now();
        let mut ping = tokio::time::interval(PING);
        ping.reset();
        nodes.mark_unchanged();
        self.send(self.nodes_frame()).await?;
        loop {
            tokio::select! {
                biased;
                () = self.taps.ended.cancelled() => return Err(End::Farewell),
                frame = self.taps.frames.recv() => match frame {
                    Some(frame) => self.send(frame).await?,
                    None => return Ok(()),
                },
                message = self.socket.recv() => {
                    heard = Instant::now();
                    match message {
                        Some(Ok(Message::Text(text))) => {
                            if !bucket.take(self.node.clock.now_us()) {
                                self.outlet.end(Farewell::Flood);
                                return Err(End::Farewell);
                            }
                            Box::pin(self.hear(&text)).await?;
                        }
                        Some(Ok(Message::Binary(_))) => {
                            let error = ChatError::invalid("frame", "frames are text");
                            self.send(error_frame("frame", None, None, error)).await?;
                        }
                        // Answered by the library; they count as frames all the same.
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                            if !bucket.take(self.node.clock.now_us()) {
                                self.outlet.end(Farewell::Flood);
                                return Err(End::Farewell);
                            }
                        }
                        Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                    }
                }
                changed = nodes.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    nodes.mark_unchanged();
                    self.send(self.nodes_frame()).await?;
                }
                _tick = ping.tick() => {
                    if self.node.clock.now_us() >= self.caller.expires_us {
                        self.outlet.end(Farewell::TokenEnded);
                        return Err(End::Farewell);
                    }
                    if heard.elapsed() > SILENCE {
                        return Ok(());
                    }
                    if self.socket.send(Message::Ping(Vec::new().into())).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn hear(&mut self, text: &str) -> Result<(), End> {
        match serde_json::from_str::<ClientFrame>(text) {
            Ok(ClientFrame::Subscribe(frame)) => subscribe::subscribe(self, frame).await,
            Ok(ClientFrame::Unsubscribe(frame)) => subscribe::unsubscribe(self, &frame.room).await,
            Ok(ClientFrame::Post(frame)) => post::post(self, *frame).await,
            Ok(ClientFrame::Ack(_seen)) => Ok(()),
            Err(error) => {
                let error = ChatError::invalid("frame", error.to_string());
                self.send(error_frame("frame", None, None, error)).await
            }
        }
    }
}
