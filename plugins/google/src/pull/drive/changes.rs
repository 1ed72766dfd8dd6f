//! The log of changes, page by page.
//! <https://developers.google.com/workspace/drive/api/guides/manage-changes>

use serde::Deserialize;
use serde_json::Value;

use super::Step;
use super::change::FirstSeen;
use super::observe::Sighting;
use super::record::{FIELDS, File};
use crate::api::Failure;
use crate::pull::moment::moment_ms;

const PAGE_SIZE: &str = "200";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChangeList {
    #[serde(default)]
    changes: Vec<Change>,
    #[serde(default)]
    next_page_token: Option<String>,
    #[serde(default)]
    new_start_page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    #[serde(default)]
    change_type: Option<String>,
    #[serde(default)]
    file_id: Option<String>,
    #[serde(default)]
    removed: bool,
    #[serde(default)]
    time: Option<String>,
    #[serde(default)]
    file: Option<Value>,
}

/// What a change says of a file.
enum Look {
    Present(Box<File>),
    Gone(String),
}

/// One page. Says whether there is more.
pub async fn read(step: &mut Step<'_>) -> Result<bool, Failure> {
    let list = list(step).await?;
    let generation = step.index.generation();
    let mut looks = Vec::new();
    for change in list.changes {
        let time = change.time.clone();
        looks.extend(change.into_look(generation).map(|look| (look, time)));
    }
    let gone = looks.iter().filter_map(|(look, _)| look.gone());
    step.known.load(gone).await?;
    let present: Vec<&File> = looks.iter().filter_map(|(look, _)| look.file()).collect();
    step.load_for(present).await?;

    let first_seen = match (step.is_folder_watch(), step.index.is_partial()) {
        (true, _) => FirstSeen::ChangedInFolder,
        (false, false) => FirstSeen::ChangedInDrive,
        (false, true) => FirstSeen::ChangedUnkept,
    };
    for (look, time) in &looks {
        let time = time.as_deref();
        let sighting = Sighting {
            first_seen,
            time,
            caught_up: false,
        };
        match look {
            Look::Gone(id) => step.gone(id, time, false),
            Look::Present(file) => step.observe(file, &sighting),
        }
        if let Some(time_ms) = time.and_then(moment_ms) {
            // What was made at this very moment is known by now.
            step.cursor.seen_ms = step.cursor.seen_ms.max(time_ms + 1);
        }
    }
    Ok(move_on(
        step,
        list.next_page_token,
        list.new_start_page_token,
    ))
}

impl Change {
    /// Of a shared drive itself (its name, its members) nobody asked to hear.
    fn into_look(self, generation: u32) -> Option<Look> {
        if self.change_type.as_deref() == Some("drive") {
            return None;
        }
        let file = self.file.filter(|_| !self.removed);
        match file.and_then(|file| File::of(file, generation)) {
            Some(file) => Some(Look::Present(Box::new(file))),
            None => self.file_id.map(Look::Gone),
        }
    }
}

impl Look {
    fn file(&self) -> Option<&File> {
        match self {
            Self::Present(file) => Some(file),
            Self::Gone(_) => None,
        }
    }

    fn gone(&self) -> Option<&str> {
        match self {
            Self::Gone(id) => Some(id),
            Self::Present(_) => None,
        }
    }
}

/// The moment from which things are new stands still while folders that came are not looked into.
fn move_on(step: &mut Step<'_>, next: Option<String>, end: Option<String>) -> bool {
    let more = next.is_some();
    if let Some(token) = next.or(end) {
        step.cursor.token = token;
    }
    let scans = step.cursor.scan.next < step.cursor.scan.end;
    if !more && !scans {
        step.cursor.at_ms = step.cursor.seen_ms;
    }
    more || scans
}

async fn list(step: &Step<'_>) -> Result<ChangeList, Failure> {
    let fields = format!(
        "nextPageToken,newStartPageToken,changes(changeType,fileId,removed,time,file({FIELDS}))"
    );
    let mut query = vec![
        ("pageToken", step.cursor.token.as_str()),
        ("fields", fields.as_str()),
        ("pageSize", PAGE_SIZE),
        ("includeItemsFromAllDrives", "true"),
        ("includeRemoved", "true"),
        ("supportsAllDrives", "true"),
    ];
    if let Some(drive) = &step.cursor.drive {
        query.push(("driveId", drive));
    }
    step.api.get("/drive/v3/changes", &query).await
}
