//! How callers hear what became of their writes.

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Tells callers what became of their writes.
#[derive(Clone)]
pub(super) struct ToldBy {
    /// Those that are told apart.
    tasks: TaskTracker,
    runtime: Handle,
    is_outside: bool,
}

impl ToldBy {
    /// `is_outside`: those who call it are no tasks of the runtime.
    pub(super) fn new(is_outside: bool) -> ToldBy {
        ToldBy {
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            is_outside,
        }
    }

    /// Runs `tell`, which wakes so many. Who is woken from outside of the runtime goes through a queue
    /// that all its threads share: many are woken by one task, which does.
    pub(super) fn tell(&self, how_many: usize, tell: impl FnOnce() + Send + 'static) {
        const FEW: usize = 4;
        if self.is_outside && how_many > FEW {
            let telling = self.tasks.spawn_on(async move { tell() }, &self.runtime);
            // It is waited for by `finish`.
            drop(telling);
        } else {
            tell();
        }
    }

    /// Waits until everybody is told.
    pub(super) async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn many_are_told_by_a_task_that_the_end_waits_for() {
        let (heard, hears) = mpsc::channel();
        let told_by = ToldBy::new(true);
        for how_many in [1, 100] {
            let heard = heard.clone();
            told_by.tell(how_many, move || heard.send(how_many).expect("there"));
        }
        assert_eq!(hears.try_iter().collect::<Vec<_>>(), [1]);
        assert!(told_by.finish().now_or_never().is_none());
        told_by.finish().await;
        assert_eq!(hears.try_iter().collect::<Vec<_>>(), [100]);
    }

    #[tokio::test]
    async fn who_is_in_the_runtime_tells_by_itself() {
        let (heard, hears) = mpsc::channel();
        let told_by = ToldBy::new(false);
        told_by.tell(100, move || heard.send(()).expect("there"));
        hears.try_recv().expect("told");
    }
}
