//! What was read of settings and has not changed since.
//!
//! Everything but the group commit changes rows over [`Database::writer`](super::database::Database),
//! which counts it here when the connection is given back: after the commit, and before whoever
//! asked for the change hears of it. What was read before that is not used again. Only for a
//! database that no other host changes.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many are remembered; after that all are read anew.
const REMEMBERED_MAX: usize = 1024;

/// Counts the times that settings may have changed.
#[derive(Default)]
pub(super) struct Changes(Arc<AtomicU64>);

/// Counts once when it is dropped.
pub(super) struct Counted(Arc<AtomicU64>);

impl Changes {
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    pub(super) fn counted(&self) -> Counted {
        Counted(Arc::clone(&self.0))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// What was read, by what was asked.
pub(super) struct Remembered<K, V>(Mutex<Read<K, V>>);

struct Read<K, V> {
    /// All of it was read after so many changes.
    changes: u64,
    found: HashMap<K, V>,
}

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Remembered<K, V> {
        Remembered(Mutex::new(Read {
            changes: 0,
            found: HashMap::new(),
        }))
    }
}

impl<K: Hash + Eq, V: Clone> Remembered<K, V> {
    /// What was found, if nothing has changed since. `changes`: counted now.
    pub(super) fn get<Q>(&self, changes: u64, asked: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let read = self.read();
        (read.changes == changes)
            .then(|| read.found.get(asked).cloned())
            .flatten()
    }

    /// `changes`: counted before it was read.
    pub(super) fn keep(&self, changes: u64, asked: K, found: V) {
        let mut read = self.read();
        if read.changes > changes {
            return;
        }
        if read.changes < changes || read.found.len() >= REMEMBERED_MAX {
            read.found.clear();
        }
        read.changes = changes;
        read.found.insert(asked, found);
    }

    fn read(&self) -> MutexGuard<'_, Read<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_change_is_forgotten_with_it() {
        let (changes, remembered) = (Changes::default(), Remembered::default());
        let before = changes.count();
        remembered.keep(before, "a", 1);
        assert_eq!(remembered.get(changes.count(), "a"), Some(1));
        drop(changes.counted());
        assert_eq!(remembered.get(changes.count(), "a"), None);
        // Read before the change, kept after it.
        remembered.keep(before, "b", 1);
        assert_eq!(remembered.get(changes.count(), "b"), None);
        remembered.keep(changes.count(), "a", 2);
        assert_eq!(remembered.get(changes.count(), "a"), Some(2));
        remembered.keep(before, "c", 1);
        assert_eq!(remembered.get(changes.count(), "a"), Some(2));
    }

    #[test]
    fn no_more_is_remembered_than_has_room() {
        let remembered = Remembered::default();
        for asked in 0..=REMEMBERED_MAX {
            remembered.keep(0, asked, ());
        }
        assert!(remembered.read().found.len() <= REMEMBERED_MAX);
        assert!(remembered.get(0, &REMEMBERED_MAX).is_some());
    }
}
