//! The files that we know, read from the state as they are needed and written back with the step.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use trigger_plugin_api::prelude::*;

use super::record::Record;

/// Folders nest no deeper in Drive.
const DEPTH_MAX: usize = 100;

/// What was read, and what became of it.
pub struct Known<'a> {
    host: &'a Host,
    records: BTreeMap<String, Option<Record>>,
    written: BTreeSet<String>,
}

impl<'a> Known<'a> {
    pub fn new(host: &'a Host) -> Self {
        Self {
            host,
            records: BTreeMap::new(),
            written: BTreeSet::new(),
        }
    }

    /// Reads these, unless they were read before.
    pub async fn load<'i>(&mut self, ids: impl IntoIterator<Item = &'i str>) -> Result<()> {
        let missing: BTreeSet<&str> = ids
            .into_iter()
            .filter(|id| !self.records.contains_key(*id))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let keys: Vec<String> = missing.iter().map(|id| key(id)).collect();
        let mut found = self.host.state_get_many(&keys).await?;
        for (id, key) in missing.into_iter().zip(keys) {
            // What an older version kept in another shape is as good as unknown.
            let record = found
                .remove(&key)
                .and_then(|value| serde_json::from_value(value).ok());
            self.records.insert(id.to_owned(), record);
        }
        Ok(())
    }

    /// Reads the folders around what was read, up to the highest that we know.
    pub async fn load_around(&mut self) -> Result<()> {
        for _ in 0..DEPTH_MAX {
            let around: BTreeSet<String> = self
                .records
                .values()
                .flatten()
                .flat_map(|record| &record.parents)
                .filter(|parent| !self.records.contains_key(*parent))
                .cloned()
                .collect();
            if around.is_empty() {
                break;
            }
            self.load(around.iter().map(String::as_str)).await?;
        }
        Ok(())
    }

    /// A file that was read.
    pub fn get(&self, id: &str) -> Option<&Record> {
        self.records.get(id)?.as_ref()
    }

    /// Keeps a file. Says whether it is one that was not kept before.
    pub fn put(&mut self, id: &str, record: Record) -> bool {
        self.written.insert(id.to_owned());
        let before = self.records.insert(id.to_owned(), Some(record));
        !matches!(before, Some(Some(_)))
    }

    pub fn remove(&mut self, id: &str) {
        self.written.insert(id.to_owned());
        self.records.insert(id.to_owned(), None);
    }

    /// The folders around a place, from the inside out.
    pub fn around(&self, parents: &[String]) -> Vec<String> {
        let mut around: Vec<String> = Vec::new();
        let mut next: Vec<&String> = parents.iter().collect();
        while let Some(folder) = next.pop() {
            if around.contains(folder) || around.len() >= DEPTH_MAX {
                continue;
            }
            around.push(folder.clone());
            if let Some(record) = self.get(folder) {
                next.extend(&record.parents);
            }
        }
        around
    }

    /// What the step writes.
    pub fn into_state(self) -> BTreeMap<String, Option<Value>> {
        let Self {
            records, written, ..
        } = self;
        records
            .into_iter()
            .filter(|(id, _)| written.contains(id))
            .map(|(id, record)| (key(&id), record.map(|record| json!(record))))
            .collect()
    }
}

fn key(id: &str) -> String {
    format!("f/{id}")
}
