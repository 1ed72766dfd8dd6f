//! A thread with a stack of its own, deep enough for any expression that is let through: the parser
//! is recursive, and takes more stack for one level than the others of the house for all of theirs.

use std::sync::OnceLock;

use tokio::sync::{Semaphore, oneshot};

/// Only what is used of it takes memory.
const STACK: usize = 64 << 20;
/// So many evaluations go on at once; others wait their turn without holding a worker.
const AT_ONCE: usize = 4;

/// Runs it there and waits for it. `None`: it panicked, or no thread could be started.
pub(super) fn run_on_own_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        let running = thread.name("expressions".to_owned());
        running.spawn_scoped(scope, work).ok()?.join().ok()
    })
}

/// Runs it there without holding the caller's worker. `None`: it panicked, or no thread could be
/// started.
pub async fn on_own_stack<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    static PLACES: OnceLock<Semaphore> = OnceLock::new();
    let _place = PLACES
        .get_or_init(|| Semaphore::new(AT_ONCE))
        .acquire()
        .await
        .ok()?;
    let (tell, done) = oneshot::channel();
    let thread = std::thread::Builder::new().stack_size(STACK);
    let started = thread.name("expressions".to_owned()).spawn(move || {
        // Who does not wait any more does not want to know.
        let _ = tell.send(work());
    });
    started.ok()?;
    done.await.ok()
}
