//! What planning a flow found that stays as it is. It makes the flow's next plan short, and without it
//! that comes to the same.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use super::expression::Given;

/// Of one flow's job. Steps within loops are not in it: they are looked at until their item ended.
#[derive(Default)]
pub struct Memory {
    /// The flow's arguments, read.
    pub(super) arguments: Option<Given>,
    /// What steps and loops gave that worked.
    results: HashMap<String, Given>,
    /// Which way branches went.
    ways: HashMap<String, bool>,
    /// Loops that have begun.
    pub(super) loops: HashMap<String, Progress>,
}

impl Memory {
    /// The result of a step that worked.
    pub(super) fn result(&mut self, key: &str, read: impl FnOnce() -> Given) -> Given {
        if item_of(key).is_some() {
            return read();
        }
        let result = self.results.entry(key.to_owned()).or_insert_with(read);
        result.clone()
    }

    /// The result of a loop that has ended.
    pub(super) fn ended_loop(&self, key: &str) -> Option<Given> {
        self.results.get(key).cloned()
    }

    /// Which way a branch goes.
    pub(super) fn way(
        &mut self,
        key: &str,
        decide: impl FnOnce() -> Result<bool, String>,
    ) -> Result<bool, String> {
        if item_of(key).is_some() {
            return decide();
        }
        if let Some(way) = self.ways.get(key) {
            return Ok(*way);
        }
        let way = decide()?;
        self.ways.insert(key.to_owned(), way);
        Ok(way)
    }
}

/// How far a loop is.
pub(super) struct Progress {
    pub(super) items: Vec<Given>,
    /// Of the items that worked.
    results: Vec<Option<Arc<Value>>>,
    /// Their bytes.
    size: usize,
    /// Items that have begun and not ended.
    pub(super) open: BTreeSet<usize>,
    /// Items that nothing was begun for, in their order.
    waiting: VecDeque<usize>,
    /// Why items failed.
    failures: BTreeMap<usize, String>,
}

impl Progress {
    /// Of these items, those are begun already.
    pub(super) fn of(items: Vec<Value>, is_begun: impl Fn(usize) -> bool) -> Progress {
        let (open, waiting): (Vec<usize>, Vec<usize>) =
            (0..items.len()).partition(|index| is_begun(*index));
        Progress {
            results: vec![None; items.len()],
            items: items.into_iter().map(Given::of).collect(),
            size: 0,
            open: open.into_iter().collect(),
            waiting: waiting.into(),
            failures: BTreeMap::new(),
        }
    }

    /// The next item, if one may begin. Nothing new begins after a failure.
    pub(super) fn next(&mut self, concurrency: usize) -> Option<usize> {
        match self.failures.is_empty() && self.open.len() < concurrency {
            true => self.waiting.pop_front(),
            false => None,
        }
    }

    pub(super) fn worked(&mut self, index: usize, result: Given) {
        self.size += result.size;
        self.results[index] = Some(result.value);
    }

    pub(super) fn failed(&mut self, index: usize, error: String) {
        self.failures.insert(index, error);
    }

    /// What the loop gives, once nothing of it runs; `Err` is the first item's failure.
    pub(super) fn outcome(&mut self) -> Option<Result<Given, String>> {
        if !self.open.is_empty() {
            return None;
        }
        if let Some((_, error)) = self.failures.first_key_value() {
            return Some(Err(error.clone()));
        }
        if !self.waiting.is_empty() {
            return None;
        }
        let results = std::mem::take(&mut self.results);
        let list = results.into_iter().flatten().map(Arc::unwrap_or_clone);
        Some(Ok(Given {
            value: Arc::new(Value::Array(list.collect())),
            size: self.size,
        }))
    }
}

/// `each[3]` of `each[3].ship`.
pub(super) fn item_of(key: &str) -> Option<&str> {
    key.find(']').map(|end| &key[..=end])
}
