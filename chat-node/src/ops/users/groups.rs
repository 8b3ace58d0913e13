//! Many users with their groups, by one question.

use std::collections::BTreeSet;

use sqlx::SqlSafeStr;

use crate::db::{Row, Value};
use crate::error::Result;
use crate::model::Source;
use crate::rules::Principal;

/// Users with all their groups, each with the first of their rows. `sql` answers a row for a user and one of their groups, in this order of columns
/// and sorted by user; a user without groups has one row.
pub(in crate::ops) async fn with_groups(
    source: &mut Source<'_>,
    sql: impl SqlSafeStr,
    args: Vec<Value>,
) -> Result<Vec<(Principal, Row)>> {
    let mut people: Vec<(Principal, Row)> = Vec::new();
    for row in source.all(sql, args).await? {
        let (user, group) = (row.text(0)?, row.text_opt(1)?);
        match people.last_mut() {
            Some((last, _row)) if last.user_id == user => last.groups.extend(group),
            Some(_) | None => {
                let groups = BTreeSet::from_iter(group);
                let who = Principal {
                    user_id: user,
                    groups,
                };
                people.push((who, row));
            }
        }
    }
    Ok(people)
}
