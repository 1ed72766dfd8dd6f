//! What changed in a Drive, a shared drive or a folder.
//!
//! State: `f/<file>` is what we know of a file; `ids/<n>` are the ids of those files, so that what
//! has vanished can be found after the place was lost; `scan/<n>` are folders to be looked into;
//! `meta` counts. In the watch of a folder only what lies below it is kept.

mod access;
mod change;
mod changes;
mod event;
pub mod file;
mod index;
mod known;
mod listing;
mod observe;
mod record;
mod sweep;

use serde_json::json;
use trigger_plugin_api::prelude::*;

use self::index::Index;
use self::known::Known;
use super::cursor::{Cursor, DriveCursor, Phase, Scan};
use super::{counted_from_ms, foreign_cursor, moment};
use crate::api::{Api, Failure};
use crate::subscription::place;
use crate::subscription::watched::Watched;

/// Everything that one step works with.
struct Step<'a> {
    api: &'a Api<'a>,
    cursor: DriveCursor,
    known: Known<'a>,
    index: Index,
    pulled: Pulled,
}

/// One step: one page.
pub async fn pull(
    api: &Api<'_>,
    request: &PullRequest,
    watched: &Watched,
) -> Result<Pulled, Failure> {
    let index = Index::load(api.host()).await?;
    let mut step = match &request.cursor {
        Some(cursor) => match Cursor::parse(cursor)? {
            Cursor::Drive(cursor) => Step::new(api, *cursor, index),
            Cursor::File | Cursor::Calendar(_) => return Err(foreign_cursor()),
        },
        None => begin(api, request, watched, index).await?,
    };
    let more = if step.cursor.scan.next < step.cursor.scan.end {
        listing::look_into_folders(&mut step).await?;
        true
    } else {
        match step.cursor.phase {
            Phase::Listing { resync } => {
                listing::list_everything(&mut step, resync).await?;
                true
            }
            Phase::Sweeping { page } => {
                sweep::look_for_missing(&mut step, page).await?;
                true
            }
            Phase::Reading => changes::read(&mut step).await?,
        }
    };
    Ok(step.finished(more))
}

/// Notes where changes begin, before anything is listed: what happens meanwhile is read afterwards.
async fn begin<'a>(
    api: &'a Api<'a>,
    request: &PullRequest,
    watched: &Watched,
    mut index: Index,
) -> Result<Step<'a>, Failure> {
    let (root, subfolders, drive) = match watched {
        Watched::Folder { id, subfolders } => {
            let folder = place::folder(api, id).await?;
            (Some(folder.id), *subfolders, folder.drive_id)
        }
        Watched::SharedDrive { id } => (None, true, Some(id.clone())),
        _ => (None, true, None),
    };
    let at_ms = counted_from_ms(api, request);
    let resync = request.since_ms.is_some();
    let properties = &request.subscription.properties;
    let noted = properties
        .get("start_page_token")
        .and_then(|token| token.as_str());
    let token = match noted {
        Some(token) if !resync => token.to_owned(),
        _ => place::start_page_token(api, drive.as_deref()).await?.0,
    };
    index.begin_generation();
    let mut step = Step::new(
        api,
        DriveCursor {
            root: root.clone(),
            subfolders,
            drive,
            phase: Phase::Listing { resync },
            token,
            at_ms,
            seen_ms: at_ms,
            scan: Scan::default(),
        },
        index,
    );
    if let Some(root) = root {
        step.look_into_later(&root, Freshness::Old);
    }
    if resync {
        step.pulled.notes.push(format!(
            "Drive did not know any more where reading had stopped: everything is compared anew, and what changed since {} is reported; when exactly it happened is not known",
            moment::written(at_ms)
        ));
    }
    Ok(step)
}

fn scan_key(number: u32) -> String {
    format!("scan/{number}")
}

/// How a folder came to be looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Freshness {
    /// It was made since, so what it holds came into it since.
    New,
    Old,
}

impl<'a> Step<'a> {
    fn new(api: &'a Api<'a>, cursor: DriveCursor, index: Index) -> Self {
        Self {
            api,
            known: Known::new(api.host()),
            cursor,
            index,
            pulled: Pulled::default(),
        }
    }

    /// Whether this is one folder's watch.
    fn is_folder_watch(&self) -> bool {
        self.cursor.root.is_some()
    }

    /// Lists what a folder holds, in a later step.
    fn look_into_later(&mut self, folder: &str, freshness: Freshness) {
        let scan = &mut self.cursor.scan;
        let entry = json!({"id": folder, "new": freshness == Freshness::New});
        self.pulled.state.insert(scan_key(scan.end), Some(entry));
        scan.end += 1;
    }

    fn finished(mut self, more: bool) -> Pulled {
        self.pulled.more = more;
        self.pulled.state.extend(self.known.into_state());
        self.pulled.state.extend(self.index.into_state());
        self.pulled.cursor = Cursor::Drive(Box::new(self.cursor)).to_text();
        self.pulled
    }
}
