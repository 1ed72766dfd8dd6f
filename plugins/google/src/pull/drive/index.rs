//! The ids of all files that we know, in pages: the state can be read by key only, and what has
//! vanished from Drive is found by no listing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use trigger_plugin_api::prelude::*;

const META: &str = "meta";
/// Small, because each id of a page may cost a request when the place was lost.
const PAGE: usize = 100;

/// The counters, and the page that is being written.
pub struct Index {
    meta: Meta,
    last: Vec<String>,
    rewritten: BTreeMap<u32, Vec<String>>,
    changed: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Meta {
    /// Rises with each listing.
    generation: u32,
    /// How many pages there are, the last one included.
    pages: u32,
    /// How many files we know, those that have gone since counted too.
    files: u32,
    /// There are more files than we keep.
    partial: bool,
}

impl Index {
    pub async fn load(host: &Host) -> Result<Self> {
        let meta: Meta = host
            .state_get(META)
            .await?
            .and_then(|meta| serde_json::from_value(meta).ok())
            .unwrap_or_default();
        let mut index = Self {
            last: Vec::new(),
            rewritten: BTreeMap::new(),
            changed: false,
            meta,
        };
        if let Some(last) = index.meta.pages.checked_sub(1) {
            index.last = read_page(host, last).await?;
        }
        Ok(index)
    }

    /// Another listing begins.
    pub fn begin_generation(&mut self) {
        self.meta.generation += 1;
        self.meta.partial = false;
        self.changed = true;
    }

    pub const fn generation(&self) -> u32 {
        self.meta.generation
    }

    pub const fn pages(&self) -> u32 {
        self.meta.pages
    }

    pub const fn files(&self) -> u32 {
        self.meta.files
    }

    pub const fn is_partial(&self) -> bool {
        self.meta.partial
    }

    /// There are more files than we keep.
    pub fn set_partial(&mut self) {
        self.meta.partial = true;
        self.changed = true;
    }

    /// Adds a file that is kept from now on.
    pub fn add(&mut self, id: &str) {
        if self.meta.pages == 0 || self.last.len() >= PAGE {
            if let Some(full) = self.meta.pages.checked_sub(1) {
                self.rewritten.insert(full, std::mem::take(&mut self.last));
            }
            self.meta.pages += 1;
        }
        self.last.push(id.to_owned());
        self.meta.files += 1;
        self.changed = true;
    }

    /// The ids of a page.
    pub async fn page(&self, host: &Host, page: u32) -> Result<Vec<String>> {
        if page + 1 == self.meta.pages {
            return Ok(self.last.clone());
        }
        read_page(host, page).await
    }

    /// A page without those that are gone.
    pub fn rewrite(&mut self, page: u32, ids: Vec<String>, gone: u32) {
        self.meta.files = self.meta.files.saturating_sub(gone);
        self.changed = true;
        if page + 1 == self.meta.pages {
            self.last = ids;
        } else {
            self.rewritten.insert(page, ids);
        }
    }

    /// What the step writes.
    pub fn into_state(self) -> BTreeMap<String, Option<Value>> {
        let mut state = BTreeMap::new();
        if !self.changed {
            return state;
        }
        for (page, ids) in self.rewritten {
            state.insert(key(page), Some(json!(ids)));
        }
        if let Some(last) = self.meta.pages.checked_sub(1) {
            state.insert(key(last), Some(json!(self.last)));
        }
        state.insert(META.to_owned(), Some(json!(self.meta)));
        state
    }
}

async fn read_page(host: &Host, page: u32) -> Result<Vec<String>> {
    let kept = host.state_get(&key(page)).await?;
    let ids = kept.and_then(|ids| serde_json::from_value(ids).ok());
    Ok(ids.unwrap_or_default())
}

fn key(page: u32) -> String {
    format!("ids/{page}")
}
