//! One link between two nodes, both ends.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use rustc_hash::FxHashSet;
use serde_json::json;
use tokio::io::{AsyncWriteExt, BufReader, BufWriter};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use super::frame::{self, Frame};
use super::handshake::{self, End, Keys, Line, Proof};
use super::line::{Reader, read_handshake, read_line, write_line};
use super::peers::{LINES_QUEUED_MAX, Outgoing, Peers};
use super::registry;
use crate::auth::Secret;
use crate::error::{ChatError, Result};
use crate::hub::Farewell;
use crate::node::Node;
use crate::wire::SharedFrame;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a link says that it lives; the other end gives up after three.
const PING: Duration = Duration::from_secs(2);
const SILENCE: Duration = Duration::from_secs(6);
/// How often the list of nodes is read and missing links are dialed.
const DIAL: Duration = Duration::from_millis(750);

fn missing(what: &'static str) -> ChatError {
    ChatError::Unauthorized {
        problem: format!("the handshake lacks its {what}"),
    }
}

fn count_refused(node: &Node, error: &ChatError) {
    if matches!(error, ChatError::Unauthorized { .. }) {
        node.metrics.peer_refused();
    }
}

/// Serves a link that another node dials, until the node ends.
pub(super) async fn greet(
    node: &Arc<Node>,
    keys: &Keys,
    stream: TcpStream,
    stranger: OwnedSemaphorePermit,
    end: &CancellationToken,
) {
    tokio::select! {
        outcome = subscribe(node, keys, stream, stranger) => if let Err(error) = outcome {
            tracing::info!(error = %error, "a link ended");
            count_refused(node, &error);
        },
        () = end.cancelled() => {}
    }
}

/// The accepting end: tells its interests, takes what is published.
async fn subscribe(
    node: &Arc<Node>,
    keys: &Keys,
    stream: TcpStream,
    stranger: OwnedSemaphorePermit,
) -> Result<()> {
    // Messages must not wait for each other.
    let _best_effort = stream.set_nodelay(true);
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let greeting = async {
        read_handshake(&mut reader).await?;
        let asked = handshake::challenge()?;
        write_line(
            &mut writer,
            &Line {
                challenge: Some(asked.clone()),
                proof: None,
            },
        )
        .await?;
        let answer = read_handshake(&mut reader).await?;
        let proof = keys.check(
            &answer.proof.ok_or_else(|| missing("proof"))?,
            &node.pool,
            End::Dial,
            &asked,
        )?;
        let challenge = answer.challenge.ok_or_else(|| missing("challenge"))?;
        let own = keys.prove(
            &node.pool,
            &node.name,
            &node.run_id,
            End::Accept,
            &challenge,
        )?;
        write_line(
            &mut writer,
            &Line {
                challenge: None,
                proof: Some(own),
            },
        )
        .await?;
        Ok::<Proof, ChatError>(proof)
    };
    let peer = tokio::time::timeout(HANDSHAKE_TIMEOUT, greeting)
        .await
        .map_err(|_elapsed| ChatError::Unauthorized {
            problem: "the handshake took too long".into(),
        })??;
    drop(stranger);
    // Unbounded: changes of interest are small, as many as subscriptions here, and must not be lost.
    let (sender, lines) = mpsc::unbounded_channel();
    let number = {
        let mut links = node.peers.links();
        let number = links.number();
        links.incoming.insert(number, sender);
        links.begin_roster(&peer.node, number);
        number
    };
    // Read after the link was entered above: what changes from here on is told over it.
    let first = Peers::interests(&node.hub.rooms());
    let outcome = tokio::select! {
        outcome = write_unbounded(writer, first, lines) => outcome,
        outcome = take(node, &peer.node, number, reader) => outcome,
    };
    let mut links = node.peers.links();
    links.incoming.remove(&number);
    links.end_roster(&peer.node, number);
    outcome
}

async fn write_unbounded(
    writer: OwnedWriteHalf,
    first: Vec<Utf8Bytes>,
    mut lines: mpsc::UnboundedReceiver<Utf8Bytes>,
) -> Result<()> {
    let mut writer = BufWriter::new(writer);
    let broken = |error: std::io::Error| ChatError::Unavailable {
        problem: format!("the link broke: {error}"),
    };
    let mut batch = first;
    loop {
        for line in batch.drain(..) {
            writer
                .write_all(line.as_str().as_bytes())
                .await
                .map_err(broken)?;
            writer.write_all(b"\n").await.map_err(broken)?;
        }
        writer.flush().await.map_err(broken)?;
        if lines.recv_many(&mut batch, 256).await == 0 {
            return Ok(());
        }
    }
}

async fn take(node: &Arc<Node>, peer: &str, number: u64, mut reader: Reader) -> Result<()> {
    let mut line = Vec::new();
    loop {
        let read = tokio::time::timeout(
            SILENCE,
            read_line(&mut reader, frame::LINE_BYTES_MAX, &mut line),
        )
        .await;
        if !read.map_err(|_elapsed| ChatError::Unavailable {
            problem: "the other end went silent".into(),
        })?? {
            return Ok(());
        }
        let frame: Frame<'_> = serde_json::from_slice(&line)
            .map_err(|error| ChatError::Internal(format!("a peer's frame: {error}")))?;
        match frame {
            Frame::Publish {
                room,
                room_seq,
                epoch,
                frame,
            } => {
                node.publish_from_peer(&room, room_seq, epoch, &SharedFrame::from(frame.get()));
            }
            Frame::Recheck { room, epoch } => node.recheck_here(&room, epoch),
            Frame::Roster {
                room,
                participants,
                user,
                joined,
            } => {
                node.peers
                    .links()
                    .note_roster(peer, number, &room, participants);
                if let Some(user) = user {
                    crate::ws::tell_roster(node, &room, None, &user, joined);
                }
            }
            Frame::Tell { room, frame } => {
                node.hub.tell(&room, None, &SharedFrame::from(frame.get()));
            }
            Frame::TellUser { user, frame } => {
                node.connections
                    .tell_user(&user, &SharedFrame::from(frame.get()));
            }
            Frame::EndUser { user } => node.end_user_here(&user, Farewell::UserDisabled),
            // Only the accepting end has interests; a ping needs no answer.
            Frame::Interest { .. } | Frame::Ping {} => {}
        }
    }
}

/// Keeps a link to every other node of the pool, until the node ends.
pub async fn dial_all(node: Arc<Node>, secret: Secret, end: CancellationToken) {
    let keys = Arc::new(Keys::new(&secret));
    let dialing: Arc<std::sync::Mutex<FxHashSet<String>>> = Arc::default();
    loop {
        match registry::peers(&node).await {
            Ok(peers) => {
                for (name, address) in peers {
                    let busy = dialing
                        .lock()
                        .is_ok_and(|mut dialing| !dialing.insert(name.clone()));
                    if busy {
                        continue;
                    }
                    let (node, keys, dialing, end) = (
                        Arc::clone(&node),
                        Arc::clone(&keys),
                        Arc::clone(&dialing),
                        end.clone(),
                    );
                    tokio::spawn(async move {
                        tokio::select! {
                            outcome = publish(&node, &keys, &name, &address) => if let Err(error) = outcome {
                                tracing::info!(peer = name, error = %error, "a link ended");
                                count_refused(&node, &error);
                            },
                            () = end.cancelled() => {}
                        }
                        if let Ok(mut dialing) = dialing.lock() {
                            dialing.remove(&name);
                        }
                    });
                }
            }
            Err(error) => tracing::warn!(error = %error, "the list of nodes cannot be read"),
        }
        tokio::select! {
            () = tokio::time::sleep(DIAL) => {}
            () = end.cancelled() => return,
        }
    }
}

/// The dialing end: hears interests, publishes.
async fn publish(node: &Arc<Node>, keys: &Keys, peer: &str, address: &str) -> Result<()> {
    let unreachable = |error: std::io::Error| ChatError::Unavailable {
        problem: format!("{address}: {error}"),
    };
    let greeting = async {
        let stream = TcpStream::connect(address).await.map_err(unreachable)?;
        let _best_effort = stream.set_nodelay(true);
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        write_line(&mut writer, &Line::default()).await?;
        let asked = read_handshake(&mut reader)
            .await?
            .challenge
            .ok_or_else(|| missing("challenge"))?;
        let own = handshake::challenge()?;
        let proof = keys.prove(&node.pool, &node.name, &node.run_id, End::Dial, &asked)?;
        write_line(
            &mut writer,
            &Line {
                challenge: Some(own.clone()),
                proof: Some(proof),
            },
        )
        .await?;
        let answer = read_handshake(&mut reader)
            .await?
            .proof
            .ok_or_else(|| missing("proof"))?;
        let proof = keys.check(&answer, &node.pool, End::Accept, &own)?;
        if proof.node != peer {
            return Err(ChatError::Unauthorized {
                problem: format!("{address} is {:?}, not {peer:?}", proof.node),
            });
        }
        Ok((reader, writer))
    };
    let (reader, writer) = tokio::time::timeout(HANDSHAKE_TIMEOUT, greeting)
        .await
        .map_err(|_elapsed| ChatError::Unavailable {
            problem: format!("{address} does not answer"),
        })??;
    let (sender, lines) = mpsc::channel(LINES_QUEUED_MAX);
    let number = {
        let mut links = node.peers.links();
        let number = links.number();
        links.outgoing.insert(
            peer.to_owned(),
            Outgoing {
                lines: sender,
                interests: FxHashSet::default(),
                number,
            },
        );
        number
    };
    node.metrics.peer_link(true);
    tracing::info!(peer, "a link is up");
    let first = Peers::rosters(&node.hub.rooms());
    let outcome = tokio::select! {
        outcome = write_bounded(writer, first, lines) => outcome,
        outcome = hear(node, peer, number, reader) => outcome,
    };
    node.metrics.peer_link(false);
    let mut links = node.peers.links();
    if links
        .outgoing
        .get(peer)
        .is_some_and(|link| link.number == number)
    {
        links.outgoing.remove(peer);
    }
    outcome
}

async fn write_bounded(
    writer: OwnedWriteHalf,
    first: Vec<Utf8Bytes>,
    mut lines: mpsc::Receiver<Utf8Bytes>,
) -> Result<()> {
    let mut writer = BufWriter::new(writer);
    let broken = |error: std::io::Error| ChatError::Unavailable {
        problem: format!("the link broke: {error}"),
    };
    let ping = Utf8Bytes::from(json!({"ping": {}}).to_string());
    let mut batch = first;
    loop {
        for line in batch.drain(..) {
            writer
                .write_all(line.as_str().as_bytes())
                .await
                .map_err(broken)?;
            writer.write_all(b"\n").await.map_err(broken)?;
        }
        writer.flush().await.map_err(broken)?;
        match tokio::time::timeout(PING, lines.recv_many(&mut batch, 256)).await {
            Ok(0) => return Ok(()),
            Ok(_count) => {}
            Err(_elapsed) => batch.push(ping.clone()),
        }
    }
}

async fn hear(node: &Arc<Node>, peer: &str, number: u64, mut reader: Reader) -> Result<()> {
    let mut line = Vec::new();
    while read_line(&mut reader, frame::LINE_BYTES_MAX, &mut line).await? {
        let frame: Frame<'_> = serde_json::from_slice(&line)
            .map_err(|error| ChatError::Internal(format!("a peer's frame: {error}")))?;
        match frame {
            Frame::Interest { rooms, on } => {
                let mut links = node.peers.links();
                let Some(link) = links
                    .outgoing
                    .get_mut(peer)
                    .filter(|link| link.number == number)
                else {
                    return Ok(());
                };
                for room in rooms {
                    if on {
                        link.interests.insert(room);
                    } else {
                        link.interests.remove(&room);
                    }
                }
            }
            // Only the dialing end publishes.
            Frame::Publish { .. }
            | Frame::Recheck { .. }
            | Frame::Roster { .. }
            | Frame::Tell { .. }
            | Frame::TellUser { .. }
            | Frame::EndUser { .. }
            | Frame::Ping {} => {}
        }
    }
    Ok(())
}
