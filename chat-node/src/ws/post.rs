//! Posting over a WebSocket: does not wait for the answer, so that a client's posts share batches.

use std::sync::Arc;

use super::connection::{End, Session};
use super::frame::{WsPost, error_frame};
use crate::error::ChatError;
use crate::model::{Acknowledged, ServerFrame};
use crate::ops::messages;

/// Posts of one connection that are on their way; more are refused until some are answered.
const ON_THEIR_WAY_MAX: usize = 64;

/// Posts. Posts of one connection to one room are committed in the order they were sent: they go into the same queue one after the other.
pub(super) async fn post(session: &mut Session, frame: WsPost) -> Result<(), End> {
    if Arc::strong_count(&session.on_their_way) > ON_THEIR_WAY_MAX {
        let error = ChatError::Unavailable {
            problem: "too many posts on their way; wait for their answers".into(),
        };
        return session
            .send(error_frame(
                "post",
                Some(&frame.room),
                frame.client_id.as_deref(),
                error,
            ))
            .await;
    }
    let (room, new) = frame.into_parts();
    let client_id = new.client_id.clone();
    let (node, caller, outlet) = (
        Arc::clone(&session.node),
        Arc::clone(&session.caller),
        Arc::clone(&session.outlet),
    );
    let on_its_way = Arc::clone(&session.on_their_way);
    let operation = async move {
        let answer = match messages::post(&node, &caller, &room, new).await {
            Ok(posted) => {
                let entry = posted.entry;
                ServerFrame::Ack(Acknowledged {
                    client_id: client_id.as_deref(),
                    room: &entry.room,
                    id: &entry.id,
                    room_seq: entry.room_seq,
                    time: &entry.time,
                    repeated: posted.repeated,
                })
                .encode()
            }
            Err(error) => error_frame("post", Some(&room), client_id.as_deref(), error),
        };
        outlet.send(answer);
        drop(on_its_way);
    };
    let mut operation = Box::pin(operation);
    // Run until it first waits: a plain post is in its room's queue by then, before the connection's next frame is read.
    if futures::poll!(operation.as_mut()).is_pending() {
        tokio::spawn(operation);
    }
    Ok(())
}
