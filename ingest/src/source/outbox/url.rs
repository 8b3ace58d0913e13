//! Where an outbox is: a SQLite file or a PostgreSQL database. A URL may hold a password; what is printed never does.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

/// The database behind an outbox. `Display` and `Debug` leave out user, password and options.
#[derive(Clone, PartialEq, Eq)]
pub enum OutboxUrl {
    /// A chat node's database file.
    Sqlite(PathBuf),
    /// `postgres://…`, with all of libpq's usual forms.
    Postgres(String),
}

impl FromStr for OutboxUrl {
    type Err = String;

    /// What follows `outbox:`. An error repeats nothing of it: a mistyped URL may hold a password too.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return match Url::parse(text) {
                Ok(url) if url.path().len() > 1 => Ok(Self::Postgres(text.to_owned())),
                Ok(_) => Err("it names no database".into()),
                Err(error) => Err(format!("it is no URL: {error}")),
            };
        }
        match text
            .strip_prefix("sqlite://")
            .or_else(|| text.strip_prefix("sqlite:"))
        {
            Some("") => Err("it names no file".into()),
            Some(path) => Ok(Self::Sqlite(PathBuf::from(path))),
            None => Err("an outbox is in sqlite: or in postgres:".into()),
        }
    }
}

impl OutboxUrl {
    /// Whether a password is part of it.
    #[must_use]
    pub fn has_password(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            // Whatever cannot be taken apart may hold one.
            Self::Postgres(text) => Url::parse(text).map_or(true, |url| {
                url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password")
            }),
        }
    }
}

impl fmt::Display for OutboxUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(formatter, "sqlite://{}", path.display()),
            Self::Postgres(text) => {
                let url = Url::parse(text).ok();
                let host = url.as_ref().and_then(Url::host_str).unwrap_or("…");
                let port = url.as_ref().and_then(Url::port);
                let path = url.as_ref().map_or("", Url::path);
                let port = port.map_or_else(String::new, |port| format!(":{port}"));
                write!(formatter, "postgres://{host}{port}{path}")
            }
        }
    }
}

impl fmt::Debug for OutboxUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_databases_are_told_apart() {
        let sqlite = |path: &str| OutboxUrl::Sqlite(path.into());
        for (text, expected) in [
            ("sqlite:///var/chat.db", sqlite("/var/chat.db")),
            ("sqlite://chat.db", sqlite("chat.db")),
            ("sqlite:chat.db", sqlite("chat.db")),
        ] {
            assert_eq!(text.parse::<OutboxUrl>().unwrap(), expected, "{text}");
        }
        for text in [
            "postgres://h/chat",
            "postgresql://u@h:5432/chat?host=/run/pg",
        ] {
            assert_eq!(
                text.parse::<OutboxUrl>().unwrap(),
                OutboxUrl::Postgres(text.into())
            );
        }
        for text in [
            "",
            "sqlite:",
            "sqlite://",
            "postgres://h",
            "postgres://h/",
            "mysql://h/d",
            "/chat.db",
        ] {
            assert!(text.parse::<OutboxUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        for text in [
            "postgres://me:s3cret@h:5432/chat",
            "postgres://me@h:5432/chat?password=s3cret",
        ] {
            let url: OutboxUrl = text.parse().unwrap();
            assert!(url.has_password());
            assert_eq!(
                format!("{url} {url:?}"),
                "postgres://h:5432/chat postgres://h:5432/chat"
            );
        }
        assert!(
            !"postgres://me@h/chat"
                .parse::<OutboxUrl>()
                .unwrap()
                .has_password()
        );
        for wrong in ["postgres:/me:s3cret@h/chat", "postgres://me:s3cret@h:x/d"] {
            let problem = wrong.parse::<OutboxUrl>().unwrap_err();
            assert!(!problem.contains("s3cret"), "{problem}");
        }
    }
}
