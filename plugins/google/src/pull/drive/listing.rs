//! What there is: everything once at the beginning, and what lies in a folder that came later.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use trigger_plugin_api::prelude::*;

use super::change::FirstSeen;
use super::observe::{FILES_MAX, Sighting};
use super::record::{FIELDS, File, Record};
use super::{Freshness, Step, scan_key};
use crate::api::Failure;
use crate::pull::cursor::Phase;

/// Folders that one request asks for.
const FOLDERS_AT_ONCE: u32 = 20;
const PAGE_SIZE: &str = "500";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    files: Vec<Value>,
    #[serde(default)]
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    new: bool,
}

/// One page of a Drive or a shared drive; of a folder's watch, all was listed folder by folder.
pub async fn list_everything(step: &mut Step<'_>, resync: bool) -> Result<(), Failure> {
    if !step.is_folder_watch() {
        let page = list(step, None).await?;
        let listed = Listed {
            resync,
            parents: BTreeMap::new(),
        };
        step.take_in(page.files, &listed).await?;
        step.cursor.scan.page = page.next_page_token;
        if step.cursor.scan.page.is_some() && step.index.files() < FILES_MAX {
            return Ok(());
        }
        if step.cursor.scan.page.take().is_some() {
            step.index.set_partial();
            step.pulled.notes.push(format!(
                "there are more than {FILES_MAX} files: of those beyond, renaming, moving, sharing and restoring are reported as updates"
            ));
        }
    }
    step.cursor.phase = match resync {
        true if step.index.is_partial() => {
            step.pulled.notes.push(
                "which files were deleted meanwhile cannot be told: there are too many".to_owned(),
            );
            Phase::Reading
        }
        true => Phase::Sweeping { page: 0 },
        false => Phase::Reading,
    };
    Ok(())
}

/// One page of the next folders.
pub async fn look_into_folders(step: &mut Step<'_>) -> Result<(), Failure> {
    let scan = &mut step.cursor.scan;
    if scan.page.is_none() {
        scan.taken = FOLDERS_AT_ONCE.min(scan.end - scan.next);
    }
    let numbers = scan.next..scan.next + scan.taken;
    let keys: Vec<String> = numbers.map(scan_key).collect();
    let mut kept = step.api.host().state_get_many(&keys).await?;
    // What this very step has noted is not in the state yet.
    for key in &keys {
        if let Some(Some(entry)) = step.pulled.state.get(key) {
            kept.insert(key.clone(), entry.clone());
        }
    }
    let entries = kept
        .into_values()
        .filter_map(|entry| serde_json::from_value::<Entry>(entry).ok());
    let parents: BTreeMap<String, bool> = entries.map(|entry| (entry.id, entry.new)).collect();
    if !parents.is_empty() {
        let q: Vec<String> = parents
            .keys()
            .map(|folder| format!("'{folder}' in parents"))
            .collect();
        let page = list(step, Some(&q.join(" or "))).await?;
        let resync = matches!(step.cursor.phase, Phase::Listing { resync: true });
        step.take_in(page.files, &Listed { resync, parents })
            .await?;
        step.cursor.scan.page = page.next_page_token;
    }
    if step.cursor.scan.page.is_none() {
        let scan = &mut step.cursor.scan;
        scan.next += std::mem::take(&mut scan.taken);
        step.pulled
            .state
            .extend(keys.into_iter().map(|key| (key, None)));
        if scan.next == scan.end {
            (scan.next, scan.end) = (0, 0);
        }
    }
    Ok(())
}

/// What a page is of.
struct Listed {
    resync: bool,
    /// The folders that were asked for, and whether they were made since.
    parents: BTreeMap<String, bool>,
}

impl Listed {
    fn freshness(&self, file: &File) -> Freshness {
        let mut parents = file.record.parents.iter();
        match parents.any(|parent| self.parents.get(parent) == Some(&true)) {
            true => Freshness::New,
            false => Freshness::Old,
        }
    }
}

impl Step<'_> {
    async fn take_in(&mut self, files: Vec<Value>, listed: &Listed) -> Result<(), Failure> {
        let generation = self.index.generation();
        let files: Vec<File> = files
            .into_iter()
            .filter_map(|file| File::of(file, generation))
            .collect();
        self.load_for(&files).await?;
        for file in &files {
            let sighting = Sighting {
                first_seen: FirstSeen::Listed(listed.freshness(file)),
                time: None,
                caught_up: listed.resync,
            };
            self.observe(file, &sighting);
        }
        Ok(())
    }

    /// Reads what comparing these files needs.
    pub(super) async fn load_for<'f>(
        &mut self,
        files: impl IntoIterator<Item = &'f File> + Clone,
    ) -> Result<()> {
        let ids = files.clone().into_iter().map(|file| file.id.as_str());
        let parents = files
            .into_iter()
            .flat_map(|file| file.record.parents.iter().map(String::as_str));
        self.known.load(ids.chain(parents)).await?;
        self.known.load_around().await
    }

    /// Whether a folder that is inside must be looked into: in a listing of everything once, later
    /// when it came from elsewhere, with all that is in it.
    pub(super) fn must_look_into(&self, before: Option<&Record>) -> bool {
        let generation = self.index.generation();
        let scans = self.cursor.scan.taken > 0;
        match self.cursor.phase {
            Phase::Reading => before.is_none() || scans,
            _ => before.is_none_or(|before| before.generation != generation),
        }
    }
}

async fn list(step: &Step<'_>, q: Option<&str>) -> Result<Page, Failure> {
    let fields = format!("nextPageToken,files({FIELDS})");
    let mut query = vec![
        ("fields", fields.as_str()),
        ("pageSize", PAGE_SIZE),
        ("includeItemsFromAllDrives", "true"),
        ("supportsAllDrives", "true"),
    ];
    query.extend(q.map(|q| ("q", q)));
    if let Some(drive) = &step.cursor.drive {
        query.extend([("corpora", "drive"), ("driveId", drive)]);
    }
    if let Some(page) = &step.cursor.scan.page {
        query.push(("pageToken", page));
    }
    step.api.get("/drive/v3/files", &query).await
}
