//! Erasure requests.

use crate::actor::By;
use crate::disposition::{DispositionError, recover};
use crate::ledger::Ledger;
use crate::ledger::state::Intent;

pub(crate) async fn recover(
    ledger: &Ledger,
    by: &By,
    id: &str,
    _intent: &Intent,
) -> Result<(), DispositionError> {
    recover::abandon(ledger, by, id, "it broke off before its commit").await
}
