//! Reads the values at a set of pointers in one walk over the raw bytes, without building a tree.
//!
//! What no pointer leads to is skipped: iteratively (so that nesting of any depth is harmless) and
//! without decoding it (so that huge numbers, lone surrogates and NUL harm nobody). What is found is
//! handed out as the slice of the payload that it is. Of a duplicate key the LAST one counts, as in
//! `JSON.parse` and `serde_json`, so that a filter sees what the runnable will see.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::rules::pointer::{Pointer, Segment};

/// Pointers that are read together.
#[derive(Debug, Default)]
pub struct Fields {
    root: Node,
    /// Sorted, so that a value is found again by its pointer.
    pointers: Vec<Pointer>,
}

/// What stood at the pointers of one payload.
#[derive(Debug)]
pub struct Found<'p, 'f> {
    fields: &'f Fields,
    entries: Vec<Entry<'p>>,
}

/// Why a payload could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("the payload is not UTF-8 (first bad byte at {0})")]
    NotUtf8(usize),
    #[error("the payload is not JSON: {0}")]
    NotJson(serde_json::Error),
}

#[derive(Debug, Default)]
struct Node {
    /// The pointer that ends here.
    ends: Option<usize>,
    each: Option<Box<Node>>,
    names: HashMap<String, Node>,
    indices: HashMap<usize, String>,
}

#[derive(Debug)]
struct Entry<'p> {
    pointer: usize,
    /// `None` when a later duplicate key took its place.
    raw: Option<&'p str>,
}

impl Fields {
    pub fn new<'a>(pointers: impl IntoIterator<Item = &'a Pointer>) -> Self {
        let mut pointers: Vec<Pointer> = pointers.into_iter().cloned().collect();
        pointers.sort();
        pointers.dedup();
        let mut root = Node::default();
        for (index, pointer) in pointers.iter().enumerate() {
            root.insert(pointer.segments(), index);
        }
        Self { root, pointers }
    }

    pub fn is_empty(&self) -> bool {
        self.pointers.is_empty()
    }

    /// Walks the whole payload once, which also proves that it is JSON.
    pub fn read<'p>(&self, payload: &'p [u8]) -> Result<Found<'p, '_>, Unreadable> {
        let text = std::str::from_utf8(payload)
            .map_err(|error| Unreadable::NotUtf8(error.valid_up_to()))?;
        let mut entries = Vec::new();
        walk(text, &self.root, &mut entries).map_err(Unreadable::NotJson)?;
        Ok(Found {
            fields: self,
            entries,
        })
    }
}

impl<'p> Found<'p, '_> {
    /// Every value at `pointer`, as JSON text, in the order of the payload. A pointer that was not
    /// among the set finds nothing.
    pub fn all(&self, pointer: &Pointer) -> impl Iterator<Item = &'p str> {
        let wanted = self.fields.pointers.binary_search(pointer).ok();
        self.entries
            .iter()
            .filter(move |entry| Some(entry.pointer) == wanted)
            .filter_map(|entry| entry.raw)
    }

    /// The only value at a pointer without `*`.
    pub fn one(&self, pointer: &Pointer) -> Option<&'p str> {
        self.all(pointer).next()
    }
}

/// Proves that a payload is JSON without reading anything from it.
pub fn check_json(payload: &[u8]) -> Result<(), Unreadable> {
    Fields::default().read(payload).map(drop)
}

impl Node {
    fn insert(&mut self, segments: &[Segment], pointer: usize) {
        match segments.split_first() {
            None => self.ends = Some(pointer),
            Some((Segment::Each, rest)) => self.each.get_or_insert_default().insert(rest, pointer),
            Some((Segment::Name(name), rest)) => {
                // An index has one spelling (RFC 6901, section 4): "01" is a key and nothing else.
                if let Some(index) = name
                    .parse()
                    .ok()
                    .filter(|index: &usize| index.to_string() == *name)
                {
                    self.indices.insert(index, name.clone());
                }
                self.names
                    .entry(name.clone())
                    .or_default()
                    .insert(rest, pointer);
            }
        }
    }

    fn is_leaf(&self) -> bool {
        self.each.is_none() && self.names.is_empty()
    }
}

fn walk<'p>(
    text: &'p str,
    node: &Node,
    entries: &mut Vec<Entry<'p>>,
) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let nested = text.trim_ascii_start().starts_with(['{', '[']);
    if nested && node.ends.is_none() && !node.is_leaf() {
        deserializer.deserialize_any(Walk { node, entries })?;
    } else {
        Walk { node, entries }.deserialize(&mut deserializer)?;
    }
    deserializer.end()
}

struct Walk<'f, 'e, 'p> {
    node: &'f Node,
    entries: &'e mut Vec<Entry<'p>>,
}

impl<'p> DeserializeSeed<'p> for Walk<'_, '_, 'p> {
    type Value = ();

    fn deserialize<D: Deserializer<'p>>(self, deserializer: D) -> Result<(), D::Error> {
        if let Some(pointer) = self.node.ends {
            let raw = <&RawValue as serde::Deserialize>::deserialize(deserializer)?.get();
            self.entries.push(Entry {
                pointer,
                raw: Some(raw),
            });
            if !self.node.is_leaf() {
                descend(raw, self.node, self.entries).map_err(serde::de::Error::custom)?;
            }
            return Ok(());
        }
        if self.node.is_leaf() {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(drop);
        }
        // Raw first: `deserialize_any` would decode a text or a number that is only to be skipped,
        // and fail on a lone surrogate or a number beyond every range.
        let raw = <&RawValue as serde::Deserialize>::deserialize(deserializer)?.get();
        descend(raw, self.node, self.entries).map_err(serde::de::Error::custom)
    }
}

fn descend<'p>(
    raw: &'p str,
    node: &Node,
    entries: &mut Vec<Entry<'p>>,
) -> Result<(), serde_json::Error> {
    if !raw.starts_with(['{', '[']) {
        return Ok(());
    }
    let mut deserializer = serde_json::Deserializer::from_str(raw);
    deserializer.deserialize_any(Walk { node, entries })
}

impl<'p> Visitor<'p> for Walk<'_, '_, 'p> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'p>>(self, mut map: A) -> Result<(), A::Error> {
        // Where each key's findings begin and end, so that a later duplicate can take them back.
        let mut seen: Vec<(&str, std::ops::Range<usize>)> = Vec::new();
        while let Some(Key(key)) = map.next_key::<Key<'p>>()? {
            let child = std::str::from_utf8(&key)
                .ok()
                .and_then(|key| self.node.names.get_key_value(key));
            let Some((name, child)) = child else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if let Some((_, range)) = seen.iter().find(|(seen, _)| seen == name) {
                self.entries[range.clone()]
                    .iter_mut()
                    .for_each(|entry| entry.raw = None);
                let earlier = range.clone();
                seen.retain(|(_, range)| *range != earlier);
            }
            let start = self.entries.len();
            map.next_value_seed(Walk {
                node: child,
                entries: self.entries,
            })?;
            seen.push((name, start..self.entries.len()));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'p>>(self, mut seq: A) -> Result<(), A::Error> {
        for index in 0.. {
            let named = self
                .node
                .indices
                .get(&index)
                .and_then(|name| self.node.names.get(name));
            let taken = match (&self.node.each, named) {
                (Some(each), None) => seq.next_element_seed(Walk {
                    node: each,
                    entries: self.entries,
                })?,
                (None, Some(named)) => seq.next_element_seed(Walk {
                    node: named,
                    entries: self.entries,
                })?,
                (None, None) => seq.next_element::<IgnoredAny>()?.map(drop),
                (Some(each), Some(named)) => match seq.next_element::<&RawValue>()? {
                    Some(raw) => {
                        for node in [&**each, named] {
                            walk(raw.get(), node, self.entries)
                                .map_err(serde::de::Error::custom)?;
                        }
                        Some(())
                    }
                    None => None,
                },
            };
            if taken.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// A key as bytes: a key with a lone surrogate is a key that no pointer names, not an error.
struct Key<'p>(Cow<'p, [u8]>);

impl<'p> serde::Deserialize<'p> for Key<'p> {
    fn deserialize<D: Deserializer<'p>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'p> Visitor<'p> for Bytes {
            type Value = Key<'p>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_bytes<E>(self, bytes: &'p [u8]) -> Result<Key<'p>, E> {
                Ok(Key(Cow::Borrowed(bytes)))
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Key<'p>, E> {
                Ok(Key(Cow::Owned(bytes.to_vec())))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key<'p>, E> {
                Ok(Key(Cow::Owned(text.as_bytes().to_vec())))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests;
