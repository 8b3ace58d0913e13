//! A frame for many.

use std::sync::Arc;

use super::Outlet;
use crate::wire::SharedFrame;

/// Connections that one task sends to. A task of its own for each would cost as much as what it does; one for all would leave other cores idle.
const SENT_BY_ONE: usize = 64;

/// Frames are queued under a channel's lock, and sent when it is released.
#[derive(Debug, Default)]
pub struct Delivery {
    /// Those who sleep and have something queued.
    sleeping: Vec<Arc<Outlet>>,
}

impl Delivery {
    /// Queues a frame for one connection.
    pub fn queue(&mut self, outlet: &Arc<Outlet>, frame: &SharedFrame) {
        if outlet.queue(frame.clone()) {
            self.sleeping.push(Arc::clone(outlet));
        }
    }

    /// Sends what was queued, on the threads of the runtime.
    pub fn send(mut self) {
        while !self.sleeping.is_empty() {
            let before = self.sleeping.len().saturating_sub(SENT_BY_ONE);
            let some = self.sleeping.split_off(before);
            tokio::spawn(async move { some.iter().for_each(|outlet| outlet.send_queued()) });
        }
    }
}
