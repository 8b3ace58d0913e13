//! The chat node: how many users it carries, how soon they have what is said, how many posts it takes, and what compliance costs them.

mod content;
pub(crate) mod kill;
pub(crate) mod latency;
mod pool;
pub(crate) mod posts;
mod users;

pub(crate) use users::{connected, models};

/// How much is measured; the defaults are the seed's.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Size {
    /// Users of the chat pool
    #[arg(long, default_value_t = crate::load::MODEL_USERS)]
    pub(crate) users: u32,
    /// Seconds of each user model
    #[arg(long, default_value_t = 300.0)]
    pub(crate) seconds: f64,
    /// Wait for a line on standard input before everybody logs in and before each user model: for a machine that others use too
    #[arg(long)]
    pub(crate) step: bool,
}

impl Size {
    /// Waits, if that was asked for.
    fn step(self, what: &str) -> anyhow::Result<()> {
        if self.step {
            eprintln!("next: {what}");
            std::io::stdin().read_line(&mut String::new())?;
        }
        Ok(())
    }
}
