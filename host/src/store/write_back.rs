//! The write-back of what a checkpoint carries over, while it carries it.
//!
//! SQLite writes all pages of a checkpoint and syncs the database once, at its end. The disk has
//! megabytes to write then, and who commits meanwhile waits behind them. Synced a few pages at a time
//! the same pages hold up less.
//!
//! Nothing depends on it. The checkpoint's own sync follows, and says so if the disk fails: the system
//! tells each descriptor of a file of a failed write, not only the first one that asks.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::database::SharedDatabase;

/// Between two syncs.
const PAUSE: Duration = Duration::from_micros(300);

/// Syncs the database's file every now and then until it is dropped.
pub(super) struct WriteBack {
    _ends_when_dropped: Sender<()>,
}

impl WriteBack {
    pub(super) fn start(database: &SharedDatabase) -> WriteBack {
        let (ends_when_dropped, over) = channel();
        let database = SharedDatabase::clone(database);
        tokio::task::spawn_blocking(move || {
            if let Some(file) = &database.file {
                sync_until(&over, || file.sync_data());
            }
        });
        WriteBack {
            _ends_when_dropped: ends_when_dropped,
        }
    }
}

/// Until it is over, or the disk fails.
fn sync_until(over: &Receiver<()>, mut sync: impl FnMut() -> io::Result<()>) {
    while over.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) && sync().is_ok() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_syncs_until_it_is_over() {
        let (ends_when_dropped, over) = channel();
        let mut held = Some(ends_when_dropped);
        let mut syncs = 0;
        sync_until(&over, || {
            syncs += 1;
            if syncs == 3 {
                held = None;
            }
            Ok(())
        });
        assert_eq!(syncs, 3);
    }

    #[test]
    fn a_disk_that_fails_is_left_to_the_sync_of_the_checkpoint() {
        let (_held, over) = channel();
        let mut syncs = 0;
        sync_until(&over, || {
            syncs += 1;
            Err(io::Error::other("the disk fails"))
        });
        assert_eq!(syncs, 1);
    }
}
