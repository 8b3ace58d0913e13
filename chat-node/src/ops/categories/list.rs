//! Shows categories: those whose wall admits the caller; administrators see all.

use crate::error::{ChatError, Result};
use crate::model::{Caller, Category, Source};
use crate::node::Node;

fn visible(category: &Category, caller: &Caller) -> bool {
    caller.administrator || category.lists().admits(&caller.principal)
}

/// To everybody but administrators the lists stay closed: they name people on both sides of a wall.
fn shown(mut category: Category, caller: &Caller) -> Category {
    if !caller.administrator {
        category.allowed.clear();
        category.denied.clear();
        category.creators.clear();
    }
    category
}

/// All that the caller may see, by name.
///
/// # Errors
/// What the database says.
pub async fn list(node: &Node, caller: &Caller) -> Result<Vec<Category>> {
    let rows = node
        .db
        .all("select * from categories order by name_key", Vec::new())
        .await?;
    let all = rows
        .iter()
        .map(Category::from_row)
        .collect::<Result<Vec<Category>>>()?;
    Ok(all
        .into_iter()
        .filter(|category| visible(category, caller))
        .map(|category| shown(category, caller))
        .collect())
}

/// One of them.
///
/// # Errors
/// There is none, or the caller may not see it.
pub async fn get(node: &Node, caller: &Caller, id: &str) -> Result<Category> {
    let category = Category::load(&mut Source::Db(&node.db), id).await?;
    if visible(&category, caller) {
        Ok(shown(category, caller))
    } else {
        Err(ChatError::NotFound { what: "category" })
    }
}
