//! Programs that outlived their attempt: found by the variables that every program is given, and
//! ended.
//!
//! A process group ends with its attempt, as long as the host is there to end it. What is left are
//! processes of a host that was killed, and those that left their group (`setsid`) before their
//! attempt was cut off. Both still carry the variables of their job, and so does what they started.
//! Who empties its environment and leaves the group is not found.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

use crate::id::JobId;
use crate::runnables::environment::{ATTEMPT, JOB_ID};

/// One attempt of one job.
pub type Mark = (JobId, u32);

/// A process may start another one while they are being ended; who does it more often than this
/// is left to the next start of the host.
const PASSES_MAX: u32 = 8;

/// The attempts whose processes there are, as far as this user may see them.
pub async fn marks() -> HashSet<Mark> {
    let found = tokio::task::spawn_blocking(|| find().into_iter().map(|(_, mark)| mark).collect());
    found.await.unwrap_or_default()
}

/// Ends every process of these attempts. Returns how many it ended.
pub async fn end(doomed: HashSet<Mark>) -> usize {
    if doomed.is_empty() {
        return 0;
    }
    let ending = tokio::task::spawn_blocking(move || {
        let mut ended = 0;
        for _ in 0..PASSES_MAX {
            let strays = find().into_iter().filter(|(_, mark)| doomed.contains(mark));
            let count = strays.filter(|(pid, mark)| end_one(*pid, mark)).count();
            if count == 0 {
                break;
            }
            ended += count;
        }
        ended
    });
    ending.await.unwrap_or_default()
}

fn find() -> Vec<(Pid, Mark)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        Pid::from_raw(number)
    });
    // A host that was itself started by a job carries that job's variables.
    pids.filter(|pid| *pid != getpid())
        .filter_map(|pid| Some((pid, mark_of(pid)?)))
        .collect()
}

/// None also for a process that has ended and waits to be collected: it has no environment.
fn mark_of(pid: Pid) -> Option<Mark> {
    let place = format!("/proc/{}/environ", pid.as_raw_nonzero());
    let environment = fs::read(Path::new(&place)).ok()?;
    read_mark(&environment)
}

fn read_mark(environment: &[u8]) -> Option<Mark> {
    let variable = |name: &str| {
        let mut all = environment.split(|byte| *byte == 0);
        all.find_map(|one| {
            std::str::from_utf8(one)
                .ok()?
                .strip_prefix(name)?
                .strip_prefix('=')
        })
    };
    Some((
        variable(JOB_ID)?.parse().ok()?,
        variable(ATTEMPT)?.parse().ok()?,
    ))
}

/// Held by a descriptor, so that the number of one that ended meanwhile reaches no stranger.
fn end_one(pid: Pid, mark: &Mark) -> bool {
    let Ok(held) = pidfd_open(pid, PidfdFlags::empty()) else {
        return false;
    };
    mark_of(pid).as_ref() == Some(mark) && pidfd_send_signal(&held, Signal::KILL).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_from_an_environment() {
        let job: JobId = "job_00000000000000000000000000".parse().expect("an id");
        let of = |text: &str| read_mark(text.replace('|', "\0").as_bytes());
        let whole = format!("PATH=/bin|TRIGGERD_JOB_ID={job}|X=\u{e4}|TRIGGERD_ATTEMPT=2|");
        assert_eq!(of(&whole), Some((job.clone(), 2)));
        assert_eq!(of(&format!("TRIGGERD_JOB_ID={job}|")), None);
        assert_eq!(
            of(&format!("TRIGGERD_JOB_IDS={job}|TRIGGERD_ATTEMPT=2")),
            None
        );
        assert_eq!(of("TRIGGERD_JOB_ID=x|TRIGGERD_ATTEMPT=2"), None);
    }
}
