//! Categories: flat, each holding rooms.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Source, list_from_json};
use crate::args;
use crate::db::{Dialect, Row, Tx};
use crate::error::{ChatError, Result};
use crate::rules::Lists;

/// A category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Category {
    /// Its id.
    pub id: String,
    /// Its name, unique in the pool.
    pub name: String,
    /// Who may be in its rooms: users, `group:ID`, or `*`.
    pub allowed: Vec<String>,
    /// Who may not; wins over `allowed`.
    pub denied: Vec<String>,
    /// Who may create rooms in it.
    pub creators: Vec<String>,
    /// Whether adding somebody to one of its rooms tells them.
    pub invitations: bool,
    /// Whether users upload files.
    pub files: bool,
    /// Whether users see what was said before. What compliance keeps is another matter.
    pub history: bool,
    /// Grows with every change; the ETag.
    pub version: i64,
}

impl Category {
    /// From a row with the columns of `categories`.
    pub(crate) fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.text("id")?,
            name: row.text("name")?,
            allowed: list_from_json(&row.text("allowed")?)?,
            denied: list_from_json(&row.text("denied")?)?,
            creators: list_from_json(&row.text("creators")?)?,
            invitations: row.bool("invitations")?,
            files: row.bool("files")?,
            history: row.bool("history")?,
            version: row.int("version")?,
        })
    }

    /// The category of this id; locked when inside of a transaction.
    pub(crate) async fn load(source: &mut Source<'_>, id: &str) -> Result<Self> {
        let lock = source.for_update();
        let sql = sqlx::AssertSqlSafe(format!("select * from categories where id = $1{lock}"));
        let row = source
            .first(sql, args![id])
            .await?
            .ok_or(ChatError::NotFound { what: "category" })?;
        Self::from_row(&row)
    }

    /// Waits for whoever changes the category of this id; nothing if there is none. Who locks a category and rooms locks the category first: a move from one
    /// category to another and back, and a change of both's lists, would wait for each other in a circle.
    pub(crate) async fn lock(tx: &mut Tx, id: &str) -> Result<()> {
        if tx.dialect() == Dialect::Postgres {
            let sql = "select 1 from categories where id = $1 for update";
            tx.execute(sql, args![id]).await?;
        }
        Ok(())
    }

    /// Its lists.
    #[must_use]
    pub fn lists(&self) -> Lists {
        Lists {
            allowed: self.allowed.clone(),
            denied: self.denied.clone(),
            creators: self.creators.clone(),
        }
    }

    /// As an event's `before` or `after`.
    #[must_use]
    pub fn as_event(&self) -> serde_json::Value {
        serde_json::json!({
            "id": self.id, "name": self.name, "allowed": self.allowed, "denied": self.denied, "creators": self.creators,
            "invitations": self.invitations, "files": self.files, "history": self.history,
        })
    }
}
