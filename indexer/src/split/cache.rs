//! Ranged reads of splits on object stores, through a cache of bounded size.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::Handle;

/// Bytes fetched and cached together: a round trip to an object store costs as much as a megabyte.
const CHUNK_BYTES: usize = 1 << 20;

/// Where pieces of splits are kept that came from an object store.
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// A folder for them, made when missing; in memory when nothing is said.
    pub dir: Option<PathBuf>,
    /// Most bytes kept. The pieces used longest ago go first.
    pub bytes_max: u64,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            dir: None,
            bytes_max: 256 << 20,
        }
    }
}

/// Pieces of splits, by name.
#[derive(Debug)]
pub(crate) struct ChunkCache {
    options: CacheOptions,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: HashMap<String, Held>,
    bytes: u64,
    clock: u64,
}

#[derive(Debug)]
struct Held {
    bytes: u64,
    used: u64,
    /// The piece itself when it is not on disk.
    memory: Option<Bytes>,
}

const SUFFIX: &str = ".splitchunk";

impl ChunkCache {
    /// Takes over what an earlier process left in the folder.
    pub(crate) fn new(options: CacheOptions) -> Self {
        let mut state = State::default();
        if let Some(dir) = &options.dir {
            // A cache that cannot be read is an empty one.
            let mut left: Vec<_> = std::fs::read_dir(dir)
                .into_iter()
                .flatten()
                .flatten()
                .filter_map(|entry| {
                    let name = entry
                        .file_name()
                        .into_string()
                        .ok()
                        .filter(|name| name.ends_with(SUFFIX))?;
                    let metadata = entry.metadata().ok()?;
                    Some((metadata.modified().ok()?, name, metadata.len()))
                })
                .collect();
            left.sort();
            for (_, name, bytes) in left {
                state.clock += 1;
                state.bytes += bytes;
                state.held.insert(
                    name,
                    Held {
                        bytes,
                        used: state.clock,
                        memory: None,
                    },
                );
            }
        }
        Self {
            options,
            state: Mutex::new(state),
        }
    }

    fn get(&self, name: &str) -> Option<Bytes> {
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.clock += 1;
            let clock = state.clock;
            let held = state.held.get_mut(name)?;
            held.used = clock;
            if let Some(bytes) = &held.memory {
                return Some(bytes.clone());
            }
        }
        let path = self.options.dir.as_ref()?.join(name);
        std::fs::read(path).ok().map(Bytes::from)
    }

    fn put(&self, name: &str, bytes: &Bytes) {
        if bytes.len() as u64 > self.options.bytes_max {
            return;
        }
        let memory = match &self.options.dir {
            Some(dir) => {
                // Written aside and renamed: another process may read the folder at the same time.
                let aside = dir.join(format!("{name}.{}", std::process::id()));
                let stored = std::fs::create_dir_all(dir)
                    .and_then(|()| std::fs::write(&aside, bytes))
                    .and_then(|()| std::fs::rename(&aside, dir.join(name)));
                if stored.is_err() {
                    return;
                }
                None
            }
            None => Some(bytes.clone()),
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let held = Held {
            bytes: bytes.len() as u64,
            used: state.clock,
            memory,
        };
        state.bytes += held.bytes;
        if let Some(before) = state.held.insert(name.to_owned(), held) {
            state.bytes -= before.bytes;
        }
        while state.bytes > self.options.bytes_max {
            let oldest = state
                .held
                .iter()
                .min_by_key(|(_, held)| held.used)
                .map(|(name, _)| name.clone());
            let Some(oldest) = oldest else { break };
            if let Some(held) = state.held.remove(&oldest) {
                state.bytes -= held.bytes;
            }
            if let Some(dir) = &self.options.dir {
                // Another process may have removed it: gone is what is wanted.
                let _gone = std::fs::remove_file(dir.join(&oldest));
            }
        }
    }

    /// Names of all pieces. Those that other processes wrote since this one began are among them, and what a process left
    /// half written that was killed (`….splitchunk.<pid>`).
    pub(crate) fn names(&self) -> io::Result<BTreeSet<String>> {
        let mut names: BTreeSet<String> = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.held.keys().cloned().collect()
        };
        let Some(dir) = &self.options.dir else {
            return Ok(names);
        };
        let entries = match std::fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
            entries => entries?,
        };
        for entry in entries {
            let name = entry?.file_name().into_string();
            names.extend(name.ok().filter(|name| name.contains(SUFFIX)));
        }
        Ok(names)
    }

    /// Lets go of pieces: the words of their splits may have been disposed of.
    pub(crate) fn remove(&self, names: &[String]) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            if let Some(dir) = &self.options.dir {
                match std::fs::remove_file(dir.join(name)) {
                    Ok(()) => {}
                    // Another process may have removed it: gone is what is wanted.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            if let Some(held) = state.held.remove(name) {
                state.bytes -= held.bytes;
            }
        }
        Ok(())
    }

    /// Bytes held now.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .bytes
    }
}

/// A split on an object store.
pub(crate) struct RangedFile {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) path: Path,
    /// Names the file and its content in the cache.
    pub(crate) cache_key: String,
    /// Length of the parts.
    pub(crate) bytes: usize,
    pub(crate) cache: Arc<ChunkCache>,
    /// Reads run on it while a worker thread waits: Tantivy's reads are blocking.
    pub(crate) runtime: Handle,
}

impl RangedFile {
    fn chunk_range(&self, chunk: usize) -> Range<usize> {
        chunk * CHUNK_BYTES..((chunk + 1) * CHUNK_BYTES).min(self.bytes)
    }

    fn chunk_name(&self, chunk: usize) -> String {
        format!("{}.{chunk}{SUFFIX}", self.cache_key)
    }

    /// Reads a range, from the cache where it is there.
    pub(crate) fn read(&self, range: Range<usize>) -> io::Result<Bytes> {
        let chunks = range.start / CHUNK_BYTES..range.end.div_ceil(CHUNK_BYTES);
        let mut found: Vec<Option<Bytes>> = chunks
            .clone()
            .map(|chunk| {
                self.cache
                    .get(&self.chunk_name(chunk))
                    .filter(|bytes| bytes.len() == self.chunk_range(chunk).len())
            })
            .collect();
        let missing: Vec<usize> = chunks
            .clone()
            .filter(|chunk| found[chunk - chunks.start].is_none())
            .collect();
        if !missing.is_empty() {
            let ranges: Vec<Range<u64>> = missing
                .iter()
                .map(|chunk| self.chunk_range(*chunk))
                .map(|range| range.start as u64..range.end as u64)
                .collect();
            let fetched = self
                .runtime
                .block_on(self.store.get_ranges(&self.path, &ranges))
                .map_err(io::Error::other)?;
            for (chunk, bytes) in missing.iter().zip(fetched) {
                self.cache.put(&self.chunk_name(*chunk), &bytes);
                found[chunk - chunks.start] = Some(bytes);
            }
        }
        let begin = chunks.start * CHUNK_BYTES;
        let whole = match found.as_slice() {
            [Some(one)] => one.clone(),
            many => {
                let mut joined = BytesMut::with_capacity(chunks.len() * CHUNK_BYTES);
                many.iter()
                    .flatten()
                    .for_each(|bytes| joined.extend_from_slice(bytes));
                joined.freeze()
            }
        };
        whole
            .get(range.start - begin..range.end - begin)
            .map(|bytes| whole.slice_ref(bytes))
            .ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the store returned less than was asked for",
                )
            })
    }

    /// Reads a range from the store, and puts the cache right.
    pub(crate) fn read_past_cache(&self, range: Range<usize>) -> io::Result<Bytes> {
        for chunk in range.start / CHUNK_BYTES..range.end.div_ceil(CHUNK_BYTES) {
            let span = self.chunk_range(chunk);
            let bytes = self
                .runtime
                .block_on(
                    self.store
                        .get_range(&self.path, span.start as u64..span.end as u64),
                )
                .map_err(io::Error::other)?;
            self.cache.put(&self.chunk_name(chunk), &bytes);
        }
        self.read(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use object_store::memory::InMemory;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    }

    fn file(
        runtime: &tokio::runtime::Runtime,
        cache: &Arc<ChunkCache>,
        bytes: &Bytes,
    ) -> RangedFile {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let path = Path::from("index/a.split");
        runtime
            .block_on(store.put(&path, bytes.clone().into()))
            .unwrap();
        let (cache, runtime) = (Arc::clone(cache), runtime.handle().clone());
        RangedFile {
            store,
            path,
            cache_key: "a-1".to_owned(),
            bytes: bytes.len(),
            cache,
            runtime,
        }
    }

    fn sample() -> Bytes {
        (0..CHUNK_BYTES * 3 + 77)
            .map(|at| (at % 251) as u8)
            .collect::<Vec<_>>()
            .into()
    }

    fn reads_right(cache: ChunkCache, bytes_max: u64) {
        let (runtime, cache, bytes) = (runtime(), Arc::new(cache), sample());
        let file = file(&runtime, &cache, &bytes);
        let edges = [
            0,
            1,
            CHUNK_BYTES - 1,
            CHUNK_BYTES,
            CHUNK_BYTES * 2 + 5,
            bytes.len() - 1,
            bytes.len(),
        ];
        for from in edges {
            for to in edges.into_iter().filter(|to| *to > from) {
                assert_eq!(file.read(from..to).unwrap(), bytes.slice(from..to));
                assert!(cache.bytes() <= bytes_max);
            }
        }
    }

    #[test]
    fn ranges_are_right_and_the_cache_stays_bounded() {
        let bytes_max = 2 * CHUNK_BYTES as u64 + 100;
        reads_right(
            ChunkCache::new(CacheOptions {
                dir: None,
                bytes_max,
            }),
            bytes_max,
        );
        let folder = tempfile::tempdir().unwrap();
        let options = CacheOptions {
            dir: Some(folder.path().join("pieces")),
            bytes_max,
        };
        reads_right(ChunkCache::new(options.clone()), bytes_max);
        let left = std::fs::read_dir(folder.path().join("pieces")).unwrap();
        assert!(
            left.map(|entry| entry.unwrap().metadata().unwrap().len())
                .sum::<u64>()
                <= bytes_max
        );
        // Another process takes over what is there.
        assert!(ChunkCache::new(options).bytes() > 0);
    }

    /// What a cache holds of a split, and of nothing else, is let go of.
    fn forget(cache: &ChunkCache, split: &str) -> usize {
        let names = cache.names().unwrap();
        let of_split = names.into_iter().filter(|name| name.starts_with(split));
        let of_split: Vec<String> = of_split.collect();
        cache.remove(&of_split).unwrap();
        of_split.len()
    }

    #[test]
    fn pieces_of_splits_that_are_gone_are_let_go_of() {
        let (runtime, bytes) = (runtime(), sample());
        let folder = tempfile::tempdir().unwrap();
        for dir in [Some(folder.path().to_owned()), None] {
            let cache = Arc::new(ChunkCache::new(CacheOptions {
                dir,
                bytes_max: u64::MAX,
            }));
            let mut file = file(&runtime, &cache, &bytes);
            file.read(0..bytes.len()).unwrap();
            file.cache_key = "b-1".to_owned();
            file.read(0..10).unwrap();
            let before = cache.bytes();
            assert_eq!(forget(&cache, "a-"), 4);
            assert_eq!(cache.bytes(), before - bytes.len() as u64);
            file.store = Arc::new(InMemory::new());
            assert!(file.read(0..10).is_ok());
            file.cache_key = "a-1".to_owned();
            assert!(file.read(0..10).is_err());
        }
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn what_other_processes_wrote_and_what_killed_ones_left_is_let_go_of_too() {
        let folder = tempfile::tempdir().unwrap();
        let cache = ChunkCache::new(CacheOptions {
            dir: Some(folder.path().to_owned()),
            bytes_max: u64::MAX,
        });
        for name in ["a-1.0.splitchunk", "a-1.1.splitchunk.4711", "notes.txt"] {
            std::fs::write(folder.path().join(name), "words").unwrap();
        }
        assert_eq!(forget(&cache, "a-"), 2);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_cached_piece_needs_no_store_and_a_wrong_one_is_put_right() {
        let (runtime, bytes) = (runtime(), sample());
        let folder = tempfile::tempdir().unwrap();
        let options = CacheOptions {
            dir: Some(folder.path().to_owned()),
            bytes_max: u64::MAX,
        };
        let cache = Arc::new(ChunkCache::new(options));
        let mut file = file(&runtime, &cache, &bytes);
        file.read(0..10).unwrap();
        std::fs::write(folder.path().join(file.chunk_name(0)), vec![0; CHUNK_BYTES]).unwrap();
        assert_eq!(file.read(0..3).unwrap(), Bytes::from_static(&[0, 0, 0]));
        assert_eq!(file.read_past_cache(0..3).unwrap(), bytes.slice(0..3));
        file.store = Arc::new(InMemory::new());
        assert_eq!(file.read(0..3).unwrap(), bytes.slice(0..3));
        assert!(file.read(CHUNK_BYTES..CHUNK_BYTES + 1).is_err());
    }
}
