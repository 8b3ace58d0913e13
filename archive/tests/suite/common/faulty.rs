//! A store whose Nth operation fails: before its effect, after it, or with an answer that lies.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::{Notify, Semaphore};

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An error, no effect.
    Before,
    /// The effect, and then an error.
    After,
    /// A put takes effect, and the answer says that something was there (a store that repeated our request).
    Repeated,
}

#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn ObjectStore>,
    operations: AtomicU64,
    /// Operation number (from 1) and how many in a row fail.
    plan: Mutex<Option<(Range<u64>, Fault)>>,
    /// Puts whose path ends so wait for a permit.
    gate: Mutex<Option<(String, Arc<Semaphore>)>>,
    /// Puts whose path ends so become zeros, or these bytes.
    torn: Mutex<Option<(&'static str, Option<Bytes>)>>,
    /// Puts that came to the gate.
    waiting: AtomicU64,
    /// Paths of the puts that took effect.
    puts: Mutex<Vec<String>>,
    /// Paths of what was read whole.
    read_whole: Mutex<Vec<String>>,
    /// Told whenever a put came to the gate or took effect.
    changed: Notify,
}

impl Faulty {
    pub fn new(inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            operations: AtomicU64::new(0),
            plan: Mutex::new(None),
            gate: Mutex::new(None),
            torn: Mutex::new(None),
            waiting: AtomicU64::new(0),
            puts: Mutex::default(),
            read_whole: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// The operations numbered so from now on (the next is 1) fail.
    pub fn fail(&self, operations: Range<u64>, fault: Fault) {
        self.operations.store(0, Ordering::SeqCst);
        *self.plan.lock().unwrap() = Some((operations, fault));
    }

    pub fn heal(&self) {
        *self.plan.lock().unwrap() = None;
    }

    /// Operations since [`Faulty::fail`].
    pub fn operations(&self) -> u64 {
        self.operations.load(Ordering::SeqCst)
    }

    /// Puts to paths with this ending wait until the semaphore has permits.
    pub fn gate(&self, ending: &str) -> Arc<Semaphore> {
        let semaphore = Arc::new(Semaphore::new(0));
        *self.gate.lock().unwrap() = Some((ending.to_owned(), Arc::clone(&semaphore)));
        semaphore
    }

    /// Puts to paths with this ending become zeros of the same length, and succeed.
    pub fn tear(&self, ending: Option<&'static str>) {
        *self.torn.lock().unwrap() = ending.map(|ending| (ending, None));
    }

    /// Puts to paths with this ending write these bytes instead, and succeed.
    pub fn swap(&self, ending: &'static str, bytes: Bytes) {
        *self.torn.lock().unwrap() = Some((ending, Some(bytes)));
    }

    /// Whether a file whose path ends so was read whole.
    pub fn was_read_whole(&self, ending: &str) -> bool {
        let read = self.read_whole.lock().unwrap();
        read.iter().any(|path| path.ends_with(ending))
    }

    /// Waits until a put has come to the gate.
    pub async fn until_waiting(&self) {
        self.until(|| self.waiting.load(Ordering::SeqCst) > 0).await;
    }

    /// Waits until a put to a path with this ending has taken effect.
    pub async fn until_put(&self, ending: &str) {
        self.until(|| {
            self.puts
                .lock()
                .unwrap()
                .iter()
                .any(|p| p.ends_with(ending))
        })
        .await;
    }

    async fn until(&self, done: impl Fn() -> bool) {
        loop {
            // Before the look: what changes after it is told.
            let changed = self.changed.notified();
            if done() {
                return;
            }
            changed.await;
        }
    }

    async fn put_inner(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let put = self.inner.put_opts(location, payload, opts).await?;
        self.puts.lock().unwrap().push(location.to_string());
        self.changed.notify_waiters();
        Ok(put)
    }

    fn next(&self) -> Option<Fault> {
        let number = self.operations.fetch_add(1, Ordering::SeqCst) + 1;
        let plan = self.plan.lock().unwrap();
        plan.as_ref()
            .filter(|(range, _)| range.contains(&number))
            .map(|(_, fault)| *fault)
    }
}

fn failed() -> Error {
    Error::Generic {
        store: "faulty",
        source: "injected".into(),
    }
}

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let gate = self
            .gate
            .lock()
            .unwrap()
            .clone()
            .filter(|(ending, _)| location.as_ref().ends_with(ending));
        if let Some((_, semaphore)) = gate {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            self.changed.notify_waiters();
            semaphore.acquire().await.unwrap().forget();
        }
        let torn = self.torn.lock().unwrap().clone();
        let payload = match torn {
            Some((ending, bytes)) if location.as_ref().ends_with(ending) => bytes.map_or_else(
                || vec![0; payload.content_length()].into(),
                PutPayload::from,
            ),
            Some(_) | None => payload,
        };
        match self.next() {
            None => self.put_inner(location, payload, opts).await,
            Some(Fault::Before) => Err(failed()),
            Some(Fault::After) => {
                self.put_inner(location, payload, opts).await?;
                Err(failed())
            }
            Some(Fault::Repeated) => {
                self.put_inner(location, payload, opts).await?;
                Err(Error::AlreadyExists {
                    path: location.to_string(),
                    source: "injected".into(),
                })
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        if self.next().is_some() {
            Err(failed())
        } else {
            self.inner.put_multipart_opts(location, opts).await
        }
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if options.range.is_none() {
            self.read_whole.lock().unwrap().push(location.to_string());
        }
        if self.next().is_some() {
            Err(failed())
        } else {
            self.inner.get_opts(location, options).await
        }
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if self.next().is_some() {
            Err(failed())
        } else {
            self.inner.get_ranges(location, ranges).await
        }
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let fault = self.next();
        match fault {
            None => self.inner.delete_stream(locations),
            Some(Fault::Before | Fault::Repeated) => locations.map(|_| Err(failed())).boxed(),
            Some(Fault::After) => self
                .inner
                .delete_stream(locations)
                .map(|_| Err(failed()))
                .boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        if self.next().is_some() {
            return futures::stream::once(async { Err(failed()) }).boxed();
        }
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        if self.next().is_some() {
            Err(failed())
        } else {
            self.inner.list_with_delimiter(prefix).await
        }
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        if self.next().is_some() {
            Err(failed())
        } else {
            self.inner.copy_opts(from, to, options).await
        }
    }
}
