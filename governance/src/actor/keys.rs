//! Keys in files: public ones as openssl and ssh-keygen write them, private ones in PKCS#8 PEM.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey};
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};

/// Bytes of a key file, at most.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Modes that let others than the owner read.
const OTHERS: u32 = 0o077;
/// The algorithm's name in OpenSSH public keys (RFC 8709).
const SSH_ED25519: &str = "ssh-ed25519";

/// A key file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read the key file `{path}`: {source}")]
    File {
        /// The file.
        path: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// Others can read the private key.
    #[error("others can read the private key `{path}` (mode {mode:03o})")]
    Open {
        /// The file.
        path: String,
        /// Its permissions.
        mode: u32,
    },
    /// It is no such key.
    #[error("`{path}` holds no Ed25519 {what} key: {problem}")]
    NoKey {
        /// The file.
        path: String,
        /// `public` or `private`.
        what: &'static str,
        /// Why not.
        problem: String,
    },
}

impl KeyError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::File { .. } => "check the path and who may read the file".to_owned(),
            Self::Open { path, .. } => format!("`chmod 600 {path}`"),
            Self::NoKey { what: "public", .. } => {
                "`openssl pkey -in key.pem -pubout -out key.pub` writes one, `ssh-keygen -t ed25519` another".to_owned()
            }
            Self::NoKey { .. } => {
                "`openssl genpkey -algorithm ed25519 -out key.pem` makes one (PKCS#8 PEM, without a passphrase)".to_owned()
            }
        }
    }
}

/// Reads a private key: PKCS#8 PEM that nobody but its owner can read.
///
/// # Errors
/// See [`KeyError`].
pub fn read_private(path: &Path) -> Result<SigningKey, KeyError> {
    let file = open(path)?;
    let meta = file.metadata().map_err(|e| file_error(path, e))?;
    let mode = meta.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(KeyError::Open {
            path: path.display().to_string(),
            mode,
        });
    }
    let text = read(path, file)?;
    SigningKey::from_pkcs8_pem(&text).map_err(|e| no_key(path, "private", e.to_string()))
}

/// Reads a public key, PEM or OpenSSH; answers it as [`holdfast_schemas::ledger::actor::ActorAdd::key`] has it.
///
/// # Errors
/// See [`KeyError`].
pub fn read_public(path: &Path) -> Result<String, KeyError> {
    let text = read(path, open(path)?)?;
    let key = if text.trim_start().starts_with(SSH_ED25519) {
        ssh_key(&text).ok_or_else(|| no_key(path, "public", "it is cut short".to_owned()))?
    } else {
        VerifyingKey::from_public_key_pem(text.trim())
            .map_err(|e| no_key(path, "public", e.to_string()))?
    };
    if key.is_weak() {
        return Err(no_key(path, "public", "the key is weak".to_owned()));
    }
    Ok(BASE64.encode(key.as_bytes()))
}

/// Whether a signature (base64) of these bytes is by this public key (base64).
#[must_use]
pub fn verifies(key: &str, bytes: &[u8], signature: &str) -> bool {
    let key = BASE64
        .decode(key)
        .ok()
        .and_then(|key| <[u8; 32]>::try_from(key).ok())
        .and_then(|key| VerifyingKey::from_bytes(&key).ok());
    let signature = BASE64
        .decode(signature)
        .ok()
        .and_then(|signature| Signature::from_slice(&signature).ok());
    match (key, signature) {
        (Some(key), Some(signature)) => key.verify_strict(bytes, &signature).is_ok(),
        _ => false,
    }
}

/// `ssh-ed25519 BASE64 comment`: two length-prefixed strings, the name and 32 bytes (RFC 4253 section 6.6, RFC 8709).
fn ssh_key(text: &str) -> Option<VerifyingKey> {
    let blob = BASE64.decode(text.split_ascii_whitespace().nth(1)?).ok()?;
    let (name, rest) = ssh_string(&blob)?;
    let (key, rest) = ssh_string(rest)?;
    if name != SSH_ED25519.as_bytes() || !rest.is_empty() {
        return None;
    }
    VerifyingKey::from_bytes(key.try_into().ok()?).ok()
}

fn ssh_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

fn open(path: &Path) -> Result<File, KeyError> {
    File::open(path).map_err(|e| file_error(path, e))
}

fn read(path: &Path, file: File) -> Result<String, KeyError> {
    let mut text = String::new();
    file.take(FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|e| file_error(path, e))?;
    Ok(text)
}

fn file_error(path: &Path, source: std::io::Error) -> KeyError {
    KeyError::File {
        path: path.display().to_string(),
        source,
    }
}

fn no_key(path: &Path, what: &'static str, problem: String) -> KeyError {
    KeyError::NoKey {
        path: path.display().to_string(),
        what,
        problem,
    }
}
