//! Creates a category.

use holdfast_schemas::event_type;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{check_list, check_manager};
use crate::args;
use crate::clock::new_id;
use crate::error::{ChatError, Result};
use crate::model::{Caller, Category, list_to_json};
use crate::node::Node;
use crate::outbox::Draft;
use crate::rules::valid_name;

/// A category to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCategory {
    /// Unique in the pool.
    pub name: String,
    /// Who may be in its rooms: user ids, `group:ID`, or `*`. Everyone when left out.
    #[serde(default = "everyone")]
    pub allowed: Vec<String>,
    /// Who may not; wins over `allowed`.
    #[serde(default)]
    pub denied: Vec<String>,
    /// Who may create rooms; administrators always may.
    #[serde(default)]
    pub creators: Vec<String>,
    /// Whether adding somebody to a room tells them.
    #[serde(default = "yes")]
    pub invitations: bool,
    /// Whether users upload files.
    #[serde(default = "yes")]
    pub files: bool,
    /// Whether users see what was said before.
    #[serde(default = "yes")]
    pub history: bool,
}

/// One like this.
impl From<Category> for NewCategory {
    fn from(category: Category) -> Self {
        Self {
            name: category.name,
            allowed: category.allowed,
            denied: category.denied,
            creators: category.creators,
            invitations: category.invitations,
            files: category.files,
            history: category.history,
        }
    }
}

fn everyone() -> Vec<String> {
    vec!["*".into()]
}

fn yes() -> bool {
    true
}

/// Creates it.
///
/// # Errors
/// The caller is no administrator; a text is wrong; the name is taken.
pub async fn create(node: &Node, caller: &Caller, new: NewCategory) -> Result<Category> {
    check_manager(caller)?;
    let key = valid_name("name", &new.name)?;
    check_list("allowed", &new.allowed)?;
    check_list("denied", &new.denied)?;
    check_list("creators", &new.creators)?;
    let category = Category {
        id: new_id("c"),
        name: new.name,
        allowed: new.allowed,
        denied: new.denied,
        creators: new.creators,
        invitations: new.invitations,
        files: new.files,
        history: new.history,
        version: 1,
    };
    let now_us = node.clock.now_us();
    let mut tx = node.db.begin().await?;
    let inserted = tx
        .execute(
            "insert into categories (id, name, name_key, allowed, denied, creators, invitations, files, history, version, created_us, updated_us) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, $10)",
            args![
                &category.id,
                &category.name,
                key,
                list_to_json(&category.allowed),
                list_to_json(&category.denied),
                list_to_json(&category.creators),
                category.invitations,
                category.files,
                category.history,
                now_us,
            ],
        )
        .await;
    match inserted {
        Err(error) if error.is_unique_violation() => {
            return Err(ChatError::Conflict {
                problem: format!("there is a category named {:?}", category.name),
            });
        }
        other => other?,
    };
    let data = json!({"after": category.as_event()});
    let draft = Draft {
        event_type: event_type::CATEGORY_CREATED,
        time_us: now_us,
        room: None,
        actor: Some(&caller.person),
        data,
    };
    node.commit(tx, vec![node.event(draft)?]).await?;
    Ok(category)
}
