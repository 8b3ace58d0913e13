//! The bench's side of its load processes.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::{Command, Plan, Report, Shape};

/// Clients of one process: below the 20,000 descriptors it may have.
const CLIENTS_A_PROCESS: u32 = 16_000;

/// Who the clients are, and where they connect.
#[derive(Debug, Clone)]
pub(crate) struct Spread<'a> {
    /// The pool's nodes.
    pub(crate) nodes: &'a [SocketAddr],
    /// The pool's secret.
    pub(crate) secret: &'a Path,
    /// How many users.
    pub(crate) users: u32,
    /// Rooms to subscribe.
    pub(crate) shape: Option<Shape>,
}

struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// Load processes.
pub(crate) struct Fleet(Vec<Process>);

impl Fleet {
    /// Starts as many processes as the users need.
    pub(crate) fn start(spread: &Spread<'_>) -> Result<Self> {
        let count = spread.users.div_ceil(CLIENTS_A_PROCESS);
        let part =
            |n: u32| u32::try_from(u64::from(spread.users) * u64::from(n) / u64::from(count));
        let mut fleet = Self(Vec::new());
        for n in 0..count {
            let plan = Plan {
                secret: spread.secret.to_owned(),
                nodes: spread.nodes.to_vec(),
                shape: spread.shape,
                users: spread.users,
                from: part(n)?,
                to: part(n + 1)?,
                // 127.0.0.1 is where the nodes are.
                source: Ipv4Addr::new(127, 0, 1, u8::try_from(n + 1)?),
            };
            let mut child = std::process::Command::new(std::env::current_exe()?)
                .arg("load")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let input = child.stdin.take();
            let output = BufReader::new(child.stdout.take().context("its output")?);
            let mut process = Process {
                child,
                input,
                output,
            };
            process.write(&serde_json::to_string(&plan)?)?;
            fleet.0.push(process);
        }
        Ok(fleet)
    }

    /// Tells all of them; [`Fleet::reports`] must follow.
    pub(crate) fn tell(&mut self, command: &Command) -> Result<()> {
        let line = serde_json::to_string(command)?;
        self.0
            .iter_mut()
            .try_for_each(|process| process.write(&line))
    }

    /// Waits until all have done what they were told, and adds up their reports.
    pub(crate) fn reports(&mut self) -> Result<Report> {
        let mut sum = Report::default();
        for process in &mut self.0 {
            sum.add(&process.read()?)?;
        }
        Ok(sum)
    }

    /// [`Fleet::tell`] and [`Fleet::reports`].
    pub(crate) fn command(&mut self, command: &Command) -> Result<Report> {
        self.tell(command)?;
        self.reports()
    }
}

impl Process {
    fn write(&mut self, line: &str) -> Result<()> {
        let input = self.input.as_mut().context("its input is closed")?;
        writeln!(input, "{line}")?;
        Ok(input.flush()?)
    }

    fn read(&mut self) -> Result<Report> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("a load process ended: {}", self.child.wait()?);
        }
        ensure!(line.ends_with('\n'), "half an answer: {line}");
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.input.take());
        // It ends with its input, unless it hangs; nobody needs what it still has to say.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}
