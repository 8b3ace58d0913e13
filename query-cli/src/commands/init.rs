//! `holdfast init`: create an archive.

use clap::Args;

use crate::Outcome;
use crate::cli::{Format, Global};
use crate::failure::Failure;
use crate::open;
use crate::output::Ui;
use crate::output::text::escape;

/// Create an archive
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast init --archive ./archive
  HOLDFAST_ARCHIVE=s3://bucket/archive holdfast init

Region, endpoint and credentials of an object store come from the environment, not from profiles:
AWS_REGION, AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY …; AZURE_STORAGE_ACCOUNT_NAME,
AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_ENDPOINT …; GOOGLE_APPLICATION_CREDENTIALS …. For an endpoint of
http:// also AWS_ALLOW_HTTP=true or AZURE_ALLOW_HTTP=true. Commits rest on puts that fail where an object
is already there: the store must support them.")]
pub struct InitArgs {}

/// Creates the archive.
///
/// # Errors
/// There is one already, or the place cannot be written.
pub async fn run(_args: &InitArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let location = open::location(global)?;
    let archive = holdfast_archive::Archive::create(&location).await?;
    let version = archive.snapshot().await?.version();
    let name = open::archive_name(global)?;
    match ui.format {
        Format::Table | Format::Csv => writeln!(ui.out(), "created archive `{}`", escape(name))?,
        Format::Json | Format::Jsonl => {
            let created = serde_json::json!({ "archive": name, "version": version });
            writeln!(ui.out(), "{created}")?;
        }
    }
    ui.hint("fill it with `holdfast-ingest run --source jsonl:PATH --archive URI --until-idle`");
    Ok(Outcome::Done)
}
