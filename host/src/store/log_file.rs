//! The file of SQLite's log, which is synced here and not by SQLite.
//!
//! After a sync that failed nobody knows what of the log is on the disk, and the system may have
//! forgotten what it could not write: a second try that goes well would prove nothing. From then on
//! nothing is taken; the next start reads the log anew, by its checksums.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Statx, StatxFlags, makedev, statx};
use rustix::io::Errno;

/// Device and inode.
type Place = (u64, u64);

/// Where the file of this name is. Nothing else is asked for: who asks for the time of the last change
/// makes the system keep an exact one from the next change on, and with it write the inode with each sync.
fn place_at(path: &Path) -> io::Result<Place> {
    match statx(CWD, path, AtFlags::empty(), StatxFlags::INO) {
        Ok(found) => Ok(place(&found)),
        // Of an old system, or not allowed.
        Err(Errno::NOSYS) => std::fs::metadata(path).map(|found| (found.dev(), found.ino())),
        Err(error) => Err(error.into()),
    }
}

/// Where this file is, whatever its name.
fn place_of(file: &File) -> io::Result<Place> {
    match statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::INO) {
        Ok(found) => Ok(place(&found)),
        Err(Errno::NOSYS) => file.metadata().map(|found| (found.dev(), found.ino())),
        Err(error) => Err(error.into()),
    }
}

fn place(found: &Statx) -> Place {
    let device = makedev(found.stx_dev_major, found.stx_dev_minor);
    (device, found.stx_ino)
}

/// The log's file. Syncing it through a descriptor of our own is the same to the system, and SQLite
/// holds no locks on this file that closing a descriptor would give up.
pub(super) struct LogFile {
    path: PathBuf,
    /// As it was opened, and where that is.
    file: Option<(File, Place)>,
    database: PathBuf,
    /// Where the database's file was when it was opened.
    database_place: Option<Place>,
    /// A sync failed.
    is_lost: bool,
}

impl LogFile {
    pub(super) fn of(database: &Path) -> LogFile {
        let mut path = database.to_owned().into_os_string();
        path.push("-wal");
        LogFile {
            path: path.into(),
            file: None,
            database: database.to_owned(),
            database_place: place_at(database).ok(),
            is_lost: false,
        }
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.is_lost {
            return Err(io::Error::other("an earlier sync failed"));
        }
        let synced = self.sync_file();
        self.is_lost = synced.is_err();
        synced
    }

    fn sync_file(&mut self) -> io::Result<()> {
        // A next start would not find what is kept in a file that nobody can name any more.
        if let Some(known) = self.database_place
            && place_at(&self.database)? != known
        {
            return Err(io::Error::other("the database's file is another one now"));
        }
        let named = place_at(&self.path)?;
        let opened = match self.file.take() {
            Some((file, place)) if place == named => (file, place),
            _ => {
                let file = File::open(&self.path)?;
                let place = place_of(&file)?;
                // A new file is there after a loss of power only if its name is.
                let folder = self
                    .path
                    .parent()
                    .filter(|path| !path.as_os_str().is_empty());
                File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
                (file, place)
            }
        };
        self.file.insert(opened).0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_where_the_system_says() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let found = file.as_file().metadata().expect("read");
        let expected = (found.dev(), found.ino());
        assert_eq!(place_at(file.path()).expect("found"), expected);
        assert_eq!(place_of(file.as_file()).expect("found"), expected);
    }

    #[test]
    fn a_log_that_was_made_anew_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = LogFile::of(&folder.path().join("x.db"));
        std::fs::write(&log.path, "one").expect("written");
        log.sync().expect("synced");
        std::fs::write(folder.path().join("y"), "another").expect("written");
        std::fs::rename(folder.path().join("y"), &log.path).expect("renamed");
        log.sync().expect("synced");
        let (open, _) = log.file.as_ref().expect("open");
        let open = open.metadata().expect("read");
        assert_eq!(open.len(), 7, "it is the new one that is synced");
    }

    #[test]
    fn nothing_is_kept_in_a_database_that_was_moved_or_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("x.db");
        for change in ["moved", "replaced"] {
            std::fs::write(&database, "one").expect("written");
            let mut log = LogFile::of(&database);
            std::fs::write(&log.path, "one").expect("written");
            log.sync().expect("synced");
            std::fs::rename(&database, folder.path().join("y.db")).expect("renamed");
            if change == "replaced" {
                std::fs::write(&database, "another").expect("written");
            }
            log.sync().expect_err(change);
        }
    }

    #[test]
    fn after_a_failure_no_sync_is_believed() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = LogFile::of(&folder.path().join("x.db"));
        log.sync().expect_err("there is none");
        std::fs::write(&log.path, "one").expect("written");
        log.sync().expect_err("nobody knows what is on the disk");
    }
}
