//! What the bodies of one kind have in common, kept once, so that each takes a fifth of the room.
//!
//! A service repeats itself: requests of one subscription with one event name the same repository,
//! people and addresses. Of a kind that comes often, one body becomes a dictionary: a row of its own
//! that later bodies are compressed against. It is committed with the request that it came with,
//! and nothing is compressed against it before that commit is synced, so whatever is read needs only
//! what is older.
//!
//! Only the host that made a dictionary uses it, for requests of a day; then another body takes its
//! place, since services change. It stays until the requests of that day are trimmed. Each commit
//! looks whether those it needs are there ([`keep`]): a clock that ran ahead for a while, or a standby
//! that took over without the last commits, takes away what is in use. What calls bring, which may
//! have to leave no trace, becomes none.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::StoreError;
use super::body::Stored;
use super::connection::Connection;
use super::open::Backend;
use super::rows::{ManyRows, chunks};
use super::sql::{Statement, Text};
use super::waiting::Kind;
use crate::clock::Millis;
use crate::id::{DictionaryId, SubscriptionId, WorkspaceId};

/// Requests that are received later than this after it was made are not compressed against one.
const USED_FOR: Duration = Duration::from_hours(24);
/// What is compressed against one was received sooner after it was made, and is committed by then.
pub(super) const IN_USE_FOR: Duration = Duration::from_hours(25);
/// One that was made later than this after a request was received was made by a clock that was wrong.
const AHEAD_MAX: Duration = Duration::from_mins(1);
/// Of a kind that comes less often, none is made: it would not be used enough.
const OFTEN: Duration = Duration::from_hours(1);

/// Shorter bodies gain too little.
const BODY_MIN: usize = 512;
/// A match reaches back by 64 KB at most: of what stands before it in the body, and of a dictionary.
const BODY_MAX: usize = 60 << 10;
/// So long a body may become one itself.
const DICTIONARY_MAX: usize = 32 << 10;
/// One that is so many times as long as a body takes longer than it gains.
const TIMES_MAX: usize = 8;

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
    /// How long the next one is, while the request that brings it is being committed.
    in_making: Option<usize>,
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
            if has_room(&mut known, 1, at) {
                known.insert(kind, Entry::seen(at));
            }
            return Choice::Alone;
        };
        let current = entry.dictionary.clone().filter(|one| one.serves(at));
        let is_wanted = match &current {
            None => at.since(entry.seen_at) < OFTEN,
            // That of a short body says little about those that are much longer.
            Some(one) => one.bytes.len() < body.len() / 2,
        };
        entry.seen_at = entry.seen_at.max(at);
        if is_wanted && body.len() <= DICTIONARY_MAX && entry.in_making.is_none() {
            entry.in_making = Some(body.len());
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
            let has_room = has_room(&mut known, 0, at);
            // Given up without room, which takes the lock.
            drop(known);
            if has_room {
                return Choice::Becomes(new);
            }
        }
        let current = current.filter(|one| one.bytes.len() / TIMES_MAX <= body.len());
        current.map_or(Choice::Alone, Choice::Against)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there is room for so many more kinds, and for all bytes, when those that did not come for
/// long are forgotten.
fn has_room(known: &mut HashMap<String, Entry>, more: usize, at: Millis) -> bool {
    let fits = |known: &HashMap<String, Entry>| {
        let held: usize = known.values().map(Entry::bytes).sum();
        known.len() + more <= KINDS_MAX && held <= BYTES_MAX
    };
    if !fits(known) {
        known.retain(|_, entry| entry.in_making.is_some() || at.since(entry.seen_at) < OFTEN);
    }
    fits(known)
}

/// What a request needs that is being committed.
pub(super) struct Needed<'a> {
    pub(super) dictionary: &'a Arc<Dictionary>,
    pub(super) workspace: &'a WorkspaceId,
    pub(super) subscription: &'a SubscriptionId,
}

static SELECT_THERE: ManyRows = ManyRows::new(
    "select id as text from dictionaries where id in (",
    "?",
    ")",
);

/// Sees to it that these are there, in the transaction of those that need them.
pub(super) async fn keep<'a>(
    connection: &mut impl Connection,
    backend: Backend,
    needed: impl Iterator<Item = Needed<'a>>,
) -> Result<(), StoreError> {
    // Each once, and in one order everywhere.
    let mut missing: BTreeMap<&str, Needed<'a>> = needed
        .map(|needed| (needed.dictionary.id.as_str(), needed))
        .collect();
    let ids: Vec<&str> = missing.keys().copied().collect();
    for chunk in chunks(&ids) {
        let text = SELECT_THERE.text(backend, chunk.len());
        let mut select = Statement::composed("find dictionaries", text);
        for id in chunk {
            select.push(*id);
        }
        for found in select.all::<Text>(connection).await? {
            missing.remove(found.0.as_str());
        }
    }
    for needed in missing.into_values() {
        let body = Stored::pack(Some(needed.dictionary.bytes.clone())).await;
        Statement::new(
            "insert a dictionary",
            "insert into dictionaries (id, workspace_id, subscription_id, encoding, made_at, body) \
             values ($1, $2, $3, $4, $5, $6) on conflict (id) do nothing",
        )
        .bind(&needed.dictionary.id)
        .bind(needed.workspace)
        .bind(needed.subscription)
        .bind(body.encoding)
        .bind(needed.dictionary.made_at)
        .bind(body.bytes)
        .run(connection)
        .await?;
    }
    Ok(())
}

impl Entry {
    fn seen(at: Millis) -> Entry {
        Entry {
            dictionary: None,
            in_making: None,
            seen_at: at,
        }
    }

    /// How many bytes it keeps, or will.
    fn bytes(&self) -> usize {
        let kept = self.dictionary.as_ref().map_or(0, |one| one.bytes.len());
        kept + self.in_making.unwrap_or_default()
    }
}

impl Dictionary {
    /// For a request received at `at`.
    fn serves(&self, at: Millis) -> bool {
        at.since(self.made_at) <= USED_FOR && self.made_at.since(at) <= AHEAD_MAX
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
            entry.in_making = None;
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
        let shortest = DICTIONARY_MAX / TIMES_MAX;
        assert_eq!(used(&known, KIND, shortest), Some(DICTIONARY_MAX));
        assert_eq!(used(&known, KIND, shortest - 1), None);
        assert!(!make(&known, KIND, shortest - 1), "the long one stays");
    }

    #[test]
    fn one_that_a_wrong_clock_made_is_not_used_when_it_is_right_again() {
        let known = Arc::<Dictionaries>::default();
        assert!(make(&known, KIND, 1000));
        let at = |ms| known.choose(KIND, Millis(NOW.0 + ms), &[b'a'; 1000]);
        let minute = 60_000;
        assert!(matches!(at(-minute), Choice::Against(_)));
        assert!(matches!(at(24 * 60 * minute), Choice::Against(_)));
        assert!(matches!(at(-minute - 1), Choice::Becomes(_)));
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
        let is_made = |name: &&String| used(&known, ("sub", name), DICTIONARY_MAX).is_some();
        let made = names.iter().filter(is_made);
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
