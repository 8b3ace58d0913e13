//! Gives rows their place: dense sequences per origin, in the order of insertion.

use holdfast_schemas::event_type;
use holdfast_schemas::outbox::complete;
use sha2::{Digest, Sha256};
use sqlx::AssertSqlSafe;

use super::lease::Lease;
use super::origin::Origin;
use super::{Draft, OutboxRow, partition_for};
use crate::args;
use crate::db::{self, Db, Tx, Value, chunk_sizes, placeholders};
use crate::error::{ChatError, Result};

/// Rows of one pass: one transaction.
pub const PASS_ROWS_MAX: i64 = 2000;
/// Bytes of their events, but for the last one: what is hashed in the time that a pass has.
const PASS_BYTES_MAX: i64 = 16 << 20;

/// What a pass did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pass {
    /// Rows got a sequence.
    Sequenced {
        /// How many, a heartbeat among them.
        rows: u64,
        /// Whether there were no more.
        drained: bool,
    },
    /// Another node has taken over; nothing was changed.
    Fenced,
}

/// What a pass needs to know.
#[derive(Debug)]
pub struct PassContext<'a> {
    /// The right to sequence.
    pub lease: &'a Lease,
    /// Partitions of the topic; `None`: no Kafka, or it was not reached yet. Then the relay stores the partition before it produces.
    pub partitions: Option<u32>,
    /// The `source` of heartbeats, when one is due.
    pub heartbeat_source: Option<&'a str>,
    /// The present.
    pub now_us: i64,
}

struct Row {
    id: i64,
    room_id: Option<String>,
    event: String,
}

/// One pass, if there is something to do. `origin` is brought up to date when it succeeds, and the lease lives on.
///
/// Reading and hashing come before the transaction: it holds SQLite's only writer, and posts wait for that. Whoever holds the fence is the only one
/// who sequences, so that what was read still holds in the transaction when the origin stands where it stood.
///
/// # Errors
/// What the database says; nothing was changed then, or it is unknown whether: the next pass reads from SQL where it stands.
pub async fn pass(db: &Db, origin: &mut Origin, context: &PassContext<'_>) -> Result<Pass> {
    loop {
        let (rows, drained) = unsequenced(db).await?;
        let heartbeat_source = context.heartbeat_source.filter(|_source| drained);
        if rows.is_empty() && heartbeat_source.is_none() {
            return Ok(Pass::Sequenced { rows: 0, drained });
        }
        let first = origin.last_sequence + 1;
        let (rows, mut next) = extended(rows, origin.clone()).await?;
        let mut tx = db.begin().await?;
        if !context.lease.live_on(&mut tx, context.now_us).await? {
            return Ok(Pass::Fenced);
        }
        let stored = stored(&mut tx, origin).await?;
        if stored != *origin {
            *origin = stored;
            continue;
        }
        place(&mut tx, &rows, &next.name, first, context.partitions).await?;
        let mut count = rows.len() as u64;
        if let Some(source) = heartbeat_source {
            heartbeat(&mut tx, &mut next, source, context).await?;
            count += 1;
        }
        let sql = "update outbox_origins set last_sequence = $1, digest = $2 where origin = $3";
        tx.execute(sql, args![next.last_sequence, &next.digest, &next.name])
            .await?;
        // Durable at once, unlike other work of the outbox: what is sequenced may be read and archived by then, and must keep its place.
        tx.commit().await?;
        *origin = next;
        return Ok(Pass::Sequenced {
            rows: count,
            drained,
        });
    }
}

/// The rows of a pass, and whether they are all there are. Sizes are looked at first: thousands of large events are not read
/// to be left for the next passes.
async fn unsequenced(db: &Db) -> Result<(Vec<Row>, bool)> {
    let sql = "select id, cast(octet_length(event) as bigint) from outbox where sequence is null order by id limit $1";
    let found = db.all(sql, args![PASS_ROWS_MAX]).await?;
    let mut all = i64::try_from(found.len()).is_ok_and(|found| found < PASS_ROWS_MAX);
    let (mut bytes, mut through) = (0, None);
    for row in &found {
        if bytes >= PASS_BYTES_MAX {
            all = false;
            break;
        }
        bytes += row.int(1)?;
        through = Some(row.int(0)?);
    }
    let Some(through) = through else {
        return Ok((Vec::new(), true));
    };
    let sql = "select id, room_id, event from outbox where sequence is null and id <= $1 order by id limit $2";
    let rows = db.all(sql, args![through, PASS_ROWS_MAX]).await?;
    let read = |row: &db::Row| {
        Ok(Row {
            id: row.int(0)?,
            room_id: row.text_opt(1)?,
            event: row.text(2)?,
        })
    };
    Ok((rows.iter().map(read).collect::<Result<_>>()?, all))
}

/// Where the origin stands.
async fn stored(tx: &mut Tx, origin: &Origin) -> Result<Origin> {
    let sql = "select last_sequence, digest from outbox_origins where origin = $1";
    let row = tx.one(sql, args![&origin.name]).await?;
    Ok(Origin {
        last_sequence: row.int(0)?,
        digest: row.text(1)?,
        ..origin.clone()
    })
}

/// The origin after these rows. Hashing a full pass takes milliseconds: not on a thread that serves users.
async fn extended(rows: Vec<Row>, mut origin: Origin) -> Result<(Vec<Row>, Origin)> {
    let hashed = tokio::task::spawn_blocking(move || {
        for row in &rows {
            extend(&mut origin, &row.event)?;
        }
        Ok((rows, origin))
    });
    hashed
        .await
        .map_err(|error| ChatError::Internal(error.to_string()))?
}

/// The next event of the origin: its place, and the digest over its hash.
fn extend(origin: &mut Origin, event: &str) -> Result<()> {
    let sequence = origin.last_sequence + 1;
    let number = u64::try_from(sequence)
        .map_err(|_negative| ChatError::Internal("a sequence below zero".into()))?;
    let whole = complete(event, &origin.name, number)
        .map_err(|error| ChatError::Internal(error.to_string()))?;
    let hash = match holdfast_schemas::decode::decode(&whole) {
        Ok(decoded) => holdfast_schemas::hash::event_hash(&decoded, &mut Vec::new()),
        // The archive quarantines it under this place; stopping here would hold back everything behind it.
        Err(error) => {
            tracing::error!(error = %error, origin = origin.name, sequence, "an event in the outbox does not follow the contract");
            Sha256::digest(&whole).into()
        }
    };
    let before = hex::decode(&origin.digest)
        .map_err(|error| ChatError::Internal(format!("the stored digest: {error}")))?;
    origin.digest = hex::encode(
        Sha256::new()
            .chain_update(before)
            .chain_update(hash)
            .finalize(),
    );
    origin.last_sequence = sequence;
    Ok(())
}

async fn place(
    tx: &mut Tx,
    rows: &[Row],
    origin: &str,
    first: i64,
    partitions: Option<u32>,
) -> Result<()> {
    let mut rest = rows;
    let mut sequence = first;
    for size in chunk_sizes(rows.len()) {
        let (chunk, after) = rest.split_at(size);
        rest = after;
        let mut args: Vec<Value> = args![origin];
        for row in chunk {
            let partition = partitions.map(|count| {
                i64::from(partition_for(
                    row.room_id.as_deref().unwrap_or(origin),
                    count,
                ))
            });
            args.extend([Value::from(row.id), sequence.into(), partition.into()]);
            sequence += 1;
        }
        let values = placeholders(2, size, &["bigint", "bigint", "bigint"]);
        let sql = format!(
            "update outbox set origin = $1, sequence = v.column2, partition = v.column3 from (values {values}) as v where outbox.id = v.column1"
        );
        tx.execute(AssertSqlSafe(sql), args).await?;
    }
    Ok(())
}

async fn heartbeat(
    tx: &mut Tx,
    origin: &mut Origin,
    source: &str,
    context: &PassContext<'_>,
) -> Result<()> {
    let through = format!("{:020}", origin.last_sequence);
    let draft = Draft {
        event_type: event_type::ORIGIN_HEARTBEAT,
        time_us: context.now_us,
        room: None,
        actor: None,
        data: serde_json::json!({"through": through, "digest": origin.digest}),
    };
    let OutboxRow {
        event, created_us, ..
    } = draft.encode(source)?;
    extend(origin, &event)?;
    let partition = context
        .partitions
        .map(|count| i64::from(partition_for(&origin.name, count)));
    let sql = "insert into outbox (event, created_us, origin, sequence, partition) values ($1, $2, $3, $4, $5)";
    tx.execute(
        sql,
        args![
            event,
            created_us,
            &origin.name,
            origin.last_sequence,
            partition
        ],
    )
    .await?;
    Ok(())
}
