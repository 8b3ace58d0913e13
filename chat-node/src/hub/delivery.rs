//! A frame for many.

use std::sync::Arc;

use super::Outlet;
use crate::wire::SharedFrame;

/// Connections that one task sends to. A task of its own for each would cost as much as what it does; one for all would leave other cores idle.
const SENT_BY_ONE_MAX: usize = 64;
/// And so many bytes, so that no task holds its thread for long.
const BYTES_BY_ONE_MAX: usize = 256 * 1024;

/// Frames that are queued, each for some of a node's connections.
#[derive(Debug, Default)]
pub struct Delivery {
    /// Those whose tasks sleep.
    sleeping: Vec<Arc<Outlet>>,
    /// The largest frame.
    frame_bytes: usize,
}

/// Has frames queued, under whatever lock makes their order, and sends them when that lock is released: on the threads that serve the connections,
/// whoever delivers.
pub fn deliver<T>(queue: impl FnOnce(&mut Delivery) -> T) -> T {
    let mut delivery = Delivery::default();
    let queued = queue(&mut delivery);
    delivery.send();
    queued
}

impl Delivery {
    /// Queues a frame for one connection.
    pub fn queue(&mut self, outlet: &Arc<Outlet>, frame: &SharedFrame) {
        self.frame_bytes = self.frame_bytes.max(frame.bytes().len());
        if outlet.queue(frame.clone()) {
            self.sleeping.push(Arc::clone(outlet));
        }
    }

    fn send(mut self) {
        let by_one = (BYTES_BY_ONE_MAX / self.frame_bytes.max(1)).clamp(1, SENT_BY_ONE_MAX);
        while let Some(runtime) = self.sleeping.last().and_then(|outlet| outlet.runtime()) {
            let runtime = runtime.clone();
            let before = self.sleeping.len().saturating_sub(by_one);
            let some = self.sleeping.split_off(before);
            runtime.spawn(async move { some.iter().for_each(|outlet| outlet.send_directly()) });
        }
    }
}
