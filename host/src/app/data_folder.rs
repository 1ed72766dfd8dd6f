//! The data folder: whose it is, and the id of the host that lives in it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use crate::clock::Clock;
use crate::id::HostId;

/// Programs that a host was starting when it was killed hold its lock with it, until they have begun:
/// for an instant, or longer on a machine that is busy.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_millis(50);

/// Takes the folder for this process until the file is dropped. Two hosts of one id would take each
/// other's jobs for those of an earlier run.
pub fn lock(data: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(data.join("lock"))?;
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::other(
        "another triggerd uses it: stop that one first, or give this one a folder of its own",
    ))
}

/// The id of the host with this data folder: the same after a restart, so that it takes back at
/// once what it held.
pub fn host_id(data: &Path, clock: &Clock) -> io::Result<HostId> {
    let path = data.join("host.id");
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read?,
    };
    // A power loss may leave a file without what was written to it.
    if text.trim().is_empty() {
        let id = HostId::generate(clock.now());
        let mut file = tempfile::NamedTempFile::new_in(data)?;
        writeln!(file, "{id}")?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        return Ok(id);
    }
    text.trim().parse().map_err(|error| {
        io::Error::other(format!(
            "{}: {error}: remove the file to get a new one",
            path.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_host_at_a_time() {
        let data = tempfile::tempdir().expect("a folder");
        let held = lock(data.path()).expect("free");
        let error = lock(data.path()).expect_err("taken").to_string();
        assert!(error.contains("another triggerd"), "{error}");
        drop(held);
        lock(data.path()).expect("free again");
    }

    #[test]
    fn a_lock_that_is_given_up_at_once_is_waited_for() {
        let data = tempfile::tempdir().expect("a folder");
        let held = lock(data.path()).expect("free");
        std::thread::scope(|threads| {
            let late = threads.spawn(|| lock(data.path()));
            drop(held);
            late.join().expect("it ended").expect("free by then");
        });
    }

    #[test]
    fn a_host_keeps_its_id_and_an_empty_file_is_no_id() {
        let (data, clock) = (tempfile::tempdir().expect("a folder"), Clock::system());
        let id = || host_id(data.path(), &clock);
        let first = id().expect("made");
        assert_eq!(id().expect("read"), first);
        std::fs::write(data.path().join("host.id"), "").expect("emptied");
        let second = id().expect("made anew");
        assert_ne!(second, first);
        assert_eq!(id().expect("read"), second);
        std::fs::write(data.path().join("host.id"), "nonsense").expect("written");
        assert!(id().is_err());
    }
}
