//! `holdfast anchor`: put what the archive says of itself where its owner cannot reach.

use clap::Args;
use holdfast_governance::anchor;
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::anchor::AnchorPut;
use serde_json::json;

use crate::Outcome;
use crate::cli::Global;
use crate::failure::Failure;
use crate::ledger::Acting;
use crate::open;
use crate::output::Ui;
use crate::output::listing;

/// Put what the archive says of itself out of reach
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast anchor --to s3://bucket-with-object-lock/anchors/
  holdfast anchor --tsa http://timestamp.example.com --to /media/worm/anchors/
  holdfast verify --against /media/worm/anchors/00000000000000000042-00000000000000000107.json --tsa-ca tsa-ca.pem

An anchor holds the ledger's head, the table's version and a root over its segments. The ledger shows every change but one: a
rewrite of all of it by whoever owns the store. An anchor that is out of their reach shows that too, for everything before it.
Make one daily. --to takes a path or file://, s3://, gs:// or az://; ending in / it is a folder. Without --to, what --tsa stamps
goes to ledger/anchors/ of the archive: the stamp's time is then as trustworthy, but the file can be deleted.")]
pub struct AnchorArgs {
    /// Where to put the anchor; may be given more than once
    #[arg(long, value_name = "URI", required_unless_present = "tsa")]
    pub to: Vec<String>,
    /// Have it stamped by this time-stamp authority (RFC 3161, HTTP)
    #[arg(long, value_name = "URL")]
    pub tsa: Option<String>,
}

/// Makes an anchor.
///
/// # Errors
/// The archive cannot be read, a place not written, or the authority does not stamp.
pub async fn run(args: &AnchorArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let opened = open::open(global).await?;
    let acting = Acting::open(&opened.archive, global).await?;
    let state = acting.ledger.state();
    let mut file = Box::pin(anchor::make(&opened.archive, &state, open::now_us())).await?;
    if let Some(url) = &args.tsa {
        let bytes = file.anchor.encode().map_err(anchor::AnchorError::from)?;
        file.stamp = Some(Box::pin(anchor::stamp(url, &bytes)).await?);
    }
    let mut to = Vec::new();
    for place in &args.to {
        to.push(anchor::put(&file, place).await?);
    }
    if args.to.is_empty() {
        to.push(anchor::keep(&opened.archive, &file).await?);
    }
    let (seq, version) = (file.anchor.ledger_seq, file.anchor.table_version);
    let act = Act::Anchor(AnchorPut {
        anchor: file.anchor,
        to: to.clone(),
        stamp: file.stamp,
    });
    acting.reading(None, act).await?;
    let line = format!(
        "anchored entry {seq} and version {version} at {}",
        to.join(", ")
    );
    let json = json!({ "entry": seq, "table_version": version, "to": to, "stamped": args.tsa });
    listing::done(&line, &json, ui)?;
    Ok(Outcome::Done)
}
