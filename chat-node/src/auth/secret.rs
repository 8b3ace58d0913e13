//! The pool's secret: generated once, kept in a file that only its owner reads, and never used itself but as the root of keys.

use std::io::Write;
use std::path::{Path, PathBuf};

use rand::TryRng;
use sha2::{Digest, Sha256};

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file could not be read or written.
    #[error("the secret's file {path}: {problem}", path = path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What happened.
        problem: std::io::Error,
    },
    /// Others can read it.
    #[error("the secret's file {path} can be read by others\nhint: chmod 600 {path}", path = .0.display())]
    Exposed(PathBuf),
    /// Too short to be a secret.
    #[error("the secret in {path} has less than 32 characters\nhint: remove the file to have one generated", path = .0.display())]
    Short(PathBuf),
    /// The machine has no randomness.
    #[error("cannot generate a secret: {0}")]
    Random(String),
}

/// A secret text of at least 32 characters. Its `Debug` shows nothing.
#[derive(Clone)]
pub struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// Reads the file, or makes it with 32 random bytes in hexadecimal, mode 0600.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub fn load_or_create(path: &Path) -> Result<Self, SecretError> {
        match Self::create(path)? {
            Some(secret) => Ok(secret),
            None => Self::load(path),
        }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub fn load(path: &Path) -> Result<Self, SecretError> {
        use std::os::unix::fs::PermissionsExt;
        let failed = |problem| SecretError::File {
            path: path.to_owned(),
            problem,
        };
        let mode = std::fs::metadata(path)
            .map_err(failed)?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(SecretError::Exposed(path.to_owned()));
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let text = text.trim();
        if text.chars().count() < 32 {
            return Err(SecretError::Short(path.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// `None` when the file is there. Written beside and linked, so that a crash or two nodes at a time leave no half of a secret behind.
    fn create(path: &Path) -> Result<Option<Self>, SecretError> {
        use std::os::unix::fs::OpenOptionsExt;
        if path.exists() {
            return Ok(None);
        }
        let failed = |problem| SecretError::File {
            path: path.to_owned(),
            problem,
        };
        let mut bytes = [0_u8; 32];
        rand::rngs::SysRng
            .try_fill_bytes(&mut bytes)
            .map_err(|error| SecretError::Random(error.to_string()))?;
        let text = hex::encode(bytes);
        let part = path.with_extension(format!("{}.part", uuid::Uuid::now_v7().simple()));
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&part)
            .map_err(failed)?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
        let linked = std::fs::hard_link(&part, path);
        std::fs::remove_file(&part).map_err(failed)?;
        match linked {
            Ok(()) => Ok(Some(Self(text))),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// A secret of tests and of tools that have one already.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The key for one purpose: tokens of one cannot serve another.
    #[must_use]
    pub fn key(&self, purpose: &str) -> [u8; 32] {
        Sha256::new()
            .chain_update(purpose.as_bytes())
            .chain_update([0])
            .chain_update(self.0.as_bytes())
            .finalize()
            .into()
    }

    /// The shared secret of bearer tokens, as other programs that make tokens use it.
    #[must_use]
    pub fn token_key(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn made_once_private_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let made = Secret::load_or_create(&path).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let read = Secret::load_or_create(&path).unwrap();
        assert_eq!(made.token_key(), read.token_key());
        assert_ne!(made.key("file"), made.key("peer"));
        assert_eq!(format!("{made:?}"), "Secret(…)");
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing else is left"
        );
    }

    #[test]
    fn exposed_and_short_secrets_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "x".repeat(40)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Secret::load(&path), Err(SecretError::Exposed(_))));
        std::fs::write(&path, "short").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(
            Secret::load_or_create(&path),
            Err(SecretError::Short(_))
        ));
    }
}
