//! The fold's memory of recent tracks. Postgres is the record; this is a
//! cache with a bound in bytes, from which the least recently used go.

use std::collections::{BTreeMap, HashMap};

use crate::fold::Track;
use crate::store::{LoadedTrack, TrackKey};

/// Rows of this size together are kept, bytes. In memory they take some three times as much.
const MAX_BYTES: usize = 32 * 1024 * 1024;

struct Entry {
    track: Result<Track, String>,
    bytes: usize,
    used: u64,
}

/// Tracks as last committed.
#[derive(Default)]
pub(crate) struct TrackCache {
    entries: HashMap<TrackKey, Entry>,
    bytes: usize,
    clock: u64,
}

impl TrackCache {
    /// The track, or why its row cannot be read; none while it is not loaded.
    pub(crate) fn get(&self, key: &TrackKey) -> Option<Result<&Track, &str>> {
        let entry = self.entries.get(key)?;
        Some(entry.track.as_ref().map_err(String::as_str))
    }

    /// The track for a change that is no event (a sign of life).
    pub(crate) fn get_mut(&mut self, key: &TrackKey) -> Option<&mut Track> {
        self.entries.get_mut(key)?.track.as_mut().ok()
    }

    /// Those of the keys that are not loaded, each once.
    pub(crate) fn missing<'a>(&self, keys: impl Iterator<Item = &'a TrackKey>) -> Vec<TrackKey> {
        let mut missing: Vec<TrackKey> = keys
            .filter(|key| !self.entries.contains_key(key))
            .cloned()
            .collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    /// Takes what was loaded; a key without a row gets an empty track.
    pub(crate) fn fill(
        &mut self,
        keys: Vec<TrackKey>,
        mut loaded: BTreeMap<TrackKey, Result<LoadedTrack, String>>,
    ) {
        for key in keys {
            let (track, bytes) = match loaded.remove(&key) {
                Some(Ok(found)) => (Ok(found.track), found.bytes),
                Some(Err(reason)) => (Err(reason), 0),
                None => {
                    let track = Track::new(&key.host, &key.producer, key.project);
                    (Ok(track), 0)
                }
            };
            self.put(key, track, bytes);
        }
    }

    /// Takes a committed track; `bytes` is the size of its row.
    pub(crate) fn keep(&mut self, key: TrackKey, track: Track, bytes: usize) {
        self.put(key, Ok(track), bytes);
    }

    fn put(&mut self, key: TrackKey, track: Result<Track, String>, bytes: usize) {
        self.clock += 1;
        // Key and entry cost something even when the row is small.
        let bytes = bytes + 512;
        let entry = Entry {
            track,
            bytes,
            used: self.clock,
        };
        self.bytes += bytes;
        if let Some(old) = self.entries.insert(key, entry) {
            self.bytes -= old.bytes;
        }
    }

    /// Drops the least recently used until half of the bound is free. Not while a batch is being folded.
    pub(crate) fn shrink(&mut self) {
        if self.bytes <= MAX_BYTES {
            return;
        }
        let mut by_age: Vec<(u64, TrackKey)> = self
            .entries
            .iter()
            .map(|(key, entry)| (entry.used, key.clone()))
            .collect();
        by_age.sort_unstable();
        for (_, key) in by_age {
            if self.bytes <= MAX_BYTES / 2 {
                break;
            }
            if let Some(old) = self.entries.remove(&key) {
                self.bytes -= old.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::ProjectToken;

    use super::*;

    fn key(project: u64) -> TrackKey {
        TrackKey {
            host: "h".into(),
            producer: "p".into(),
            project: ProjectToken(project),
        }
    }

    #[test]
    fn what_is_missing_is_loaded_once_and_the_oldest_go_first() {
        let mut cache = TrackCache::default();
        let keys = [key(2), key(1), key(2)];
        let missing = cache.missing(keys.iter());
        assert_eq!(missing, [key(1), key(2)]);
        cache.fill(missing, BTreeMap::from([(key(1), Err("broken".into()))]));
        assert!(matches!(cache.get(&key(1)), Some(Err("broken"))));
        assert!(matches!(cache.get(&key(2)), Some(Ok(_))));
        for project in 10..20 {
            cache.keep(
                key(project),
                Track::new("h", "p", ProjectToken(project)),
                MAX_BYTES / 8,
            );
        }
        cache.shrink();
        assert!(cache.get(&key(1)).is_none() && cache.get(&key(10)).is_none());
        assert!(cache.get(&key(19)).is_some());
        assert!(cache.bytes <= MAX_BYTES / 2);
    }
}
