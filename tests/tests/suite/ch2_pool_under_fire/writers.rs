//! Those who post while nodes fail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use holdfast_fixtures::chat::{Person, Posted};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// People who post without a pause, each post again and again at any node until it is acknowledged.
pub(super) struct Writers {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<Vec<(String, Posted)>>>,
}

impl Writers {
    pub(super) fn start(
        people: Vec<Person>,
        room: &str,
        bases: &watch::Sender<Vec<String>>,
    ) -> Self {
        let (stop, acknowledged) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let tasks = people.into_iter().enumerate().map(|(writer, person)| {
            let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
            let (room, bases) = (room.to_owned(), bases.subscribe());
            tokio::spawn(async move {
                let mut posts = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let client_id = format!("{writer}-{}", posts.len());
                    let posted = insist(&person, &room, &client_id, &bases, writer).await;
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                    posts.push((client_id, posted));
                    // People type; and the machine is needed by those who read.
                    tokio::time::sleep(Duration::from_millis(15)).await;
                }
                posts
            })
        });
        Self {
            tasks: tasks.collect(),
            stop,
            acknowledged,
        }
    }

    /// Waits for this many more acknowledged posts.
    pub(super) async fn more(&self, posts: usize) {
        let (from, begin) = (self.acknowledged.load(Ordering::Relaxed), Instant::now());
        while self.acknowledged.load(Ordering::Relaxed) < from + posts {
            assert!(
                begin.elapsed() < Duration::from_secs(60),
                "posting stands still"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(super) async fn stop(self) -> BTreeMap<String, Posted> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = BTreeMap::new();
        for task in self.tasks {
            all.extend(task.await.unwrap());
        }
        all
    }
}

async fn insist(
    person: &Person,
    room: &str,
    client_id: &str,
    bases: &watch::Receiver<Vec<String>>,
    first: usize,
) -> Posted {
    let (begin, mut turn) = (Instant::now(), first);
    loop {
        let base = {
            let bases = bases.borrow();
            bases[turn % bases.len()].clone()
        };
        turn += 1;
        let post = person.at(&base);
        // A node that hangs must not hold its writer: the same post goes to another.
        let answer = tokio::time::timeout(
            Duration::from_secs(3),
            post.post(room, client_id, Some(client_id)),
        );
        match answer.await {
            Ok(Ok(posted)) => return posted,
            Ok(Err(failure)) => assert!(failure.passes(), "{client_id}: {failure}"),
            Err(_elapsed) => {}
        }
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "{client_id} was never taken"
        );
    }
}
