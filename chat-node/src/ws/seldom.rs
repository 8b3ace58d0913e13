//! What a task seldom waits for.
//!
//! A task is woken without being told by what, so it asks everything it waits for, each time. A connection waits for frames to send, for its client,
//! for the next ping and for its end; nearly always it is woken by a frame, and the other three have nothing to say. They are polled with a waker
//! that remembers: only after it was woken they are asked again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;

/// The part of a task that is polled when it was itself woken.
pub(super) struct Seldom {
    part: Arc<Part>,
    /// Of `part`.
    waker: Waker,
}

struct Part {
    /// It is to be asked: it was woken, was ready last time, or was never asked.
    ask: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Part {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ask.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl Seldom {
    pub(super) fn new() -> Self {
        let part = Arc::new(Part {
            ask: AtomicBool::new(true),
            task: AtomicWaker::new(),
        });
        let waker = Waker::from(Arc::clone(&part));
        Self { part, waker }
    }

    /// Polls, unless nothing has happened since it was pending. Whoever polls the same things elsewhere, with another waker, does so only between a
    /// ready answer and the next call. (To send on a socket that is read here is another thing: readers and writers of it are woken apart.)
    pub(super) fn poll<T>(
        &mut self,
        task: &Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        // Before the question: whoever wakes the part after it wakes the task.
        self.part.task.register(task.waker());
        if !self.part.ask.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let polled = poll(&mut Context::from_waker(&self.waker));
        if polled.is_ready() {
            self.part.ask.store(true, Ordering::Release);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use futures::FutureExt;
    use futures::task::noop_waker_ref;
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn is_asked_at_first_when_woken_and_after_an_answer() {
        let mut seldom = Seldom::new();
        let task = Context::from_waker(noop_waker_ref());
        let asked = Cell::new(0);
        let (sender, mut receiver) = oneshot::channel();
        let mut poll = || {
            seldom.poll(&task, |part| {
                asked.set(asked.get() + 1);
                receiver.poll_unpin(part)
            })
        };
        assert!(poll().is_pending());
        assert!(poll().is_pending());
        assert_eq!(asked.get(), 1);
        sender.send(7).unwrap();
        assert_eq!(poll(), Poll::Ready(Ok(7)));
        assert_eq!(asked.get(), 2);
        let mut again = || {
            seldom.poll(&task, |_part| {
                asked.set(asked.get() + 1);
                Poll::<()>::Pending
            })
        };
        assert!(again().is_pending());
        assert!(again().is_pending());
        assert_eq!(asked.get(), 3);
    }

    #[test]
    fn is_asked_again_when_woken_while_it_is_asked() {
        let mut seldom = Seldom::new();
        let task = Context::from_waker(noop_waker_ref());
        let mut asked = 0;
        for _twice in 0..2 {
            let polled = seldom.poll(&task, |part| {
                asked += 1;
                part.waker().wake_by_ref();
                Poll::<()>::Pending
            });
            assert!(polled.is_pending());
        }
        assert_eq!(asked, 2);
    }

    #[tokio::test]
    async fn what_wakes_the_part_wakes_the_task() {
        let mut seldom = Seldom::new();
        let (sender, mut receiver) = oneshot::channel();
        let waiting =
            std::future::poll_fn(move |task| seldom.poll(task, |part| receiver.poll_unpin(part)));
        let waiting = tokio::spawn(waiting);
        tokio::task::yield_now().await;
        sender.send(7).unwrap();
        let waited = tokio::time::timeout(Duration::from_secs(10), waiting).await;
        assert_eq!(waited.unwrap().unwrap(), Ok(7));
    }
}
