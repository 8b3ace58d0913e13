//! `holdfast-chat admin`: everything that administrators do, over the HTTP API. Standard output is JSON, a line each.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::client::{AdminClient, AdminError, print};
use super::transfer::{export, export_configuration, import, import_configuration, pages};
use crate::auth::{Claims, Secret};

/// `admin`.
#[derive(Debug, Clone, Args)]
pub struct AdminFlags {
    /// The node's URL, as clients use it.
    #[arg(
        long,
        value_name = "URL",
        env = "HOLDFAST_CHAT_URL",
        default_value = "http://127.0.0.1:8010"
    )]
    pub url: String,
    /// The node's folder: its secret signs a token of a minute. Otherwise an administrator's bearer token is in the variable HOLDFAST_CHAT_TOKEN.
    #[arg(long, value_name = "DIR", env = "HOLDFAST_CHAT_DATA")]
    pub data: Option<PathBuf>,
    /// The pool's secret, when it is elsewhere.
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// The administrator's id, with a token signed here [default: the name of the system's user].
    #[arg(long = "as", value_name = "ID")]
    pub sub: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: AdminCommand,
}

/// A state for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NodeWord {
    /// Takes users.
    Active,
    /// Runs, and takes no users until it is told to.
    Standby,
    /// Sends its users to the others.
    Draining,
}

/// A state for a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum UserWord {
    /// May come in.
    Active,
    /// May not, and is out at once.
    Disabled,
    /// Is gone for good; what they said stays.
    Deleted,
}

/// Subcommands of `admin`. SETTINGS are a JSON object of the API's members, as /openapi.json describes them.
#[derive(Debug, Clone, Subcommand)]
pub enum AdminCommand {
    /// List the pool's nodes.
    Nodes,
    /// Make a node active, standby, or empty it.
    Node {
        /// Its name.
        name: String,
        /// What it shall be.
        state: NodeWord,
    },
    /// List categories.
    Categories,
    /// Create a category.
    CreateCategory {
        /// Its name.
        name: String,
        /// allowed, denied, creators, invitations, files, history.
        #[arg(value_name = "SETTINGS", default_value = "{}")]
        settings: String,
    },
    /// Change a category.
    SetCategory {
        /// Its id.
        id: String,
        /// What changes.
        #[arg(value_name = "SETTINGS")]
        settings: String,
    },
    /// Delete an empty category.
    DeleteCategory {
        /// Its id.
        id: String,
    },
    /// List rooms.
    Rooms {
        /// Only rooms with this text in name or description.
        #[arg(long, value_name = "TEXT")]
        q: Option<String>,
    },
    /// Create a room.
    CreateRoom {
        /// Its name.
        name: String,
        /// Its category's id.
        #[arg(long, value_name = "ID")]
        category: String,
        /// description, type, privacy, invitations, addin_url.
        #[arg(value_name = "SETTINGS", default_value = "{}")]
        settings: String,
    },
    /// Change a room: settings, category, disabled.
    SetRoom {
        /// Its id.
        id: String,
        /// What changes.
        #[arg(value_name = "SETTINGS")]
        settings: String,
    },
    /// Delete a room with its content. The archive keeps it.
    DeleteRoom {
        /// Its id.
        id: String,
    },
    /// List a room's members.
    Members {
        /// The room's id.
        room: String,
    },
    /// Give somebody a role in a room.
    AddMember {
        /// The room's id.
        room: String,
        /// The user's id.
        user: String,
        /// member, presenter or manager.
        #[arg(long, default_value = "member")]
        role: String,
    },
    /// Take somebody out of a room.
    RemoveMember {
        /// The room's id.
        room: String,
        /// The user's id.
        user: String,
    },
    /// Let a user in, keep one out, or delete one.
    User {
        /// The user's id.
        id: String,
        /// What they shall be.
        state: UserWord,
    },
    /// Delete what was said in a room before a time. The archive keeps it.
    Purge {
        /// The room's id.
        room: String,
        /// RFC 3339.
        #[arg(long, value_name = "TIME")]
        before: String,
    },
    /// Delete messages, or put another text in their place, by user, time or words.
    Replace {
        /// The room's id.
        room: String,
        /// Messages of this user.
        #[arg(long, value_name = "ID")]
        from: Option<String>,
        /// Messages from this time on, RFC 3339.
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Messages before this time.
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// Messages with these words and "phrases".
        #[arg(long)]
        words: Option<String>,
        /// The text in their place; without it they are deleted.
        #[arg(long, value_name = "TEXT")]
        with: Option<String>,
        /// Why, for the record.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Write a room down: a line a page, for `import`.
    Export {
        /// The room's id.
        room: String,
    },
    /// Take in a room that `export` wrote; its category must exist by name, its files' bytes must be in this pool's store.
    Import {
        /// The file.
        file: PathBuf,
    },
    /// Write categories and rooms down, without what was said: a line a page, for `import-configuration`.
    ExportConfiguration,
    /// Make categories and rooms as `export-configuration` wrote them; what is there besides stays.
    ImportConfiguration {
        /// The file.
        file: PathBuf,
    },
    /// Post a test message through the whole path.
    Synthetic {
        /// The room's id.
        room: String,
    },
}

fn settings(text: &str) -> Result<Map<String, Value>, AdminError> {
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Ok(members),
        _other => Err(AdminError::Usage {
            problem: format!("{text:?} is no JSON object"),
            hint: "such as '{\"privacy\": \"open\"}'",
        }),
    }
}

/// A part of a path: ids come from people here.
fn part(id: &str) -> String {
    url::form_urlencoded::byte_serialize(id.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

fn token(
    flags: &AdminFlags,
    now_us: i64,
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let path = match (&flags.secret_file, &flags.data) {
        (Some(path), _) => path.clone(),
        (None, Some(data)) => data.join("secret"),
        (None, None) => {
            return std::env::var("HOLDFAST_CHAT_TOKEN").map_err(|_unset| {
                AdminError::Usage {
                    problem: "nobody is named".to_owned(),
                    hint: "--data DIR (the node's folder), or an administrator's token in HOLDFAST_CHAT_TOKEN",
                }
                .into()
            });
        }
    };
    let user = || whoami::username().unwrap_or_else(|_unknown| "administrator".to_owned());
    let claims = Claims {
        sub: flags.sub.clone().unwrap_or_else(user),
        name: None,
        email: None,
        uri: None,
        roles: vec!["admin".to_owned()],
        groups: Vec::new(),
        internal: None,
        kind: None,
        exp: u64::try_from(now_us / 1_000_000)? + 60,
    };
    Ok(claims.sign(&Secret::load(&path)?)?)
}

/// Does it.
///
/// # Errors
/// No token; see [`AdminError`].
pub async fn administer(
    flags: AdminFlags,
    now_us: i64,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let client = AdminClient::new(&flags.url, token(&flags, now_us)?)?;
    match flags.command {
        AdminCommand::Export { room } => {
            export(&client, &format!("/v1/admin/export/{}", part(&room))).await?;
        }
        AdminCommand::Import { file } => import(&client, &file).await?,
        AdminCommand::ExportConfiguration => export_configuration(&client).await?,
        AdminCommand::ImportConfiguration { file } => {
            import_configuration(&client, &file).await?;
        }
        AdminCommand::Rooms { q } => {
            let filter: Vec<(&str, String)> = q.map(|q| ("q", q)).into_iter().collect();
            pages(&client, "/v1/rooms", "name", &filter).await?;
        }
        AdminCommand::Members { room } => {
            let path = format!("/v1/rooms/{}/members", part(&room));
            pages(&client, &path, "id", &[]).await?;
        }
        command => {
            let (method, path, body) = request(command)?;
            print(&client.call(method, &path, &[], body.as_ref()).await?)?;
        }
    }
    Ok(())
}

/// Commands that are one call.
fn request(command: AdminCommand) -> Result<(Method, String, Option<Value>), AdminError> {
    use AdminCommand as C;
    let with = |text: &str, own: &[(&str, &str)]| -> Result<Option<Value>, AdminError> {
        let mut members = settings(text)?;
        for (name, value) in own {
            members.insert((*name).to_owned(), json!(value));
        }
        Ok(Some(Value::Object(members)))
    };
    let category = |id: &str| format!("/v1/categories/{}", part(id));
    let room_path = |id: &str| format!("/v1/rooms/{}", part(id));
    let member =
        |room: &str, user: &str| format!("/v1/rooms/{}/members/{}", part(room), part(user));
    Ok(match command {
        C::Nodes => (Method::GET, "/v1/admin/nodes".into(), None),
        C::Node { name, state } => {
            let state = match state {
                NodeWord::Active => "active",
                NodeWord::Standby => "standby",
                NodeWord::Draining => "draining",
            };
            let path = format!("/v1/admin/nodes/{}", part(&name));
            (Method::PATCH, path, Some(json!({"state": state})))
        }
        C::Categories => (Method::GET, "/v1/categories".into(), None),
        C::CreateCategory { name, settings } => {
            let body = with(&settings, &[("name", &name)])?;
            (Method::POST, "/v1/categories".into(), body)
        }
        C::SetCategory { id, settings } => (Method::PATCH, category(&id), with(&settings, &[])?),
        C::DeleteCategory { id } => (Method::DELETE, category(&id), None),
        C::CreateRoom {
            name,
            category,
            settings,
        } => {
            let body = with(&settings, &[("name", &name), ("category", &category)])?;
            (Method::POST, "/v1/rooms".into(), body)
        }
        C::SetRoom { id, settings } => (Method::PATCH, room_path(&id), with(&settings, &[])?),
        C::DeleteRoom { id } => (Method::DELETE, room_path(&id), None),
        C::AddMember { room, user, role } => (
            Method::PUT,
            member(&room, &user),
            Some(json!({"role": role})),
        ),
        C::RemoveMember { room, user } => (Method::DELETE, member(&room, &user), None),
        C::User { id, state } => {
            let path = format!("/v1/admin/users/{}", part(&id));
            match state {
                UserWord::Active => (Method::PATCH, path, Some(json!({"state": "active"}))),
                UserWord::Disabled => (Method::PATCH, path, Some(json!({"state": "disabled"}))),
                UserWord::Deleted => (Method::DELETE, path, None),
            }
        }
        C::Purge { room, before } => {
            let body = json!({"room": room, "before": before});
            (Method::POST, "/v1/admin/purge".into(), Some(body))
        }
        C::Replace {
            room,
            from,
            since,
            until,
            words,
            with,
            reason,
        } => {
            let body = json!({"room": room, "from": from, "since": since, "until": until, "words": words, "replacement": with,
                              "reason": reason});
            (Method::POST, "/v1/admin/replace".into(), Some(body))
        }
        C::Synthetic { room } => {
            let body = json!({"room": room});
            (Method::POST, "/v1/admin/synthetic".into(), Some(body))
        }
        C::Rooms { .. }
        | C::Members { .. }
        | C::Export { .. }
        | C::Import { .. }
        | C::ExportConfiguration
        | C::ImportConfiguration { .. } => {
            return Err(AdminError::Usage {
                problem: "this command takes several calls".into(),
                hint: "please report this",
            });
        }
    })
}
