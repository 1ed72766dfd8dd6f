//! The end of the server, within bounds: what is under way comes to its end or is given back, and
//! what was begun is written down.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::background::Background;
use crate::credentials::Credentials;
use crate::jobs::Executor;
use crate::store::Store;
use crate::sync::Engine;
use crate::tokens::Tokens;

/// Requests in flight are given so much longer than jobs, for the answers of who waits for those.
pub(super) const ANSWERS: Duration = Duration::from_secs(2);
/// After the drain, for ticks and renewals that are under way.
const LAST_WORK: Duration = Duration::from_secs(10);
/// For the last commit and the goodbye to the database.
const LAST_COMMIT: Duration = Duration::from_secs(10);

/// What comes to its end.
pub(super) struct Ending<'a> {
    pub(super) executor: &'a Executor,
    pub(super) engine: &'a Engine,
    pub(super) background: &'a Background,
    pub(super) credentials: &'a Credentials,
    pub(super) tokens: &'a Tokens,
    pub(super) store: &'a Store,
    pub(super) drain: Duration,
}

impl Ending<'_> {
    /// Beside the requests in flight: nothing new is begun; jobs and calls to services are given
    /// the time of the drain.
    pub(super) async fn drain(&self, stop: &CancellationToken, sockets: impl Future<Output = ()>) {
        tracing::info!(
            "the server stops: running jobs are given {} s to end",
            self.drain.as_secs()
        );
        stop.cancel();
        // Their messages make jobs.
        sockets.await;
        tokio::join!(
            self.executor.drain(self.drain),
            self.engine.drain(self.drain)
        );
    }

    /// The rest, each part for so long at most. What is cut off is taken up again at the next start.
    pub(super) async fn finish(&self) {
        within(LAST_WORK, "work in the background", async {
            self.background.ended().await;
            // What a last tick began.
            self.engine.drain(LAST_WORK).await;
            self.credentials.ended().await;
            if let Err(error) = self.tokens.note_uses().await {
                tracing::debug!(%error, "the last uses of tokens were not noted");
            }
        })
        .await;
        within(LAST_COMMIT, "the last commit", self.store.close()).await;
    }
}

async fn within(time: Duration, what: &str, work: impl Future<Output = ()>) {
    if tokio::time::timeout(time, work).await.is_err() {
        tracing::warn!("{what} did not come to its end in time and is cut off");
    }
}

/// Ends the server at the first signal, and the process at the second: who asks twice waits no more.
pub(super) async fn listen_for_signals(ended: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::error!("signals cannot be heard");
        return;
    };
    either(&mut terminate, &mut interrupt).await;
    ended.cancel();
    either(&mut terminate, &mut interrupt).await;
    tracing::warn!("a second signal: the server stops at once, as if it had been killed");
    std::process::exit(1);
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
