//! A program and all that it starts: one process group, ended as a whole.

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::Child;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

/// A running program that leads its own process group. Dropping it kills the group.
pub(super) struct Group {
    child: Child,
    leader: Option<Pid>,
    exits: Option<SignalStream>,
}

impl Group {
    /// Takes over a child that was started with `process_group(0)` and `kill_on_drop(true)`.
    pub(super) fn of(child: Child) -> Group {
        let leader = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        Group {
            child,
            leader,
            exits: signal(SignalKind::child()).ok(),
        }
    }

    /// The child, for its pipes.
    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits until the leader has exited, without collecting it: as long as it is there, the number
    /// of its group cannot be given to another one, and [`Group::kill`] reaches no stranger.
    pub(super) async fn leader_exit(&mut self) {
        let (Some(leader), Some(exits)) = (self.leader, &mut self.exits) else {
            let _ = self.child.wait().await;
            return;
        };
        // The signal was subscribed to before the first look, so no exit falls between.
        while !has_exited(leader) {
            exits.recv().await;
        }
    }

    /// Kills every process of the group.
    pub(super) fn kill(&mut self) {
        if let Some(leader) = self.leader.take() {
            // No such group means that everything in it has ended.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }

    /// Collects the leader and tells how it ended. To be called after [`Group::kill`].
    pub(super) async fn collect(&mut self) -> std::io::Result<std::process::ExitStatus> {
        self.child.wait().await
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

fn has_exited(leader: Pid) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    // An error means that it is not there to be waited for.
    !matches!(waitid(WaitId::Pid(leader), look), Ok(None))
}
