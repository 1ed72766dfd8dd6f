//! What the bodies of one kind have in common, kept once, so that each takes a fifth of the room.
//!
//! A service repeats itself: requests of one subscription with one event name the same repository,
//! people and addresses. Of a kind that comes often, one body becomes a dictionary: a row of its own
//! that later bodies are compressed against. It is committed with the request that it came with,
//! and nothing is compressed against it before that commit is synced, so whatever is read needs only
//! what is older.
//!
//! Only the host that made a dictionary uses it, for requests of a day; then another body takes its
//! place, since services change. It stays until the requests of that day are trimmed. What calls
//! bring, which may have to leave no trace, becomes none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::waiting::Kind;
use crate::clock::Millis;
use crate::id::DictionaryId;

/// Requests that are received later than this after it was made are not compressed against one.
const USED_FOR: Duration = Duration::from_hours(24);
/// What is compressed against one was received sooner after it was made, and is committed by then.
pub(super) const IN_USE_FOR: Duration = Duration::from_hours(25);
/// Of a kind that comes less often, none is made: it would not be used enough.
const OFTEN: Duration = Duration::from_hours(1);

/// Shorter bodies gain too little.
const BODY_MIN: usize = 512;
/// A match reaches back by 64 KB at most: of what stands before it in the body, and of a dictionary.
const BODY_MAX: usize = 60 << 10;
/// So long a body may become one itself.
const DICTIONARY_MAX: usize = 32 << 10;

/// How many kinds are remembered, and how many bytes of dictionaries.
const KINDS_MAX: usize = 1024;
const BYTES_MAX: usize = 8 << 20;

/// Bytes that bodies are compressed against.
pub(super) struct Dictionary {
    pub(super) id: DictionaryId,
    pub(super) bytes: Bytes,
    made_at: Millis,
}

/// Those that this host uses, by the kind of request.
#[derive(Default)]
pub(super) struct Dictionaries(Mutex<HashMap<String, Entry>>);

struct Entry {
    dictionary: Option<Arc<Dictionary>>,
    /// A request that brings the next one is being committed.
    is_being_made: bool,
    seen_at: Millis,
}

/// What to do with a body.
pub(super) enum Choice {
    Alone,
    Against(Arc<Dictionary>),
    /// It stands alone and becomes the dictionary of its kind.
    Becomes(NewDictionary),
}

/// One that is being committed. Dropped without [`NewDictionary::publish`], it is used by nobody.
pub(super) struct NewDictionary {
    pub(super) dictionary: Arc<Dictionary>,
    kind: String,
    dictionaries: Arc<Dictionaries>,
}

impl Dictionaries {
    /// For the body of a request that was received at `at`.
    pub(super) fn choose(self: &Arc<Self>, kind: Kind<'_>, at: Millis, body: &[u8]) -> Choice {
        if !(BODY_MIN..=BODY_MAX).contains(&body.len()) {
            return Choice::Alone;
        }
        let kind = format!("{} {}", kind.0, kind.1);
        let mut known = self.known();
        let Some(entry) = known.get_mut(&kind) else {
            if has_room(&mut known, (1, 0), at) {
                known.insert(kind, Entry::seen(at));
            }
            return Choice::Alone;
        };
        let current = entry.dictionary.as_ref().filter(|one| one.serves(at));
        let current = current.map(Arc::clone);
        let is_wanted = match &current {
            None => at.since(entry.seen_at) < OFTEN,
            // That of a short body says little about those that are much longer.
            Some(one) => one.bytes.len() < body.len() / 2,
        };
        entry.seen_at = entry.seen_at.max(at);
        if is_wanted
            && body.len() <= DICTIONARY_MAX
            && !std::mem::replace(&mut entry.is_being_made, true)
        {
            let new = NewDictionary {
                dictionary: Arc::new(Dictionary {
                    id: DictionaryId::generate(at),
                    // Not a part of what was read from the network, which would stay as a whole.
                    bytes: Bytes::copy_from_slice(body),
                    made_at: at,
                }),
                kind,
                dictionaries: Arc::clone(self),
            };
            let has_room = has_room(&mut known, (0, body.len()), at);
            // Given up without room, which takes the lock.
            drop(known);
            if has_room {
                return Choice::Becomes(new);
            }
        }
        current.map_or(Choice::Alone, Choice::Against)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there is room for so many more kinds and bytes, when those that did not come for long are
/// forgotten.
fn has_room(
    known: &mut HashMap<String, Entry>,
    (kinds, bytes): (usize, usize),
    at: Millis,
) -> bool {
    let fits = |known: &HashMap<String, Entry>| {
        let dictionaries = known.values().filter_map(|entry| entry.dictionary.as_ref());
        let held: usize = dictionaries.map(|one| one.bytes.len()).sum();
        known.len() + kinds <= KINDS_MAX && held + bytes <= BYTES_MAX
    };
    if !fits(known) {
        known.retain(|_, entry| entry.is_being_made || at.since(entry.seen_at) < OFTEN);
    }
    fits(known)
}

impl Entry {
    fn seen(at: Millis) -> Entry {
        Entry {
            dictionary: None,
            is_being_made: false,
            seen_at: at,
        }
    }
}

impl Dictionary {
    /// For a request received at `at`, by a clock that may have been set back.
    fn serves(&self, at: Millis) -> bool {
        at.since(self.made_at) <= USED_FOR
    }
}

impl NewDictionary {
    /// It is committed and synced: others may use it.
    pub(super) fn publish(self) {
        let mut known = self.dictionaries.known();
        if let Some(entry) = known.get_mut(&self.kind) {
            entry.dictionary = Some(Arc::clone(&self.dictionary));
        }
    }
}

impl Drop for NewDictionary {
    fn drop(&mut self) {
        if let Some(entry) = self.dictionaries.known().get_mut(&self.kind) {
            entry.is_being_made = false;
        }
    }
}

#[cfg(test)]
impl Dictionary {
    pub(super) fn of(bytes: &[u8]) -> Dictionary {
        Dictionary {
            id: DictionaryId::generate(Millis(0)),
            bytes: Bytes::copy_from_slice(bytes),
            made_at: Millis(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind<'static> = ("sub", "push");
    const NOW: Millis = Millis(1_700_000_000_000);

    fn choose(known: &Arc<Dictionaries>, kind: Kind<'_>, length: usize) -> Choice {
        known.choose(kind, NOW, &vec![b'a'; length])
    }

    /// The dictionary of this kind is one of this length.
    fn make(known: &Arc<Dictionaries>, kind: Kind<'_>, length: usize) -> bool {
        choose(known, kind, length);
        match choose(known, kind, length) {
            Choice::Becomes(new) => {
                new.publish();
                true
            }
            _ => false,
        }
    }

    fn used(known: &Arc<Dictionaries>, kind: Kind<'_>, length: usize) -> Option<usize> {
        match choose(known, kind, length) {
            Choice::Against(one) => Some(one.bytes.len()),
            _ => None,
        }
    }

    #[test]
    fn one_that_was_not_committed_is_used_by_nobody_and_the_next_is_made() {
        let known = Arc::<Dictionaries>::default();
        choose(&known, KIND, 1000);
        let Choice::Becomes(first) = choose(&known, KIND, 1000) else {
            panic!("it came twice");
        };
        assert!(matches!(choose(&known, KIND, 1000), Choice::Alone));
        drop(first);
        assert!(make(&known, KIND, 2000));
        assert_eq!(used(&known, KIND, 1000), Some(2000));
    }

    #[test]
    fn bodies_that_gain_nothing_stand_alone() {
        let known = Arc::<Dictionaries>::default();
        assert!(!make(&known, KIND, BODY_MIN - 1));
        assert!(!make(&known, KIND, DICTIONARY_MAX + 1));
        assert!(make(&known, KIND, DICTIONARY_MAX));
        assert_eq!(used(&known, KIND, BODY_MAX), Some(DICTIONARY_MAX));
        assert_eq!(used(&known, KIND, BODY_MAX + 1), None);
        assert_eq!(used(&known, KIND, BODY_MIN - 1), None);
    }

    #[test]
    fn a_body_that_is_much_longer_takes_the_place_of_a_short_one() {
        let known = Arc::<Dictionaries>::default();
        assert!(make(&known, KIND, 1000));
        assert_eq!(used(&known, KIND, 2001), Some(1000));
        let Choice::Becomes(longer) = choose(&known, KIND, 2002) else {
            panic!("it is twice as long");
        };
        assert_eq!(used(&known, KIND, 2002), Some(1000), "until that is kept");
        longer.publish();
        assert_eq!(used(&known, KIND, 1000), Some(2002));
    }

    #[test]
    fn a_sender_that_makes_up_names_takes_no_more_memory_than_is_set_aside() {
        let known = Arc::<Dictionaries>::default();
        let names: Vec<String> = (0..2 * KINDS_MAX).map(|name| name.to_string()).collect();
        for name in &names {
            make(&known, ("sub", name), DICTIONARY_MAX);
        }
        let made = names
            .iter()
            .filter(|name| used(&known, ("sub", name), 1000).is_some());
        assert_eq!(made.count(), BYTES_MAX / DICTIONARY_MAX);
        assert_eq!(known.known().len(), KINDS_MAX);
        // Those that did not come for an hour make room.
        let later = NOW.plus(OFTEN);
        let come = |at| known.choose(KIND, at, &vec![b'a'; DICTIONARY_MAX]);
        come(later);
        let Choice::Becomes(new) = come(later) else {
            panic!("there is room");
        };
        new.publish();
        assert_eq!(known.known().len(), 1);
    }
}
