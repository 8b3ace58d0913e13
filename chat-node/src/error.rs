//! What can go wrong, by what the caller should do about it. Mapped to HTTP in `http/problem.rs` and to frames in `ws/`.

/// The outcome of an operation.
pub type Result<T> = std::result::Result<T, ChatError>;

/// Why an operation did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// The thing does not exist, or the caller may not know that it does. The two must look the same.
    #[error("{what} was not found")]
    NotFound {
        /// What was asked for.
        what: &'static str,
    },
    /// The caller knows the thing and may not do this with it.
    #[error("not allowed: {reason}")]
    Forbidden {
        /// Which rule says so.
        reason: &'static str,
    },
    /// The request itself is wrong; repeating it does not help.
    #[error("{place}: {problem}")]
    Invalid {
        /// Which part of the request.
        place: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The request does not fit what is stored.
    #[error("conflict: {problem}")]
    Conflict {
        /// What stands in the way.
        problem: String,
    },
    /// `If-Match` named another version than the stored one.
    #[error("the {what} was changed by somebody else; read it again and repeat")]
    Stale {
        /// What was to be changed.
        what: &'static str,
    },
    /// More bytes than allowed.
    #[error("{what} has more than {bytes_max} bytes")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit.
        bytes_max: u64,
    },
    /// No token, or one that proves nothing.
    #[error("unauthorized: {problem}")]
    Unauthorized {
        /// What is wrong with the token, without repeating it.
        problem: String,
    },
    /// Right now this cannot be done; repeating later may help.
    #[error("{problem}")]
    Unavailable {
        /// Why.
        problem: String,
    },
    /// More was asked for than one user may; waiting helps.
    #[error("{problem}")]
    TooMany {
        /// What the limit is.
        problem: String,
    },
    /// A commit was not answered, and did not happen.
    #[error("the database did not take this; try again")]
    NotTaken,
    /// The database answered with an error, or not at all.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The file store answered with an error.
    #[error("file store: {0}")]
    Files(#[from] object_store::Error),
    /// Something that this program holds impossible; the text tells what.
    #[error("internal: {0}")]
    Internal(String),
}

impl ChatError {
    /// An error about one part of the request.
    pub fn invalid(place: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid {
            place,
            problem: problem.into(),
        }
    }

    /// Whether a unique index refused the statement.
    #[must_use]
    pub fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Database(error) if error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation))
    }

    /// Whether the database undid the transaction for the sake of another: PostgreSQL's deadlocks and serialization failures.
    #[must_use]
    pub fn is_undone(&self) -> bool {
        let Self::Database(error) = self else {
            return false;
        };
        error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .is_some_and(|code| matches!(code.as_ref(), "40001" | "40P01"))
    }

    /// Whether the same transaction may succeed when it is tried again at once. It did not happen.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.is_undone() || matches!(self, Self::NotTaken)
    }
}
