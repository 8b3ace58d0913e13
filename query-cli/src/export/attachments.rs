//! The files that exported events refer to.

use std::collections::BTreeMap;

use holdfast_archive::Archive;
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
            match attachment.sha256.as_deref() {
                Some(digest) if !self.by_digest.contains_key(digest) => {
                    self.by_digest
                        .insert(digest.to_owned(), event.id.to_string());
                }
                Some(_) => {}
                None => self.missing.push(Missing {
                    event_id: event.id.to_string(),
                    what: attachment
                        .name
                        .as_deref()
                        .or(attachment.id.as_deref())
                        .unwrap_or("attachment")
                        .to_owned(),
                    reason: "the event gives no SHA-256, so the file cannot be told".to_owned(),
                }),
            }
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
                // A damaged file or a digest that is none: said in the list, the rest of the export goes on.
                Err(
                    e @ (holdfast_archive::ArchiveError::Corrupt { .. }
                    | holdfast_archive::ArchiveError::Invalid(_)),
                ) => e.to_string(),
                Err(e) => return Err(e.into()),
            };
            if is_digest(&digest) {
                let text = format!("The file with this SHA-256 could not be included: {reason}\n");
                folder.put(
                    &format!("attachments/{digest}.missing.txt"),
                    text.as_bytes(),
                )?;
            }
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

/// Whether the text may name a file: a producer chose it, and it must not climb out of the folder.
fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
