//! Panics of ours: told to the log, counted, and never the silent end of work that others wait for.

use std::future::Future;
use std::panic::{AssertUnwindSafe, PanicHookInfo};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;

/// What panicked begins anew after so long, so that one that always panics costs little.
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 1000 });

static SEEN: AtomicU64 = AtomicU64::new(0);

/// From now on panics are lines of the log, with their place, and counted.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        SEEN.fetch_add(1, Ordering::Relaxed);
        let place = panic.location().map(ToString::to_string);
        tracing::error!(
            place,
            said = message_of(panic),
            "a part of the host panicked"
        );
    }));
}

/// How many there were since [`log_panics`].
pub fn seen() -> u64 {
    SEEN.load(Ordering::Relaxed)
}

fn message_of<'p>(panic: &'p PanicHookInfo<'_>) -> &'p str {
    let payload = panic.payload();
    match payload.downcast_ref::<&str>() {
        Some(text) => text,
        None => payload.downcast_ref::<String>().map_or("", String::as_str),
    }
}

/// What comes out, or nothing if it panicked.
pub async fn survive<T>(work: impl Future<Output = T>) -> Option<T> {
    AssertUnwindSafe(work).catch_unwind().await.ok()
}

/// Does this until it ends by itself: if it panics, it begins anew.
pub async fn go_on<F: Future<Output = ()>>(what: &'static str, mut begin: impl FnMut() -> F) {
    while survive(async { begin().await }).await.is_none() {
        tracing::error!("{what} panicked and begins anew");
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_panics_begins_anew_until_it_ends_by_itself() {
        let mut begun = 0;
        go_on("it", || {
            begun += 1;
            let nth = begun;
            async move { assert!(nth == 3, "not yet") }
        })
        .await;
        assert_eq!(begun, 3);
    }

    #[tokio::test]
    async fn only_a_panic_comes_to_nothing() {
        assert_eq!(survive(async { 1 }).await, Some(1));
        assert_eq!(survive(async { panic!("no") }).await, None::<()>);
    }
}
