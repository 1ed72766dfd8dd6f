//! After the place was lost: what we knew and did not find again.

use serde_json::Value;

use super::Step;
use super::change::FirstSeen;
use super::observe::Sighting;
use super::record::{FIELDS, File};
use crate::api::{Failure, encoded};
use crate::pull::cursor::Phase;
use crate::pull::drive::Freshness;

/// One page of the ids that we know. What the listing did not show is asked for by itself: a listing
/// leaves out things that the changes tell of, and not to be listed is not to be deleted.
pub async fn look_for_missing(step: &mut Step<'_>, page: u32) -> Result<(), Failure> {
    if page >= step.index.pages() {
        step.cursor.phase = Phase::Reading;
        return Ok(());
    }
    let ids = step.index.page(step.api.host(), page).await?;
    step.known.load(ids.iter().map(String::as_str)).await?;
    step.known.load_around().await?;
    let generation = step.index.generation();
    for id in &ids {
        let is_missing = step
            .known
            .get(id)
            .is_some_and(|record| record.generation != generation);
        if !is_missing {
            continue;
        }
        let path = format!("/drive/v3/files/{}", encoded(id));
        let query = [("fields", FIELDS), ("supportsAllDrives", "true")];
        let found = match step.api.get::<Value>(&path, &query).await {
            Ok(said) => File::of(said, generation),
            Err(Failure::NotFound) => None,
            Err(failure) => return Err(failure),
        };
        match found {
            None => step.gone(id, None, true),
            Some(file) => {
                step.load_for([&file]).await?;
                let sighting = Sighting {
                    first_seen: FirstSeen::Listed(Freshness::Old),
                    time: None,
                    caught_up: true,
                };
                step.observe(&file, &sighting);
            }
        }
    }
    let count = ids.len();
    let left: Vec<String> = ids
        .into_iter()
        .filter(|id| step.known.get(id).is_some())
        .collect();
    let gone = u32::try_from(count - left.len()).unwrap_or(u32::MAX);
    step.index.rewrite(page, left, gone);
    step.cursor.phase = Phase::Sweeping { page: page + 1 };
    Ok(())
}
