//! One batch: its transaction, then the answers.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::context::Context;
use super::{Job, PostJob, Posted, statements};
use crate::clock::new_id;
use crate::error::{ChatError, Result};
use crate::model::{Action, Author, Entry, time_text};
use crate::node::Node;
use crate::outbox::{Draft, OutboxRow};
use crate::rules::Operation;

/// Deadlocks between nodes resolve within a try or two; rooms are locked in the order of their ids, so there are hardly any. And commits that were
/// lost on their way to the database.
const TRIES: usize = 4;

type EventAnswers = Vec<oneshot::Sender<Result<()>>>;

/// Writes a batch and answers everybody in it.
pub(super) async fn run(node: &Arc<Node>, jobs: Vec<Job>) {
    let (mut posts, mut events, mut answers) = (Vec::new(), Vec::new(), EventAnswers::new());
    for job in jobs {
        match job {
            Job::Post(post) => posts.push(*post),
            Job::Events(rows, answer) => {
                events.extend(rows);
                answers.extend(answer);
            }
        }
    }
    match attempt(node, &posts, &events).await {
        Ok(outcomes) => {
            conclude(node, posts, outcomes);
            for answer in answers {
                // Whoever asked may be gone.
                let _gone = answer.send(Ok(()));
            }
        }
        Err(error) => apart(node, posts, events, answers, error).await,
    }
}

/// A batch that the database refused is written piece by piece, so that one piece cannot fail the others.
async fn apart(
    node: &Arc<Node>,
    posts: Vec<PostJob>,
    events: Vec<OutboxRow>,
    answers: EventAnswers,
    error: ChatError,
) {
    let refused = matches!(&error, ChatError::Database(sqlx::Error::Database(_)));
    let pieces = posts.len() + usize::from(!events.is_empty());
    if !refused || pieces <= 1 {
        tracing::warn!(error = %error, posts = posts.len(), "a batch was not written");
        for post in posts {
            let _gone = post.answer.send(Err(told(&error)));
        }
        for answer in answers {
            let _gone = answer.send(Err(told(&error)));
        }
        return;
    }
    for post in posts {
        let single = vec![post];
        match attempt(node, &single, &[]).await {
            Ok(outcomes) => conclude(node, single, outcomes),
            Err(error) => {
                for post in single {
                    tracing::warn!(room = post.room_id, error = %error, "a post was not written");
                    let _gone = post.answer.send(Err(told(&error)));
                }
            }
        }
    }
    let outcome = if events.is_empty() {
        Ok(Vec::new())
    } else {
        attempt(node, &[], &events).await
    };
    for answer in answers {
        let answered = match &outcome {
            Ok(_) => Ok(()),
            Err(error) => Err(told(error)),
        };
        let _gone = answer.send(answered);
    }
}

/// What those who asked are told: what the database said is for the log.
fn told(error: &ChatError) -> ChatError {
    let problem = match error {
        ChatError::Unavailable { problem } => problem.clone(),
        _other => "the database did not take this; try again".into(),
    };
    ChatError::Unavailable { problem }
}

/// What became of one post: accepted with the room's epoch, or refused.
type Outcome = Result<(Posted, i64)>;

async fn attempt(node: &Node, posts: &[PostJob], events: &[OutboxRow]) -> Result<Vec<Outcome>> {
    let mut tries = 1;
    loop {
        match transaction(node, posts, events).await {
            Err(error) if error.is_retryable() && tries < TRIES => tries += 1,
            outcome => return outcome,
        }
    }
}

async fn transaction(node: &Node, posts: &[PostJob], events: &[OutboxRow]) -> Result<Vec<Outcome>> {
    let mut tx = node.db.begin().await?;
    let mut context = Context::load(&mut tx, posts).await?;
    let now_us = node.clock.now_us();
    let mut outbox = Vec::with_capacity(posts.len() + events.len());
    let mut fresh = Vec::with_capacity(posts.len());
    let mut outcomes = Vec::with_capacity(posts.len());
    for post in posts {
        let outcome = accept(node, &mut context, post, now_us, &mut outbox);
        if let Ok((posted, _epoch)) = &outcome
            && !posted.repeated
        {
            fresh.push(posted.entry.clone());
        }
        outcomes.push(outcome);
    }
    outbox.extend_from_slice(events);
    statements::advance_rooms(&mut tx, &context).await?;
    statements::insert_messages(&mut tx, &fresh, now_us).await?;
    node.commit(tx, outbox).await?;
    node.metrics.batch_written(fresh.len());
    Ok(outcomes)
}

/// Judges one post and gives it its place. The place is taken only when everything about it is right: refused posts leave no gap.
fn accept(
    node: &Node,
    context: &mut Context,
    post: &PostJob,
    now_us: i64,
    outbox: &mut Vec<OutboxRow>,
) -> Outcome {
    let caller = &post.caller;
    context.check_user(caller.id())?;
    let role = context.role(&post.room_id, caller.id());
    let room = context.room(&post.room_id)?;
    let standing = room.standing(caller, role);
    room.permit(Operation::Post, standing)?;
    if !post.message.attachments.is_empty() {
        room.permit(Operation::Upload, standing)?;
    }
    let epoch = room.epoch;
    if let Some(entry) = context.repeated(
        &post.room_id,
        caller.id(),
        post.message.client_id.as_deref(),
    ) {
        return Ok((
            Posted {
                entry,
                repeated: true,
            },
            epoch,
        ));
    }
    let room = context.room(&post.room_id)?;
    let message = &post.message;
    let entry = Entry {
        room: post.room_id.clone(),
        room_seq: room.last_seq + 1,
        action: Action::Posted,
        id: new_id("m"),
        time: time_text(now_us),
        author: Author {
            id: caller.id().to_owned(),
            name: caller.person.name.clone(),
        },
        kind: message.kind,
        title: message.title.clone(),
        body: Some(message.body.clone()),
        reply_to: message.reply_to.clone(),
        attachments: message.attachments.clone(),
        mentions: message.mentions.clone(),
        client_id: message.client_id.clone(),
        edited_seq: None,
        deleted: false,
        reason: None,
    };
    let draft = Draft {
        event_type: holdfast_schemas::event_type::MESSAGE_POSTED,
        time_us: now_us,
        room: Some((&*room).into()),
        actor: Some(&caller.person),
        data: serde_json::json!({
            "room_seq": entry.room_seq,
            "message": {"id": entry.id, "kind": entry.kind, "title": entry.title, "body": entry.body, "reply_to": entry.reply_to,
                        "attachments": entry.attachments, "mentions": entry.mentions},
        }),
    };
    outbox.push(draft.encode(&node.source)?);
    room.last_seq += 1;
    context.remember(&entry);
    Ok((
        Posted {
            entry,
            repeated: false,
        },
        epoch,
    ))
}

fn conclude(node: &Arc<Node>, posts: Vec<PostJob>, outcomes: Vec<Outcome>) {
    for (post, outcome) in posts.into_iter().zip(outcomes) {
        let told = outcome.map(|(posted, epoch)| {
            if !posted.repeated {
                node.publish(&posted.entry, epoch);
            }
            posted
        });
        // Whoever asked may be gone; the message is posted all the same.
        let _gone = post.answer.send(told);
    }
}
