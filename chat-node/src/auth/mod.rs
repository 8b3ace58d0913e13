//! Who is it: bearer tokens of users, tokens of files, and the secret behind them.

mod file_token;
mod jwks;
mod secret;
mod token;

pub use file_token::FileTokens;
pub use jwks::Jwks;
pub use secret::{Secret, SecretError};
pub use token::{Claims, Tokens};
