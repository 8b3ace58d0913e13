//! What a batch has to know: its rooms (locked), its authors' roles and state, and posts that are already there.

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::AssertSqlSafe;

use super::{PostJob, sql};
use crate::db::{Dialect, Row, Tx, padded};
use crate::error::{ChatError, Result};
use crate::model::{Entry, Room, known_role};
use crate::rules::Role;

/// Everything read at the beginning of a batch's transaction.
#[derive(Debug, Default)]
pub(super) struct Context {
    rooms: HashMap<String, Room>,
    /// `last_seq` as read.
    before: HashMap<String, i64>,
    roles: HashMap<(String, String), Role>,
    inactive: HashSet<String>,
    posted: HashMap<(String, String, String), Entry>,
}

impl Context {
    pub(super) async fn load(tx: &mut Tx, posts: &[PostJob]) -> Result<Self> {
        let mut context = Self::default();
        if posts.is_empty() {
            return Ok(context);
        }
        context.load_rooms(tx, posts).await?;
        context.load_people(tx, posts).await?;
        context.load_posted(tx, posts).await?;
        Ok(context)
    }

    async fn load_rooms(&mut self, tx: &mut Tx, posts: &[PostJob]) -> Result<()> {
        let ids: BTreeSet<Vec<&str>> = posts
            .iter()
            .map(|post| vec![post.room_id.as_str()])
            .collect();
        let (count, args) = padded(ids.iter().map(Vec::as_slice));
        if tx.dialect() == Dialect::Postgres {
            let sql = sql::lock_rooms(count);
            tx.execute(AssertSqlSafe(sql), args.clone()).await?;
        }
        for row in tx.all(AssertSqlSafe(sql::rooms(count)), args).await? {
            let room = Room::from_row(&row)?;
            self.before.insert(room.id.clone(), room.last_seq);
            self.rooms.insert(room.id.clone(), room);
        }
        Ok(())
    }

    async fn load_people(&mut self, tx: &mut Tx, posts: &[PostJob]) -> Result<()> {
        let pairs: BTreeSet<Vec<&str>> = posts
            .iter()
            .map(|post| vec![post.room_id.as_str(), post.caller.id()])
            .collect();
        let (count, args) = padded(pairs.iter().map(Vec::as_slice));
        for row in tx.all(AssertSqlSafe(sql::people(count)), args).await? {
            let (room, user) = (row.text(0)?, row.text(1)?);
            if row.text_opt(3)?.is_some_and(|state| state != "active") {
                self.inactive.insert(user.clone());
            }
            if let Some(role) = row.text_opt(2)? {
                self.roles.insert((room, user), known_role(&role)?);
            }
        }
        Ok(())
    }

    async fn load_posted(&mut self, tx: &mut Tx, posts: &[PostJob]) -> Result<()> {
        let named = posts.iter().filter_map(|post| {
            post.message
                .client_id
                .as_deref()
                .map(|client_id| vec![post.room_id.as_str(), post.caller.id(), client_id])
        });
        let keys: BTreeSet<Vec<&str>> = named.collect();
        if keys.is_empty() {
            return Ok(());
        }
        let (count, args) = padded(keys.iter().map(Vec::as_slice));
        let rows: Vec<Row> = tx.all(AssertSqlSafe(sql::posted(count)), args).await?;
        for row in &rows {
            self.remember(&Entry::from_row(row)?);
        }
        Ok(())
    }

    /// An entry with a `client_id` answers every later post with the same one, in this batch too.
    pub(super) fn remember(&mut self, entry: &Entry) {
        if let Some(client_id) = &entry.client_id {
            self.posted.insert(
                (
                    entry.room.clone(),
                    entry.author.id.clone(),
                    client_id.clone(),
                ),
                entry.clone(),
            );
        }
    }

    pub(super) fn repeated(
        &self,
        room: &str,
        user: &str,
        client_id: Option<&str>,
    ) -> Option<Entry> {
        self.posted
            .get(&(room.to_owned(), user.to_owned(), client_id?.to_owned()))
            .cloned()
    }

    pub(super) fn room(&mut self, id: &str) -> Result<&mut Room> {
        self.rooms
            .get_mut(id)
            .ok_or(ChatError::NotFound { what: "room" })
    }

    pub(super) fn role(&self, room: &str, user: &str) -> Option<Role> {
        self.roles.get(&(room.to_owned(), user.to_owned())).copied()
    }

    pub(super) fn check_user(&self, user: &str) -> Result<()> {
        if self.inactive.contains(user) {
            return Err(ChatError::Forbidden {
                reason: "this user is disabled",
            });
        }
        Ok(())
    }

    /// Rooms that got entries, with their new `last_seq`, in the order of their ids.
    pub(super) fn advanced(&self) -> Vec<(&str, i64)> {
        let mut rooms: Vec<(&str, i64)> = self
            .rooms
            .values()
            .filter(|room| self.before.get(&room.id) != Some(&room.last_seq))
            .map(|room| (room.id.as_str(), room.last_seq))
            .collect();
        rooms.sort_unstable();
        rooms
    }
}
