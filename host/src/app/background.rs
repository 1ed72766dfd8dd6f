//! Background work: idempotent ticks, woken by a hint and by a timer.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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
                let Next::After(pause) = tick().await else {
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

    /// The same for work that others need until they have ended: it goes on after `stop`, until
    /// [`Background::ended`] is awaited.
    pub fn run_to_the_end<F, T>(&self, wake: Arc<Notify>, mut tick: T)
    where
        T: FnMut() -> F + Send + 'static,
        F: Future<Output = Next> + Send,
    {
        let last = self.last.clone();
        self.tracker.spawn(async move {
            loop {
                let Next::After(pause) = tick().await else {
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

    /// Waits until all ticks came to their end.
    pub async fn ended(&self) {
        self.last.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}
