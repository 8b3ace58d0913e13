//! One client: a WebSocket that subscribes its rooms, posts what it is told to, checks what it gets, and comes back elsewhere when it loses its node.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::{SinkExt, StreamExt};
use holdfast_chat_node::auth::{Claims, Secret};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::frames::{self, Frame, now_us};
use super::ports::Ports;
use super::report::Stats;
use super::shape::Room;

/// Between two attempts to find a node that takes the client.
const RETRY: Duration = Duration::from_millis(50);
/// For one attempt.
const ATTEMPT: Duration = Duration::from_secs(30);
const BUFFER_BYTES: usize = 4096;

/// What a client is told to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// Post into a room; due at this time.
    Post(Room, u64),
    /// Post into one of this many rooms, again and again, until then.
    Hammer(u32, Instant),
    /// Leave a room and join it again.
    Rejoin(usize),
    /// Are all rooms at least where SQL was? Answered now; the client does not wait.
    Check(Arc<HashMap<Room, i64>>, oneshot::Sender<bool>),
}

/// What a client knows of a room.
#[derive(Debug)]
struct Subscription {
    room: Room,
    /// The last entry it has.
    seen: i64,
    /// Entries through this existed when it joined: their coming says nothing about delivery.
    old: i64,
    /// Entries through this may come twice: they were on their way while the client left and joined again.
    twice: i64,
    asked: Option<Instant>,
}

struct Sent {
    room: Room,
    due_us: u64,
    body: String,
}

/// What all clients of a process share.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) stats: Stats,
    pub(crate) secret: Secret,
    pub(crate) nodes: Vec<SocketAddr>,
    pub(super) ports: Ports,
}

/// One of them.
pub(crate) struct Client {
    common: Arc<Common>,
    user: u32,
    source: std::net::Ipv4Addr,
    node: usize,
    rooms: Vec<Subscription>,
    sent: HashMap<u64, Sent>,
    next_id: u64,
    hammer: Option<(u32, Instant)>,
    /// The connection was lost then, and rooms are not caught up yet.
    lost: Option<Instant>,
}

type Socket = WebSocketStream<TcpStream>;

impl Client {
    pub(crate) fn new(
        common: Arc<Common>,
        user: u32,
        node: usize,
        source: std::net::Ipv4Addr,
        rooms: Vec<Room>,
    ) -> Self {
        let rooms = rooms
            .into_iter()
            .map(|room| Subscription {
                room,
                seen: 0,
                old: 0,
                twice: 0,
                asked: None,
            })
            .collect();
        // Ids of one user must not come again in another run on the same database.
        let next_id = now_us();
        Self {
            common,
            user,
            source,
            node,
            rooms,
            sent: HashMap::new(),
            next_id,
            hammer: None,
            lost: None,
        }
    }

    /// Connects, subscribes, and tells that it is there; then serves orders until there are no more.
    pub(crate) async fn run(
        mut self,
        mut orders: mpsc::UnboundedReceiver<Order>,
        there: oneshot::Sender<()>,
    ) {
        let begun = Instant::now();
        let mut there = Some(there);
        loop {
            match self.connect().await {
                Ok(mut socket) => {
                    if there.is_some() {
                        self.common.stats.lock().login.record_us(micros(begun));
                    }
                    // Nobody waits any more when the process ends.
                    let _told = there.take().map(|there| there.send(()));
                    match self.serve(&mut socket, &mut orders).await {
                        Ok(()) => return,
                        Err(error) => {
                            let mut stats = self.common.stats.lock();
                            stats.lost += 1;
                            stats.trouble(|| format!("user {}: {error:#}", self.user));
                        }
                    }
                    self.lost = Some(Instant::now());
                }
                Err(error) => {
                    self.common
                        .stats
                        .lock()
                        .trouble(|| format!("user {} cannot connect: {error:#}", self.user));
                    tokio::time::sleep(RETRY).await;
                }
            }
            // Whatever was wrong, the next node is another.
            self.node = (self.node + 1 + self.user as usize % 2) % self.common.nodes.len();
        }
    }

    /// A WebSocket with every room subscribed and caught up.
    async fn connect(&mut self) -> Result<Socket> {
        let mut socket = tokio::time::timeout(ATTEMPT, self.handshake())
            .await
            .context("no handshake in time")??;
        for subscription in &mut self.rooms {
            subscription.asked = Some(Instant::now());
            subscription.twice = 0;
            socket
                .feed(Message::text(frames::subscribe(
                    &subscription.room.id(),
                    subscription.seen,
                )))
                .await?;
        }
        socket.flush().await?;
        let caught_up = async {
            while self
                .rooms
                .iter()
                .any(|s| s.asked.is_some() || s.seen < s.old)
            {
                let message = socket.next().await.context("the node hung up")??;
                self.hear(message)?;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(ATTEMPT * 10, caught_up)
            .await
            .context("rooms were not joined in time")??;
        if let Some(lost) = self.lost.take() {
            self.common.stats.lock().back.record_us(micros(lost));
        }
        // What was under way when the connection was lost: the same client_id is the same post.
        for (id, sent) in &self.sent {
            socket
                .feed(Message::text(frames::post(
                    &sent.room.id(),
                    *id,
                    &sent.body,
                )))
                .await?;
        }
        socket.flush().await?;
        Ok(socket)
    }

    async fn handshake(&self) -> Result<Socket> {
        let node = self.common.nodes[self.node];
        let socket = self.common.ports.socket(self.source);
        let socket = socket.with_context(|| format!("{}", self.source))?;
        let stream = socket.connect(node).await?;
        stream.set_nodelay(true)?;
        let mut request = format!("ws://{node}/v1/ws").into_client_request()?;
        let bearer = format!("Bearer {}", self.token()?);
        request
            .headers_mut()
            .insert("authorization", bearer.parse()?);
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(0);
        Ok(client_async_with_config(request, stream, Some(config))
            .await?
            .0)
    }

    fn token(&self) -> Result<String> {
        let claims = Claims {
            sub: format!("u-{}", self.user),
            name: Some(format!("User {}", self.user)),
            email: None,
            uri: None,
            roles: Vec::new(),
            groups: Vec::new(),
            internal: None,
            kind: None,
            exp: now_us() / 1_000_000 + 86_400,
        };
        claims
            .sign(&self.common.secret)
            .map_err(|error| anyhow::anyhow!("{error}"))
    }

    async fn serve(
        &mut self,
        socket: &mut Socket,
        orders: &mut mpsc::UnboundedReceiver<Order>,
    ) -> Result<()> {
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.obey(socket, order).await?,
                    None => return Ok(()),
                },
                message = socket.next() => {
                    let message = message.context("the node hung up")??;
                    if self.hear(message)? {
                        self.hammer(socket).await?;
                    }
                }
            }
        }
    }

    async fn obey(&mut self, socket: &mut Socket, order: Order) -> Result<()> {
        match order {
            Order::Post(room, due_us) => self.post(socket, room, due_us).await,
            Order::Hammer(rooms, until) => {
                self.hammer = Some((rooms, until));
                self.hammer(socket).await
            }
            Order::Rejoin(index) => {
                let Some(subscription) = self.rooms.get_mut(index).filter(|s| s.asked.is_none())
                else {
                    return Ok(());
                };
                let room = subscription.room.id();
                subscription.asked = Some(Instant::now());
                // What comes between leaving and joining comes late by our own doing.
                (subscription.old, subscription.twice) = (i64::MAX, i64::MAX);
                socket
                    .feed(Message::text(frames::unsubscribe(&room)))
                    .await?;
                socket
                    .send(Message::text(frames::subscribe(&room, subscription.seen)))
                    .await?;
                Ok(())
            }
            Order::Check(expected, answer) => {
                let right = self.sent.is_empty()
                    && self
                        .rooms
                        .iter()
                        .all(|s| s.seen >= expected.get(&s.room).copied().unwrap_or(0));
                // Nobody waits any more when the process ends.
                let _told = answer.send(right);
                Ok(())
            }
        }
    }

    async fn post(&mut self, socket: &mut Socket, room: Room, due_us: u64) -> Result<()> {
        self.next_id += 1;
        let body = frames::body(due_us, self.next_id);
        let frame = frames::post(&room.id(), self.next_id, &body);
        self.common.stats.lock().posted += 1;
        self.sent.insert(self.next_id, Sent { room, due_us, body });
        socket.send(Message::text(frame)).await?;
        Ok(())
    }

    /// The next post of a client that posts as fast as it is answered.
    async fn hammer(&mut self, socket: &mut Socket) -> Result<()> {
        match self.hammer {
            Some((rooms, until)) if Instant::now() < until => {
                let pick =
                    (self.next_id ^ u64::from(self.user)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
                let number = u32::try_from(pick % u64::from(rooms))?;
                self.post(
                    socket,
                    Room::new(super::shape::Class::Posts, number),
                    now_us(),
                )
                .await
            }
            _ => {
                self.hammer = None;
                Ok(())
            }
        }
    }

    /// Whether a post was answered.
    fn hear(&mut self, message: Message) -> Result<bool> {
        match message {
            Message::Text(text) => self.frame(&text),
            Message::Close(frame) => bail!("the node closed: {frame:?}"),
            _ => Ok(false),
        }
    }

    fn frame(&mut self, text: &Utf8Bytes) -> Result<bool> {
        let frame: Frame<'_> =
            serde_json::from_str(text.as_str()).with_context(|| text.to_string())?;
        match frame {
            Frame::Message(message) => {
                let room = Room::parse(message.room).context("an entry of a strange room")?;
                let Some(subscription) = self.rooms.iter_mut().find(|s| s.room == room) else {
                    bail!(
                        "an entry of a room that was not subscribed: {}",
                        message.room
                    );
                };
                let mut stats = self.common.stats.lock();
                stats.delivered += 1;
                if message.room_seq <= subscription.seen {
                    stats.repeated += u64::from(message.room_seq > subscription.twice);
                    return Ok(false);
                }
                stats.gaps += u64::from(message.room_seq > subscription.seen + 1);
                subscription.seen = message.room_seq;
                if message.room_seq > subscription.old
                    && let Some(due_us) = message.body.as_deref().and_then(frames::due_us)
                {
                    stats.delivery.record_us(now_us().saturating_sub(due_us));
                }
                Ok(false)
            }
            Frame::Joined(joined) => {
                let room = Room::parse(joined.room);
                if let Some(subscription) = self.rooms.iter_mut().find(|s| Some(s.room) == room)
                    && let Some(asked) = subscription.asked.take()
                {
                    subscription.old = joined.last_seq;
                    subscription.twice = subscription.twice.min(joined.last_seq);
                    self.common.stats.lock().join.record_us(micros(asked));
                }
                Ok(false)
            }
            Frame::Ack(ack) => Ok(self.answered(&ack.client_id, true)),
            Frame::Error(refusal) => {
                let mut stats = self.common.stats.lock();
                stats.refused += 1;
                stats.trouble(|| {
                    format!(
                        "{} refused, {}: {}",
                        refusal.of, refusal.status, refusal.detail
                    )
                });
                drop(stats);
                ensure!(
                    refusal.of == "post",
                    "{} refused: {}",
                    refusal.of,
                    refusal.detail
                );
                Ok(self.answered(refusal.client_id.as_deref().unwrap_or_default(), false))
            }
            Frame::Nodes(_) | Frame::Event(_) => Ok(false),
        }
    }

    fn answered(&mut self, client_id: &str, accepted: bool) -> bool {
        let Some(sent) = client_id
            .parse()
            .ok()
            .and_then(|id: u64| self.sent.remove(&id))
        else {
            return false;
        };
        if accepted {
            let mut stats = self.common.stats.lock();
            stats.acked += 1;
            stats.ack.record_us(now_us().saturating_sub(sent.due_us));
        }
        true
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
