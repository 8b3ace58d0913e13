//! Chat nodes as processes, and the databases they share.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use holdfast_fixtures::Postgres;

use crate::process::holdfast;

/// What PostgreSQL is given on a machine of this size; as durable as it comes.
pub(crate) const POSTGRES_SETTINGS: [&str; 3] = [
    "shared_buffers=1GB",
    "max_wal_size=8GB",
    "checkpoint_timeout=15min",
];

/// A server with these settings.
pub(crate) fn postgres() -> Result<Postgres> {
    Postgres::start(&POSTGRES_SETTINGS).context("PostgreSQL")
}

/// Where a node's compliance events go.
#[derive(Debug, Clone)]
pub(crate) struct Kafka {
    pub(crate) bootstrap: String,
    pub(crate) topic: String,
}

/// How a node is started.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// PostgreSQL's URL; `None`: SQLite in its own folder.
    pub(crate) database: Option<String>,
    /// With others.
    pub(crate) in_pool: bool,
    pub(crate) kafka: Option<Kafka>,
}

/// A running node. Killed when dropped.
pub(crate) struct Node {
    child: Child,
    log: PathBuf,
    pub(crate) address: SocketAddr,
    pub(crate) secret: PathBuf,
}

impl Node {
    /// Starts a node with its own folder below `folder`; nodes of one folder share secret and files.
    pub(crate) fn start(folder: &Path, name: &str, setting: &Setting) -> Result<Self> {
        let own = folder.join(name);
        std::fs::create_dir_all(&own)?;
        let (log, secret) = (own.join("log"), folder.join("secret"));
        let mut command = holdfast("holdfast-chat");
        command
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--node",
                name,
                "--pool",
                "bench",
                "--data",
            ])
            .arg(&own);
        command
            .arg("--secret-file")
            .arg(&secret)
            .arg("--files")
            .arg(folder.join("files"));
        if let Some(url) = &setting.database {
            command.env("HOLDFAST_CHAT_DATABASE", url);
        }
        if setting.in_pool {
            command.args(["--peer-listen", "127.0.0.1:0"]);
        }
        if let Some(kafka) = &setting.kafka {
            command.args(["--kafka", &kafka.bootstrap, "--kafka-topic", &kafka.topic]);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("its output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let Some(address) = line.trim().strip_prefix("listening on ") else {
            bail!(
                "the node {name} did not start: {}",
                std::fs::read_to_string(&log)?
            );
        };
        Ok(Self {
            address: address.parse()?,
            child,
            log,
            secret,
        })
    }

    /// Memory in MiB: now, and at its peak.
    pub(crate) fn memory_mib(&self) -> Result<(f64, f64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
            kib.map(|kib| kib / 1024.0)
                .context("a process without figures")
        };
        Ok((value("VmRSS:")?, value("VmHWM:")?))
    }

    /// A counter of its metrics.
    pub(crate) fn metric(&self, name: &str) -> Result<f64> {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(
            stream,
            "GET /metrics HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let line = answer
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse().ok())
            .with_context(|| format!("no metric {name}"))
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // One that was killed by its row is gone already.
        let _gone = self.kill();
    }
}
