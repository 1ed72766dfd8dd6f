//! Background work: idempotent ticks, woken by a hint and by a timer.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::panics;

/// Runs ticks until the host stops.
#[derive(Clone)]
pub struct Background {
    tracker: TaskTracker,
    stop: CancellationToken,
    last: CancellationToken,
}

/// What a tick wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// There is more to do now.
    AtOnce,
    /// Nothing to do before this, unless a wake comes.
    After(Duration),
}

impl Background {
    /// Everything started here ends after `stop`.
    pub fn new(stop: CancellationToken) -> Background {
        Background {
            tracker: TaskTracker::new(),
            stop,
            last: CancellationToken::new(),
        }
    }

    /// Runs `tick` again and again: after what it says, or when `wake` is told. A tick that is
    /// under way when the host stops is let come to its end.
    pub fn run<F, T>(&self, wake: Arc<Notify>, mut tick: T)
    where
        T: FnMut() -> F + Send + 'static,
        F: Future<Output = Next> + Send,
    {
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            while !stop.is_cancelled() {
                let Next::After(pause) = survive(&mut tick).await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = wake.notified() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
        });
    }

    /// Work without ticks, cut off when the host stops.
    pub fn run_until_stop(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
        });
    }

    /// As [`Background::run`], for work that others need until they have ended: it goes on after `stop`, until
    /// [`Background::ended`] is awaited.
    pub fn run_to_the_end<F, T>(&self, wake: Arc<Notify>, mut tick: T)
    where
        T: FnMut() -> F + Send + 'static,
        F: Future<Output = Next> + Send,
    {
        let last = self.last.clone();
        self.tracker.spawn(async move {
            loop {
                let Next::After(pause) = survive(&mut tick).await else {
                    continue;
                };
                tokio::select! {
                    () = last.cancelled() => return,
                    () = wake.notified() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
        });
    }

    /// Cancelled when the host stops.
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Waits until all ticks came to their end.
    pub async fn ended(&self) {
        self.last.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// A tick that panics ends alone: the work that it stands for goes on.
async fn survive<F, T>(tick: &mut T) -> Next
where
    T: FnMut() -> F,
    F: Future<Output = Next>,
{
    let ticked = panics::survive(async { tick().await }).await;
    ticked.unwrap_or_else(|| {
        tracing::error!("work in the background panicked; it is tried again");
        Next::After(super::STORE_PAUSE)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn work_goes_on_after_a_tick_that_panicked() {
        let (background, ticks) = (
            Background::new(CancellationToken::new()),
            Arc::new(AtomicU32::new(0)),
        );
        let done = Arc::new(Notify::new());
        let (counted, ended) = (Arc::clone(&ticks), Arc::clone(&done));
        // So that nothing waits for the pause after the panic.
        let wake = Arc::new(Notify::new());
        wake.notify_one();
        background.run(wake, move || {
            let (counted, ended) = (Arc::clone(&counted), Arc::clone(&ended));
            async move {
                match counted.fetch_add(1, Ordering::SeqCst) {
                    0 => panic!("the first one"),
                    1 => Next::AtOnce,
                    _ => {
                        ended.notify_one();
                        Next::After(Duration::from_secs(3600))
                    }
                }
            }
        });
        let waited = tokio::time::timeout(Duration::from_secs(60), done.notified());
        waited.await.expect("it goes on");
        background.stop.cancel();
        background.ended().await;
    }
}
