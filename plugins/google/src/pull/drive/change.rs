//! Which events a difference is. One change can be several: renamed and moved.

use super::Freshness;
use super::access::Difference;
use super::record::{File, Record};

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Created,
    Updated,
    Renamed,
    Moved,
    Trashed,
    Restored,
    Deleted,
    Shared,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Renamed => "renamed",
            Self::Moved => "moved",
            Self::Trashed => "trashed",
            Self::Restored => "restored",
            Self::Deleted => "deleted",
            Self::Shared => "shared",
        }
    }
}

/// What happened between two looks at a file that we knew.
pub fn since_known(before: &Record, after: &Record) -> Vec<Kind> {
    let access = Difference::between(&before.access, &after.access);
    let mut kinds = Vec::new();
    if before.name != after.name {
        kinds.push(Kind::Renamed);
    }
    if before.parents != after.parents {
        kinds.push(Kind::Moved);
    }
    match (before.trashed, after.trashed) {
        (false, true) => kinds.push(Kind::Trashed),
        (true, false) => kinds.push(Kind::Restored),
        _ => {}
    }
    if access.gives() {
        kinds.push(Kind::Shared);
    }
    // To be renamed or trashed is also a modification to Drive; of those the time says nothing.
    let touched = before.modified_ms != after.modified_ms && kinds.is_empty();
    if before.content != after.content || touched || !access.revoked.is_empty() {
        kinds.push(Kind::Updated);
    }
    kinds
}

/// Where a file was seen for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstSeen {
    /// In a listing: it may have been there for long.
    Listed(Freshness),
    /// Among the changes, of a folder's watch: it can only have come from elsewhere.
    ChangedInFolder,
    /// Among the changes of a Drive whose files we know all.
    ChangedInDrive,
    /// Among the changes of a Drive with more files than we keep.
    ChangedUnkept,
}

/// What happened to a file that we had not seen, from a moment on.
pub fn since_moment(file: &File, at_ms: i64, first_seen: FirstSeen) -> Option<Kind> {
    let is_new = |moment: Option<i64>| moment.is_some_and(|moment| moment >= at_ms);
    let modified = is_new(file.record.modified_ms);
    if file.record.trashed {
        // Made and thrown away since, or listed in the trash: nothing to hear of but the latter.
        let listed = matches!(first_seen, FirstSeen::Listed(_));
        let told = is_new(file.trashed_ms) || (file.trashed_ms.is_none() && !listed);
        return (told && !is_new(file.created_ms)).then_some(Kind::Trashed);
    }
    if is_new(file.created_ms) {
        return Some(Kind::Created);
    }
    if is_new(file.shared_with_me_ms) {
        return Some(Kind::Shared);
    }
    match first_seen {
        FirstSeen::Listed(Freshness::New) | FirstSeen::ChangedInFolder => Some(Kind::Moved),
        FirstSeen::Listed(Freshness::Old) => modified.then_some(Kind::Updated),
        // Uploads may keep the times of the original.
        FirstSeen::ChangedInDrive if !modified => Some(Kind::Created),
        FirstSeen::ChangedInDrive | FirstSeen::ChangedUnkept => Some(Kind::Updated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl Fn(&mut Record), expected: &[Kind]) {
        let before = Record {
            name: "a".to_owned(),
            parents: vec!["p".to_owned()],
            modified_ms: Some(1),
            access: vec!["me:owner".to_owned()],
            ..Record::default()
        };
        let mut after = before.clone();
        change(&mut after);
        assert_eq!(since_known(&before, &after), expected);
    }

    #[test]
    fn one_change_can_be_several_events() {
        let rename = |record: &mut Record| record.name = "b".to_owned();
        let reparent = |record: &mut Record| record.parents = vec!["q".to_owned()];
        check(|_| {}, &[]);
        check(rename, &[Kind::Renamed]);
        check(reparent, &[Kind::Moved]);
        check(
            |record| {
                rename(record);
                reparent(record);
                record.trashed = true;
                record.access.push("you:reader".to_owned());
                record.content = 1;
            },
            &[
                Kind::Renamed,
                Kind::Moved,
                Kind::Trashed,
                Kind::Shared,
                Kind::Updated,
            ],
        );
    }

    #[test]
    fn a_new_time_alone_is_an_update_and_beside_a_new_name_is_not() {
        check(|record| record.modified_ms = Some(2), &[Kind::Updated]);
        check(
            |record| {
                record.name = "b".to_owned();
                record.modified_ms = Some(2);
            },
            &[Kind::Renamed],
        );
        check(|record| record.version = "9".to_owned(), &[]);
    }
}
