//! The programs under test as processes: started, killed, stopped in their tracks, waited for.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Path of a program of this workspace: beside the test program, or in the folder that `HOLDFAST_BIN_DIR` names.
///
/// # Panics
/// It is not there: cargo builds no other package's programs for a test.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    let folder = std::env::var_os("HOLDFAST_BIN_DIR").map_or_else(
        || {
            let test = std::env::current_exe().expect("a test program has a path");
            // target/<profile>/deps/<test program>
            test.ancestors()
                .nth(2)
                .expect("target/<profile>/deps")
                .to_owned()
        },
        PathBuf::from,
    );
    let program = folder.join(name);
    assert!(
        program.is_file(),
        "{} is missing\nhint: run `make test`, or `cargo test --workspace --no-run` first",
        program.display()
    );
    program
}

/// What a program left behind.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Finished {
    /// Itself, when the program ended with exit code 0.
    ///
    /// # Panics
    /// It did not; the message holds what it printed.
    #[must_use]
    pub fn success(self) -> Self {
        assert!(
            self.status.success(),
            "{}\nstdout: {}\nstderr: {}",
            self.status,
            self.stdout,
            self.stderr
        );
        self
    }

    /// The last line of standard output as JSON.
    ///
    /// # Panics
    /// It is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line)
            .unwrap_or_else(|e| panic!("{e}\nstdout: {}\nstderr: {}", self.stdout, self.stderr))
    }
}

/// Runs a program of this workspace to its end.
pub fn run<A: AsRef<std::ffi::OsStr>>(
    name: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Finished {
    run_with(name, arguments, &[])
}

/// [`run`], with these variables in the program's environment.
pub fn run_with<A: AsRef<std::ffi::OsStr>>(
    name: &str,
    arguments: impl IntoIterator<Item = A>,
    variables: &[(String, String)],
) -> Finished {
    let output = command(name, arguments)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    Finished {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn command<A: AsRef<std::ffi::OsStr>>(
    name: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    let mut command = Command::new(path(name));
    command.args(arguments);
    without_settings(&mut command);
    command
}

/// Settings of the person who runs the tests are not settings of the tests, nor are their caches.
pub(crate) fn without_settings(command: &mut Command) {
    let test = std::env::current_exe().expect("a test program has a path");
    command.env("XDG_CACHE_HOME", test.with_file_name("cache"));
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("HOLDFAST_") {
            command.env_remove(&variable);
        }
    }
}

/// A running program of this workspace. Killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    /// Output goes to files: a full pipe would stop the program.
    output: TempDir,
}

impl Daemon {
    /// Starts a program.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start<A: AsRef<std::ffi::OsStr>>(
        name: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        Self::start_with(name, arguments, &[])
    }

    /// [`Daemon::start`], with these variables in the program's environment.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start_with<A: AsRef<std::ffi::OsStr>>(
        name: &str,
        arguments: impl IntoIterator<Item = A>,
        variables: &[(String, String)],
    ) -> Self {
        let output = TempDir::new().expect("a folder for its output");
        let file = |name| File::create(output.path().join(name)).expect("a file for its output");
        let child = command(name, arguments)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        Self {
            name: name.to_owned(),
            child,
            output,
        }
    }

    fn signal(&self, signal: Signal) {
        // A program that has ended already needs no signal.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// SIGKILL, at once, and waits until it is gone.
    pub fn kill(mut self) -> Finished {
        self.signal(Signal::KILL);
        self.finish()
    }

    /// SIGTERM, and waits for the orderly end.
    pub fn terminate(mut self, within: Duration) -> Finished {
        self.signal(Signal::TERM);
        self.wait(within);
        self.finish()
    }

    /// SIGSTOP: it lives and does nothing, as on a machine that hangs.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It takes longer than `within`; the message holds what it printed.
    pub fn finished(mut self, within: Duration) -> Finished {
        self.wait(within);
        self.finish()
    }

    fn wait(&mut self, within: Duration) {
        let begin = Instant::now();
        while self.runs() {
            assert!(
                begin.elapsed() < within,
                "{} still runs after {within:?}\nstdout: {}\nstderr: {}",
                self.name,
                self.text("stdout"),
                self.text("stderr")
            );
            // Nothing tells of a child's end without unsafe code or a second thread.
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn finish(&mut self) -> Finished {
        let status = self.child.wait().expect("it was started by us");
        Finished {
            status,
            stdout: self.text("stdout"),
            stderr: self.text("stderr"),
        }
    }

    fn text(&self, name: &str) -> String {
        let bytes = std::fs::read(self.output.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What it wrote to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.text("stdout")
    }

    /// What it wrote to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.text("stderr")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The repository's root: cargo says where the package lies whose tests it runs. Not where the test was compiled, for a folder of compiled
/// programs may be kept for several clones.
#[must_use]
pub fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&package).parent();
        root.expect("every package lies in a folder of the root")
            .to_owned()
    });
    &ROOT
}
