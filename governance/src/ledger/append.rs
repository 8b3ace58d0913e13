//! Appending: judged against exactly its prefix.

use std::sync::Arc;

use bytes::Bytes;
use holdfast_schemas::ledger::approval::ApprovalRequest;
use holdfast_schemas::ledger::entry::Draft;
use holdfast_schemas::ledger::{Act, Digest, Entry, Params};
use uuid::Uuid;

use super::error::{LedgerError, Refusal};
use super::objects::{Slot, orphan_path};
use super::state::State;
use super::{Known, Ledger};
use crate::actor::{By, roles};
use crate::approval;

/// Numbers lost to others before an append gives up.
const ATTEMPTS_MAX: u32 = 1000;

/// What a judgement says when it does not refuse.
// One a command, and mostly the large one: a box would only be in the way.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq)]
pub enum Judged {
    /// Write this.
    Write(Act),
    /// It is done already, by this entry: nothing is written.
    Done(u64),
}

/// What an act is written with besides itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    /// The matter it belongs to; it must be open.
    pub matter: Option<&'a str>,
    /// The command's idempotency key: an entry that carries it is this command's.
    pub command: Option<&'a str>,
}

/// An entry that stands for what was asked.
#[derive(Debug, Clone)]
pub struct Appended {
    /// Its number.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
    /// Its time, UTC microseconds.
    pub time_us: i64,
    /// Whether it was written now; otherwise it was there.
    pub written: bool,
    /// The state with it.
    pub state: Arc<State>,
}

impl Ledger {
    /// Appends one act of `by`. `decide` judges it against exactly the entries before it, and judges anew when somebody
    /// else took the number: of a lock and a shortening made at the same time, the second sees the first.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] by `decide`, for want of a role, a signature or an approval; nothing is written then.
    /// [`LedgerError::Unknown`] when the store does not say what became of it. The store's errors.
    pub async fn append(
        &self,
        by: &By,
        context: Context<'_>,
        decide: impl Fn(&State) -> Result<Judged, Refusal>,
    ) -> Result<Appended, LedgerError> {
        let turn = self.appending.lock().await;
        let mut attempts = 0;
        loop {
            let known = self.known();
            let state = &known.state;
            if let Some(seq) = context.command.and_then(|key| state.commands.get(key)) {
                return self.existing(*seq).await;
            }
            let act = match decide(state)? {
                Judged::Done(seq) => return self.existing(seq).await,
                Judged::Write(act) => act,
            };
            authorize(state, by, &act, context.matter)?;
            let params = Params {
                seq: state.head.seq + 1,
                salt: salt(),
                command: context.command.map(ToOwned::to_owned),
                act,
            };
            let (entry, words) = self.seal(state, by, &params, context.matter)?;
            let path = orphan_path(&entry);
            let bytes: Bytes = entry.encode().map_err(LedgerError::record(&path))?.into();
            match self.objects.append(&path, words, entry.seq, &bytes).await? {
                Slot::Ours => {
                    tracing::info!(
                        entry = entry.seq,
                        action = entry.action,
                        "written to the ledger"
                    );
                    let state = self.fold(known, &entry, &params).await;
                    drop(turn);
                    return Ok(appended(&entry, state));
                }
                Slot::Theirs => {
                    // Ours stand for no entry now; what cannot be deleted is swept later.
                    if let Err(error) = self.objects.delete(&path).await {
                        tracing::warn!(%error, "parameters of an entry that was not written stay behind");
                    }
                    attempts += 1;
                    if attempts >= ATTEMPTS_MAX {
                        return Err(LedgerError::Busy { attempts });
                    }
                    self.refresh().await?;
                }
            }
        }
    }

    /// [`Ledger::append`] of an act that nothing but roles and approvals decide about: a search, an export.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub async fn append_act(
        &self,
        by: &By,
        matter: Option<&str>,
        act: Act,
    ) -> Result<Appended, LedgerError> {
        let context = Context {
            matter,
            command: None,
        };
        self.append(by, context, |_| Ok(Judged::Write(act.clone())))
            .await
    }

    /// [`Ledger::append`]; where it is refused for want of an approval that nobody asked for yet, the request is
    /// appended, so that `approve` has something to answer. The refusal then names it.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub async fn append_or_request(
        &self,
        by: &By,
        context: Context<'_>,
        decide: impl Fn(&State) -> Result<Judged, Refusal>,
    ) -> Result<Appended, LedgerError> {
        let refusal = match self.append(by, context, decide).await {
            Err(LedgerError::Refused(refusal)) => refusal,
            other => return other,
        };
        let Refusal::ApprovalNeeded {
            subject,
            summary,
            request: None,
            act_digest,
        } = &refusal
        else {
            return Err(refusal.into());
        };
        let request = ApprovalRequest {
            subject: subject.clone(),
            summary: summary.clone(),
            act_digest: *act_digest,
        };
        let plain = Context {
            matter: context.matter,
            command: None,
        };
        let asked = self
            .append(by, plain, |state| {
                match approval::waiting(state, &request.subject) {
                    Some(waiting) => Ok(Judged::Done(waiting.requested.mark.seq)),
                    None => Ok(Judged::Write(Act::ApprovalRequest(request.clone()))),
                }
            })
            .await?;
        Err(Refusal::ApprovalNeeded {
            subject: subject.clone(),
            summary: summary.clone(),
            request: Some(asked.seq),
            act_digest: *act_digest,
        }
        .into())
    }

    async fn existing(&self, seq: u64) -> Result<Appended, LedgerError> {
        let Some(entry) = self.objects.entry(seq).await? else {
            return Err(LedgerError::Broken {
                path: Entry::path(seq),
                problem: "it was there and is gone".to_owned(),
            });
        };
        let mut found = appended(&entry, self.state());
        found.written = false;
        Ok(found)
    }

    fn seal(
        &self,
        state: &State,
        by: &By,
        params: &Params,
        matter: Option<&str>,
    ) -> Result<(Entry, Bytes), LedgerError> {
        let path = Entry::path(params.seq);
        let (words, params_digest) = params.encode().map_err(LedgerError::record(&path))?;
        let draft = Draft {
            seq: params.seq,
            time_us: self.objects.now_us(),
            actor: by.name().to_owned(),
            action: params.act.action().to_owned(),
            matter: matter.map(ToOwned::to_owned),
            params_digest,
            prev_hash: state.head.hash,
        };
        let mut entry = draft.seal().map_err(LedgerError::record(&path))?;
        entry.signature = by.sign(&entry.signed_bytes());
        Ok((entry, words.into()))
    }

    /// Folds an entry that was just written, and writes the fold down when it is time to. One that removes words is not
    /// taken over: they are in this state still, and would be in the next snapshot. Whoever goes on from before it folds
    /// anew, without them.
    async fn fold(&self, known: Known, entry: &Entry, params: &Params) -> Arc<State> {
        let mut state = known.state;
        // Without another reader this is in place; the ledger's own copy is published below.
        Arc::make_mut(&mut state).apply(entry, Some(&params.act), params.command.as_deref());
        if let Act::ParamsRemoved(_) = &params.act {
            return state;
        }
        let snapshot = self.snapshot_after(known.snapshot, &state).await;
        self.publish(Known { state, snapshot })
    }
}

fn appended(entry: &Entry, state: Arc<State>) -> Appended {
    Appended {
        seq: entry.seq,
        hash: entry.hash,
        time_us: entry.time_us,
        written: true,
        state,
    }
}

/// Whether `by` may write this act after this state: actor, key, role, matter and approval.
fn authorize(state: &State, by: &By, act: &Act, matter: Option<&str>) -> Result<(), Refusal> {
    roles::check(state, by, act)?;
    // The entry that opens a matter belongs to it, too.
    let opens = matches!(act, Act::MatterOpen(open) if Some(open.name.as_str()) == matter);
    if let Some(matter) = matter.filter(|_| !opens) {
        crate::matter::is_open(state, matter)?;
    }
    approval::check(state, act)
}

/// 244 random bits of the operating system's.
fn salt() -> Digest {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    bytes[16..].copy_from_slice(Uuid::new_v4().as_bytes());
    Digest(bytes)
}
