//! Ids: a type for each kind of row, printed with its prefix, ordered by the time they were made.

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;

use crate::clock::{Millis, random};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const BODY_LEN: usize = 26;

/// What is wrong with a text that should be an id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected an id like `{prefix}_` and {BODY_LEN} letters and digits")]
pub struct IdError {
    prefix: &'static str,
}

/// How many bits of an id tell nothing of its time.
const LOW_BITS: u32 = 80;

/// 48 bits of time and 80 others in Crockford's base 32, lower-case (the layout of a ULID).
fn body(at: Millis, low: u128) -> [u8; BODY_LEN] {
    let mut rest = (u128::from(time_of(at)) << LOW_BITS) | low;
    let mut text = [0u8; BODY_LEN];
    for slot in text.iter_mut().rev() {
        *slot = ALPHABET[(rest & 31) as usize];
        rest >>= 5;
    }
    text
}

fn time_of(at: Millis) -> u64 {
    at.0.max(0).unsigned_abs() & 0xffff_ffff_ffff
}

fn random_bits(bits: u32) -> u128 {
    let mut bytes = [0u8; 16];
    random(&mut bytes[..bits.div_ceil(8) as usize]);
    u128::from_le_bytes(bytes) & ((1 << bits) - 1)
}

/// 80 random bits.
fn unguessable(_at: Millis) -> u128 {
    random_bits(LOW_BITS)
}

thread_local! {
    /// The last one made here of those that follow each other: its time and its other bits.
    static LAST: Cell<(u64, u128)> = const { Cell::new((0, 0)) };
}

/// 80 bits that grow by a random step from one to the next, if both are of one millisecond and made
/// one after the other: the events of one request sort in the order in which they were sent.
fn following(at: Millis) -> u128 {
    const STEP_BITS: u32 = 40;
    let (time, last) = (time_of(at), LAST.get());
    let low = match last.0 == time {
        // Half of the room is left: for 2^39 steps.
        true => last.1 + 1 + random_bits(STEP_BITS),
        false => random_bits(LOW_BITS - 1),
    };
    LAST.set((time, low));
    low
}

/// The time in the first ten letters of a body.
fn made_at(body: &str) -> i64 {
    let letters = body.bytes().take(10).map(|letter| {
        let at = ALPHABET.iter().position(|other| *other == letter);
        i64::try_from(at.unwrap_or(0)).unwrap_or(0)
    });
    letters.fold(0, |time, letter| (time << 5) | letter)
}

fn is_body(text: &str) -> bool {
    text.len() == BODY_LEN && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

/// Whether a text has the form of an id, of whichever kind.
pub fn is_id(text: &str) -> bool {
    text.rsplit_once('_')
        .is_some_and(|(prefix, body)| !prefix.is_empty() && is_body(body))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal $low:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The text before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new id made at this time.
            pub fn generate(at: Millis) -> Self {
                let body = body(at, $low(at));
                let mut text = String::with_capacity($prefix.len() + 1 + BODY_LEN);
                text.push_str(concat!($prefix, "_"));
                text.extend(body.iter().map(|byte| char::from(*byte)));
                $name(text.into())
            }

            /// When it was made.
            pub fn made_at(&self) -> Millis {
                Millis(made_at(&self.0[$prefix.len() + 1..]))
            }

            /// The id as it is stored and printed.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                match text.strip_prefix(concat!($prefix, "_")) {
                    Some(body) if is_body(body) => Ok($name(text.into())),
                    _ => Err(IdError { prefix: $prefix }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A workspace, the tenant everything else belongs to.
    WorkspaceId "ws" unguessable;
    /// An API token (not the token itself).
    TokenId "tok" unguessable;
    /// A subscription.
    SubscriptionId "sub" unguessable;
    /// A provider's client at one place.
    IntegrationId "int" unguessable;
    /// Proof that we act for one account.
    CredentialId "crd" unguessable;
    /// One thing made at a service for a subscription: a hook, a channel.
    RegistrationId "reg" unguessable;
    /// An endpoint: the unguessable last part of a webhook address.
    EndpointId "ep" unguessable;
    /// A trigger.
    TriggerId "trg" unguessable;
    /// A schedule.
    ScheduleId "sch" unguessable;
    /// A route: an address of a workspace's own.
    RouteId "rte" unguessable;
    /// A change that somebody outside is told of.
    NoticeId "ntc" unguessable;
    /// A runnable, over all its versions.
    RunnableId "run" unguessable;
    /// One version of a runnable.
    VersionId "ver" unguessable;
    /// What arrived at an endpoint.
    RequestId "req" following;
    /// What the bodies of one kind have in common.
    DictionaryId "dct" unguessable;
    /// One thing that happened.
    EventId "evt" following;
    /// The obligation to run one version with given arguments.
    JobId "job" following;
    /// One execution of a job.
    AttemptId "att" following;
    /// A running host, for leases.
    HostId "host" unguessable;
    /// An account that is being connected.
    ConnectId "con" unguessable;
    /// An entry of the audit log.
    AuditId "aud" unguessable;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_with_their_prefix_and_read_back() {
        let id = JobId::generate(Millis(1_700_000_000_000));
        assert!(id.as_str().starts_with("job_"));
        assert_eq!(id.made_at(), Millis(1_700_000_000_000));
        assert_eq!(id.as_str().parse::<JobId>(), Ok(id));
    }

    #[test]
    fn ids_sort_by_the_time_they_were_made() {
        let earlier = EventId::generate(Millis(1_700_000_000_000));
        let later = EventId::generate(Millis(1_700_000_000_001));
        assert!(earlier < later);
    }

    #[test]
    fn what_is_made_one_after_the_other_in_one_millisecond_sorts_in_that_order() {
        for at in [Millis(2_000), Millis(1_000)] {
            let made: Vec<EventId> = (0..1000).map(|_| EventId::generate(at)).collect();
            assert!(made.is_sorted_by(|one, next| one < next));
            assert!(made.iter().all(|id| id.made_at() == at));
        }
    }

    #[test]
    fn addresses_made_in_one_millisecond_have_nothing_to_do_with_each_other() {
        let made: Vec<String> = (0..100)
            .map(|_| EndpointId::generate(Millis(1)).as_str()[13..].to_owned())
            .collect();
        assert!(!made.is_sorted());
        let alike = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
        assert!(made.windows(2).all(|pair| alike(&pair[0], &pair[1]) < 8));
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let job = JobId::generate(Millis(1));
        assert!(job.as_str().parse::<EventId>().is_err());
        assert!("job_short".parse::<JobId>().is_err());
        assert!("job_UPPERCASEUPPERCASEUPPERCA".parse::<JobId>().is_err());
    }
}
