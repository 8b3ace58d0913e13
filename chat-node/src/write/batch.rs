//! One batch: its transaction, then the answers.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::oneshot;

use super::context::Context;
use super::{Job, PostJob, Posted, statements};
use crate::clock::new_id;
use crate::db::in_time;
use crate::error::{ChatError, Result};
use crate::model::{Action, Author, Entry, FileInfo, MessageKind, time_text};
use crate::node::Node;
use crate::outbox::{Draft, OutboxRow};
use crate::rules::Operation;

/// Deadlocks between nodes resolve within a try or two; rooms are locked in the order of their ids, so there are hardly any. And commits that were
/// lost on their way to the database.
const TRIES: usize = 4;

type EventAnswers = Vec<oneshot::Sender<Result<()>>>;

/// What became of a batch: to be told to those who asked, and to those who listen.
pub(super) struct Written {
    posts: Vec<(PostJob, Outcome)>,
    events: Vec<(oneshot::Sender<Result<()>>, Result<()>)>,
}

/// Writes a batch.
pub(super) async fn write(node: &Node, jobs: Vec<Job>) -> Written {
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
        Ok(outcomes) => Written::new(posts, outcomes, answers, &Ok(())),
        Err(error) => apart(node, posts, events, answers, error).await,
    }
}

/// A batch that the database refused is written piece by piece, so that one piece cannot fail the others.
async fn apart(
    node: &Node,
    posts: Vec<PostJob>,
    events: Vec<OutboxRow>,
    answers: EventAnswers,
    error: ChatError,
) -> Written {
    let refused = matches!(&error, ChatError::Database(sqlx::Error::Database(_)));
    let pieces = posts.len() + usize::from(!events.is_empty());
    if !refused || pieces <= 1 {
        tracing::warn!(error = %error, posts = posts.len(), "a batch was not written");
        let outcomes = posts.iter().map(|_post| Err(told(&error))).collect();
        return Written::new(posts, outcomes, answers, &Err(error));
    }
    let mut outcomes = Vec::with_capacity(posts.len());
    for post in &posts {
        let mut single = attempt(node, std::slice::from_ref(post), &[]).await;
        outcomes.push(match single.as_mut().map(Vec::pop) {
            Ok(Some(outcome)) => outcome,
            Ok(None) => Err(ChatError::Internal("a post without an outcome".into())),
            Err(error) => {
                tracing::warn!(room = post.room_id, error = %error, "a post was not written");
                Err(told(error))
            }
        });
    }
    let written = if events.is_empty() {
        Ok(())
    } else {
        attempt(node, &[], &events).await.map(drop)
    };
    Written::new(posts, outcomes, answers, &written)
}

impl Written {
    fn new(
        posts: Vec<PostJob>,
        outcomes: Vec<Outcome>,
        answers: EventAnswers,
        events: &Result<()>,
    ) -> Self {
        let answered = || events.as_ref().copied().map_err(told);
        Self {
            posts: posts.into_iter().zip(outcomes).collect(),
            events: answers
                .into_iter()
                .map(|answer| (answer, answered()))
                .collect(),
        }
    }

    /// Tells everybody. Whoever asked may be gone; what is written is written all the same.
    pub(super) fn tell(self, node: &Arc<Node>) {
        for (post, outcome) in self.posts {
            let told = outcome.map(|(posted, epoch)| {
                if !posted.repeated {
                    node.publish(&posted.entry, epoch);
                }
                posted
            });
            let _gone = post.answer.send(told);
        }
        for (answer, outcome) in self.events {
            let _gone = answer.send(outcome);
        }
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

/// What the event of a post tells beside room and actor.
#[derive(Serialize)]
struct PostedData<'a> {
    room_seq: i64,
    message: PostedMessage<'a>,
}

#[derive(Serialize)]
struct PostedMessage<'a> {
    id: &'a str,
    kind: MessageKind,
    title: Option<&'a str>,
    body: Option<&'a str>,
    reply_to: Option<&'a str>,
    attachments: &'a [FileInfo],
    mentions: &'a [String],
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
    // Until the commit is asked for, nothing can happen: whoever waits too long may be refused.
    let limit = node.limits.database_answer;
    let (mut tx, mut context) = in_time(limit, async {
        let mut tx = node.db.begin().await?;
        let context = Context::load(&mut tx, posts).await?;
        Ok((tx, context))
    })
    .await?;
    let now_us = node.clock.now_us();
    let mut outbox = Vec::with_capacity(posts.len() + events.len());
    let outcomes: Vec<Outcome> = posts
        .iter()
        .map(|post| accept(node, &mut context, post, now_us, &mut outbox))
        .collect();
    let fresh: Vec<&Entry> = outcomes
        .iter()
        .filter_map(|outcome| outcome.as_ref().ok())
        .filter(|(posted, _epoch)| !posted.repeated)
        .map(|(posted, _epoch)| &posted.entry)
        .collect();
    outbox.extend_from_slice(events);
    in_time(limit, async {
        statements::advance_rooms(&mut tx, &context).await?;
        statements::insert_messages(&mut tx, &fresh, now_us).await
    })
    .await?;
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
        data: PostedData {
            room_seq: entry.room_seq,
            message: PostedMessage {
                id: &entry.id,
                kind: entry.kind,
                title: entry.title.as_deref(),
                body: entry.body.as_deref(),
                reply_to: entry.reply_to.as_deref(),
                attachments: &entry.attachments,
                mentions: &entry.mentions,
            },
        },
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
