//! What changed of one file. There is no log to read: the file is looked at again and compared.

use serde_json::Value;
use trigger_plugin_api::prelude::*;

use super::Freshness;
use super::change::{FirstSeen, since_known, since_moment};
use super::event::{self, Circumstances};
use super::known::Known;
use super::record::{FIELDS, File};
use crate::api::{Api, Failure, encoded};
use crate::pull::cursor::Cursor;
use crate::pull::{counted_from_ms, foreign_cursor};

/// One look.
pub async fn pull(api: &Api<'_>, request: &PullRequest, id: &str) -> Result<Pulled, Failure> {
    match request.cursor.as_deref().map(Cursor::parse).transpose()? {
        None | Some(Cursor::File) => {}
        Some(Cursor::Drive(_) | Cursor::Calendar(_)) => return Err(foreign_cursor()),
    }
    let mut known = Known::new(api.host());
    known.load([id]).await?;
    let path = format!("/drive/v3/files/{}", encoded(id));
    let query = [("fields", FIELDS), ("supportsAllDrives", "true")];
    let file = match api.get::<Value>(&path, &query).await {
        Ok(said) => File::of(said, 0),
        // Told once; a file that was never there is a mistake of the parameters.
        Err(Failure::NotFound) if known.get(id).is_some() || request.cursor.is_some() => None,
        Err(failure) => return Err(failure),
    };
    let before = known.get(id).cloned();
    let mut circumstances = Circumstances {
        time: None,
        caught_up: false,
        folders: Vec::new(),
    };
    let mut events = Vec::new();
    match file {
        Some(file) => {
            circumstances.folders.clone_from(&file.record.parents);
            let kinds = match (&before, &request.cursor) {
                (Some(before), _) => since_known(before, &file.record),
                // It was gone, and the account has access to it again.
                (None, Some(_)) => Vec::new(),
                (None, None) => {
                    let first_seen = FirstSeen::Listed(Freshness::Old);
                    since_moment(&file, counted_from_ms(api, request), first_seen)
                        .into_iter()
                        .collect()
                }
            };
            for kind in kinds {
                events.push(event::of_file(kind, &file, before.as_ref(), &circumstances));
            }
            known.put(id, file.record);
        }
        None => {
            if let Some(before) = &before {
                circumstances.folders.clone_from(&before.parents);
                events.push(event::of_gone(id, Some(before), &circumstances));
                known.remove(id);
            }
        }
    }
    Ok(Pulled {
        events,
        cursor: Cursor::File.to_text(),
        state: known.into_state(),
        ..Pulled::default()
    })
}
