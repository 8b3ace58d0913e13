//! The files that exported events refer to.

use std::collections::BTreeMap;

use holdfast_archive::Archive;
use holdfast_archive::attachments::digest;
use holdfast_schemas::Event;

use super::folder::Folder;
use super::items::Missing;
use crate::failure::Failure;

/// Collects what the events refer to; each file is written once, whoever shares it.
#[derive(Debug, Default)]
pub struct Attachments {
    /// By digest: the first event that refers to it.
    by_digest: BTreeMap<String, String>,
    missing: Vec<Missing>,
}

impl Attachments {
    /// Notes what an event refers to.
    pub fn note(&mut self, event: &Event<'_>) {
        for attachment in &event.attachments {
            let digest = attachment.sha256.as_deref().map(digest);
            if let Some(Some(digest)) = digest {
                self.by_digest
                    .entry(digest)
                    .or_insert_with(|| event.id.to_string());
                continue;
            }
            let reason = match digest {
                None => "the event gives no SHA-256, so the file cannot be told",
                Some(_) => "what the event gives is no SHA-256, so the file cannot be told",
            };
            let named = [&attachment.name, &attachment.id];
            let what = named.into_iter().find_map(|name| name.as_deref());
            self.missing.push(Missing {
                event_id: event.id.to_string(),
                what: what.unwrap_or("attachment").to_owned(),
                reason: reason.to_owned(),
            });
        }
    }

    /// Writes the files as `attachments/<sha256>`. One that the archive does not hold gets a placeholder,
    /// `attachments/<sha256>.missing.txt`, and is returned.
    ///
    /// # Errors
    /// The archive cannot be read or the folder not written.
    pub async fn write(
        self,
        archive: &Archive,
        folder: &mut Folder,
    ) -> Result<Vec<Missing>, Failure> {
        let mut missing = self.missing;
        for (digest, event_id) in self.by_digest {
            let reason = match archive.attachment(&digest).await {
                Ok(Some(bytes)) => {
                    folder.put(&format!("attachments/{digest}"), &bytes)?;
                    continue;
                }
                Ok(None) => "not in the archive (yet)".to_owned(),
                // A damaged file: said in the list, the rest of the export goes on.
                Err(e @ holdfast_archive::ArchiveError::Corrupt { .. }) => e.to_string(),
                Err(e) => return Err(e.into()),
            };
            let text = format!("The file with this SHA-256 could not be included: {reason}\n");
            folder.put(
                &format!("attachments/{digest}.missing.txt"),
                text.as_bytes(),
            )?;
            missing.push(Missing {
                event_id,
                what: digest,
                reason,
            });
        }
        missing.sort();
        Ok(missing)
    }
}
