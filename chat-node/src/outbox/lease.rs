//! Leases in SQL with a fencing number: one holder at a time, and whatever an earlier holder still tries fails on its number.

use std::time::Duration;

use crate::args;
use crate::clock::Clock;
use crate::db::{Db, Dialect, Tx};
use crate::error::Result;

/// The lease of the pool's relay.
pub const RELAY: &str = "relay";
/// How long a lease lives without being renewed: a killed leader's work is taken over after this.
pub const LIFE: Duration = Duration::from_secs(3);
/// How often it is renewed, and how often others look.
pub const RENEW: Duration = Duration::from_millis(750);

const POSTGRES_NOW_US: &str =
    "select cast(extract(epoch from clock_timestamp()) * 1000000 as bigint)";

/// A lease that is held, as far as its holder knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Which lease.
    pub name: &'static str,
    /// The holder's run.
    pub holder: String,
    /// Its fencing number.
    pub fence: i64,
}

/// The time that all nodes of a pool agree on: the database's. SQLite has one node, whose clock it is.
///
/// # Errors
/// What the database says.
pub async fn pool_now_us(db: &Db, clock: &dyn Clock) -> Result<i64> {
    match db.dialect() {
        Dialect::Sqlite => Ok(clock.now_us()),
        Dialect::Postgres => db.one(POSTGRES_NOW_US, Vec::new()).await?.int(0),
    }
}

/// The same, as of now, in a transaction: whoever waited for its connection has waited.
///
/// # Errors
/// What the database says.
pub async fn pool_now_within_us(tx: &mut Tx, now_us: i64) -> Result<i64> {
    match tx.dialect() {
        Dialect::Sqlite => Ok(now_us),
        Dialect::Postgres => tx.one(POSTGRES_NOW_US, Vec::new()).await?.int(0),
    }
}

fn life_us() -> i64 {
    i64::try_from(LIFE.as_micros()).unwrap_or(i64::MAX)
}

/// Takes the lease if nobody holds it; the fencing number grows with every holder.
///
/// # Errors
/// What the database says.
pub async fn acquire(
    db: &Db,
    clock: &dyn Clock,
    name: &'static str,
    holder: &str,
) -> Result<Option<Lease>> {
    let now_us = pool_now_us(db, clock).await?;
    // Looking first spares followers a write every time.
    let held = db
        .first(
            "select 1 from leases where name = $1 and expires_us > $2",
            args![name, now_us],
        )
        .await?;
    if held.is_some() {
        return Ok(None);
    }
    let mut tx = db.begin().await?;
    let row = tx
        .first(
            "insert into leases (name, holder, fence, expires_us) values ($1, $2, 1, $3) \
             on conflict (name) do update set holder = excluded.holder, fence = leases.fence + 1, expires_us = excluded.expires_us \
             where leases.expires_us <= $4 returning fence",
            args![name, holder, now_us + life_us(), now_us],
        )
        .await?;
    let fence = row.map(|row| row.int(0)).transpose()?;
    tx.commit().await?;
    Ok(fence.map(|fence| Lease {
        name,
        holder: holder.to_owned(),
        fence,
    }))
}

impl Lease {
    /// Lives on; `false` when somebody else has taken over.
    ///
    /// # Errors
    /// What the database says.
    pub async fn renew(&self, db: &Db, clock: &dyn Clock) -> Result<bool> {
        let mut tx = db.begin().await?;
        // A renewal that a crash takes back makes the lease end sooner: posts need not wait for its sync.
        tx.relax().await?;
        let lives = self.live_on(&mut tx, clock.now_us()).await?;
        tx.commit().await?;
        Ok(lives)
    }

    /// Whether this transaction may act for the holder. Locks the lease's row: nobody can take over before the transaction ends.
    ///
    /// # Errors
    /// What the database says.
    pub async fn holds(&self, tx: &mut Tx) -> Result<bool> {
        let sql = "update leases set fence = fence where name = $1 and fence = $2";
        Ok(tx.execute(sql, args![self.name, self.fence]).await? == 1)
    }

    /// [`Lease::holds`], and with this transaction's commit the lease lives on: a commit of its own would be one more sync of the database's log.
    /// `now_us` is the node's time, for SQLite.
    ///
    /// # Errors
    /// What the database says.
    pub async fn live_on(&self, tx: &mut Tx, now_us: i64) -> Result<bool> {
        let now_us = pool_now_within_us(tx, now_us).await?;
        let sql = "update leases set expires_us = $1 where name = $2 and fence = $3";
        let args = args![now_us + life_us(), self.name, self.fence];
        Ok(tx.execute(sql, args).await? == 1)
    }

    /// Gives it up, so that another need not wait.
    ///
    /// # Errors
    /// What the database says.
    pub async fn release(&self, db: &Db) -> Result<()> {
        db.execute(
            "update leases set expires_us = 0 where name = $1 and fence = $2",
            args![self.name, self.fence],
        )
        .await?;
        Ok(())
    }
}
