//! One look at one file: what is different, what of it is an event, and what is kept.

use super::change::{FirstSeen, Kind, since_known, since_moment};
use super::event::{self, Circumstances};
use super::record::{File, Record};
use super::{Freshness, Step};

/// As many files are kept of one subscription; of the others is told what their times tell.
pub const FILES_MAX: u32 = 50_000;

/// How a file came to be looked at.
pub struct Sighting<'s> {
    pub first_seen: FirstSeen,
    /// When Drive noticed the change.
    pub time: Option<&'s str>,
    /// Found by comparing everything.
    pub caught_up: bool,
}

impl Step<'_> {
    /// Compares a file with what we knew of it. Its record, its parents' and those around them must
    /// have been read.
    pub(super) fn observe(&mut self, file: &File, sighting: &Sighting<'_>) {
        let before = self.known.get(&file.id).cloned();
        let is_inside = self.is_inside(&file.record.parents);
        let kinds = match &before {
            None if !is_inside => return,
            None => since_moment(file, self.cursor.at_ms, sighting.first_seen)
                .into_iter()
                .collect(),
            // A folder around it has left, and it with that; nothing was done to the file itself.
            Some(before) if !is_inside && before.parents == file.record.parents => Vec::new(),
            Some(before) => since_known(before, &file.record),
        };
        let circumstances = Circumstances {
            time: sighting.time,
            caught_up: sighting.caught_up,
            folders: self.known.around(&file.record.parents),
        };
        for kind in &kinds {
            self.pulled
                .events
                .push(event::of_file(*kind, file, before.as_ref(), &circumstances));
        }
        if is_inside {
            self.keep(file, before.as_ref(), kinds.contains(&Kind::Created));
        } else {
            self.known.remove(&file.id);
        }
    }

    /// A file is gone. Of one that lay in a folder which has left the watch nobody wants to hear.
    pub(super) fn gone(&mut self, id: &str, time: Option<&str>, caught_up: bool) {
        let record = self.known.get(id).cloned();
        let parents = record.as_ref().map(|record| record.parents.as_slice());
        let is_ours = match parents {
            Some(parents) => self.is_inside(parents),
            None => self.index.is_partial() && !self.is_folder_watch(),
        };
        if is_ours {
            let circumstances = Circumstances {
                time,
                caught_up,
                folders: self.known.around(parents.unwrap_or_default()),
            };
            self.pulled
                .events
                .push(event::of_gone(id, record.as_ref(), &circumstances));
        }
        if record.is_some() {
            self.known.remove(id);
        }
    }

    /// Whether a place is in what is watched.
    fn is_inside(&self, parents: &[String]) -> bool {
        match &self.cursor.root {
            None => true,
            Some(root) if self.cursor.subfolders => self.known.around(parents).contains(root),
            Some(root) => parents.contains(root),
        }
    }

    fn keep(&mut self, file: &File, before: Option<&Record>, is_created: bool) {
        if before.is_none() && self.index.files() >= FILES_MAX {
            if !self.index.is_partial() {
                self.index.set_partial();
                self.pulled.notes.push(format!(
                    "there are more than {FILES_MAX} files: of those beyond, renaming, moving, sharing and restoring are reported as updates"
                ));
            }
            return;
        }
        if self.known.put(&file.id, file.record.clone()) {
            self.index.add(&file.id);
        }
        let looks_below = self.is_folder_watch() && self.cursor.subfolders;
        if looks_below && file.record.is_folder() && self.must_look_into(before) {
            let freshness = match is_created {
                true => Freshness::New,
                false => Freshness::Old,
            };
            self.look_into_later(&file.id, freshness);
        }
    }
}
