//! The settings file: its values become clap's defaults, so that flags and environment win over it and `--help` shows it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Deserialize;

use crate::failure::Failure;

/// The settings file's zone. The options that it is the default of are not there yet when the file is read: a command's
/// are made when it is named.
static ZONE: OnceLock<String> = OnceLock::new();

/// The default of `--tz`.
#[must_use]
pub fn zone() -> &'static str {
    ZONE.get().map_or("UTC", String::as_str)
}

/// What the settings file may hold. Each key is the long option of the same name.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// `--archive`
    pub archive: Option<String>,
    /// `--actor`
    pub actor: Option<String>,
    /// `--format`
    pub format: Option<String>,
    /// `--color`
    pub color: Option<String>,
    /// `--no-progress`
    pub no_progress: Option<bool>,
    /// `--cache-dir`
    pub cache_dir: Option<String>,
    /// `--tz` of the commands that have it.
    pub tz: Option<String>,
}

impl Settings {
    /// Reads the file that `--config`, `HOLDFAST_CONFIG` or the user's configuration folder names. One that was named must
    /// be there; the default one need not.
    ///
    /// # Errors
    /// The file cannot be read, is no TOML, or holds a key that is none.
    pub fn read(args: &[OsString]) -> Result<Self, Failure> {
        let named = named(args).or_else(|| {
            std::env::var_os("HOLDFAST_CONFIG")
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        });
        let Some(path) = named.clone().or_else(default_path) else {
            return Ok(Self::default());
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => parse(&text, &path),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && named.is_none() => {
                Ok(Self::default())
            }
            Err(e) => Err(Failure::mistake(
                format!("cannot read the settings file `{}`: {e}", path.display()),
                "name another with `--config FILE`, or none to use the defaults",
            )),
        }
    }

    /// The command with these settings as its defaults.
    #[must_use]
    pub fn apply(self, command: clap::Command) -> clap::Command {
        let no_progress = self.no_progress.map(|on| on.to_string());
        let globals = [
            ("archive", self.archive),
            ("actor", self.actor),
            ("format", self.format),
            ("color", self.color),
            ("no_progress", no_progress),
            ("cache_dir", self.cache_dir),
        ];
        let mut command = command;
        for (id, value) in globals {
            if let Some(value) = value {
                command = command.mut_arg(id, |arg| arg.default_value(value));
            }
        }
        if let Some(tz) = self.tz {
            // The first one counts: a process reads one settings file.
            ZONE.get_or_init(|| tz);
        }
        command
    }
}

fn parse(text: &str, path: &Path) -> Result<Settings, Failure> {
    toml::from_str(text).map_err(|e| {
        Failure::mistake(
            format!(
                "the settings file `{}` is not valid: {}",
                path.display(),
                e.to_string().trim_end()
            ),
            "its keys are archive, actor, format, color, no-progress, cache-dir and tz",
        )
    })
}

/// `--config FILE` or `--config=FILE`, before clap parses: its defaults depend on it.
fn named(args: &[OsString]) -> Option<PathBuf> {
    let mut args = args.iter().skip(1);
    while let Some(arg) = args.next() {
        let text = arg.to_str()?;
        if text == "--config" {
            return args.next().map(PathBuf::from);
        }
        if let Some(path) = text.strip_prefix("--config=") {
            return Some(PathBuf::from(path));
        }
        if text == "--" {
            return None;
        }
    }
    None
}

fn default_path() -> Option<PathBuf> {
    let folder = match std::env::var_os("XDG_CONFIG_HOME").filter(|v| !v.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(std::env::var_os("HOME").filter(|v| !v.is_empty())?).join(".config"),
    };
    Some(folder.join("holdfast").join("config.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_file_is_found_before_clap_parses() {
        let args = |a: &[&str]| a.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(
            named(&args(&["holdfast", "--config", "a.toml", "status"])),
            Some("a.toml".into())
        );
        assert_eq!(
            named(&args(&["holdfast", "status", "--config=b.toml"])),
            Some("b.toml".into())
        );
        assert_eq!(
            named(&args(&["holdfast", "search", "--", "--config"])),
            None
        );
    }

    #[test]
    fn an_unknown_key_is_a_mistake_with_the_known_ones_as_hint() {
        let error = parse("archiv = \"x\"", Path::new("c.toml")).unwrap_err();
        assert!(
            error
                .render(crate::output::Paint::OFF, false)
                .contains("hint: its keys are archive")
        );
    }
}
