//! How many files and connections this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than all connections, bodies and programs together need. Not simply what the system allows at
/// most: that may be a thousand million, and programs that close all they could have inherit it.
const WANTED: u64 = 65_536;

/// Raises what the system gives by default (often 1024, less than the connections that are taken) as far
/// as this process may. Without it the server serves all the same, fewer at once.
pub(super) fn raise() {
    let now = getrlimit(Resource::Nofile);
    let Some(raised) = raised(&now) else { return };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the number of open files cannot be raised");
    }
}

/// `None`: there are enough, or there is no more to have.
fn raised(now: &Rlimit) -> Option<Rlimit> {
    let wanted = now.maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
    let is_less = now.current.is_some_and(|current| current < wanted);
    is_less.then_some(Rlimit {
        current: Some(wanted),
        maximum: now.maximum,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_raised_as_far_as_it_may_be_and_never_lowered() {
        let cases = [
            ((Some(1024), Some(4096)), Some(4096)),
            ((Some(1024), Some(1 << 30)), Some(WANTED)),
            ((Some(1024), None), Some(WANTED)),
            ((Some(4096), Some(4096)), None),
            ((Some(1 << 20), Some(1 << 20)), None),
            ((None, None), None),
        ];
        for ((current, maximum), expected) in cases {
            let raised = raised(&Rlimit { current, maximum });
            assert_eq!(raised.and_then(|raised| raised.current), expected);
        }
    }
}
