//! A small disk of a test's own, so that it can really be full: a file system in memory, mounted in name spaces of its own.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::program::{self, Finished};

/// What a file takes at least on such a disk.
pub const PAGE_BYTES: u64 = 4096;
/// Lives as long as its standard input is open, and with it the name spaces.
const HOLD: &str =
    r#"mount -t tmpfs -o size="$1" holdfast "$0" && echo mounted && exec cat >/dev/null"#;

/// The disk; gone when this is dropped.
#[derive(Debug)]
pub struct Disk {
    holder: Child,
    folder: TempDir,
}

impl Disk {
    /// Mounts one.
    ///
    /// # Panics
    /// The system does not let us; the message says what it takes.
    #[must_use]
    pub fn mount(bytes: u64) -> Self {
        let folder = TempDir::new().expect("a folder to mount at");
        let mut holder = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", HOLD])
            .arg(folder.path())
            .arg(bytes.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`unshare` of util-linux");
        let mut line = String::new();
        let said = BufReader::new(holder.stdout.take().expect("it is piped")).read_line(&mut line);
        assert!(
            said.is_ok() && line.trim() == "mounted",
            "no file system can be mounted for this test\nhint: it takes user name spaces; `unshare --map-root-user --mount true` \
             must work"
        );
        Self { holder, folder }
    }

    /// Where it is mounted, as programs of [`Disk::run`] see it.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path of the disk as this process sees it.
    fn seen(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Fills it, but for so many pages.
    ///
    /// # Panics
    /// Something else than a full disk hinders it.
    pub fn fill(&self, free_pages: u64) {
        let mut ballast = File::create(self.ballast()).expect("a file on the disk");
        let mut length = 0;
        loop {
            match ballast.write_all(&[0; PAGE_BYTES as usize]) {
                Ok(()) => length += PAGE_BYTES,
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("the disk cannot be filled: {error}"),
            }
        }
        let keep = length.saturating_sub(free_pages * PAGE_BYTES);
        ballast.set_len(keep).expect("what is there can be cut");
    }

    /// Makes room again.
    ///
    /// # Panics
    /// It is not full.
    pub fn make_room(&self) {
        std::fs::remove_file(self.ballast()).expect("the disk was filled");
    }

    fn ballast(&self) -> PathBuf {
        self.seen(&self.path().join("ballast"))
    }

    /// Runs a program of this workspace that sees the disk.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn run<A: AsRef<std::ffi::OsStr>>(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Finished {
        let target = self.holder.id().to_string();
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &target, "--user", "--mount"])
            .arg("--preserve-credentials")
            .arg(program::path(name))
            .args(arguments)
            .stdin(Stdio::null());
        program::without_settings(&mut command);
        let output = command.output().expect("`nsenter` of util-linux");
        Finished {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The name spaces end with the process, and the disk with them.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
