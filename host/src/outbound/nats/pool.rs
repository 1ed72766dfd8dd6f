//! Connections shared by all who have the same target and login.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::greeting::greet;
use super::keeper::{Line, Unsent};
use super::message::{NatsError, NatsMessage, NatsTaken};
use super::target::NatsTarget;
use super::wire::Outgoing;
use crate::outbound::message::OutboundError;

/// One server is given so long to be connected, with TLS and login.
const GREETING_MAX: Duration = Duration::from_secs(10);
/// After a failure the next try to connect is not made sooner.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// So many targets keep their connections; past it those that are not in use are let go.
const TARGETS_MAX: usize = 64;

/// Sends messages to subjects. Cheap to clone.
#[derive(Clone)]
pub struct Nats(Arc<Inner>);

struct Inner {
    tls: Arc<rustls::ClientConfig>,
    places: Mutex<HashMap<NatsTarget, Arc<Place>>>,
}

/// Where a target's connection is kept. Whoever makes it holds the lock; the others wait for it.
type Place = tokio::sync::Mutex<Kept>;

#[derive(Default)]
struct Kept {
    line: Option<Line>,
    failed: Option<(Instant, NatsError)>,
}

impl Nats {
    pub(in crate::outbound) fn new(mut tls: rustls::ClientConfig) -> Nats {
        // NATS names no protocol inside of TLS.
        tls.alpn_protocols.clear();
        Nats(Arc::new(Inner {
            tls: Arc::new(tls),
            places: Mutex::new(HashMap::new()),
        }))
    }

    /// Sends one message and waits for what it expects, all within its timeout.
    pub async fn send(
        &self,
        target: &NatsTarget,
        message: NatsMessage,
    ) -> Result<NatsTaken, NatsError> {
        let after = message.timeout;
        let sent = timeout(after, self.exchange(target, message)).await;
        sent.unwrap_or(Err(NatsError::Timeout { after }))
    }

    async fn exchange(
        &self,
        target: &NatsTarget,
        message: NatsMessage,
    ) -> Result<NatsTaken, NatsError> {
        let place = self.place(target);
        let expects = message.expects;
        let mut outgoing = Outgoing {
            subject: message.subject,
            headers: message.headers,
            payload: message.payload,
        };
        loop {
            let line = self.line(&place, target).await?;
            match line.send(outgoing, expects).await {
                Ok(taken) => return Ok(taken),
                Err(Unsent::Failed(error)) => return Err(error),
                Err(Unsent::Ended(unsent)) => outgoing = unsent,
            }
        }
    }

    /// The open connection of a target, else a new one.
    async fn line(&self, place: &Place, target: &NatsTarget) -> Result<Line, NatsError> {
        let mut kept = place.lock().await;
        if let Some(line) = kept.line.as_ref().filter(|line| line.is_open()) {
            return Ok(line.clone());
        }
        if let Some((at, error)) = &kept.failed
            && at.elapsed() < RETRY_PAUSE
        {
            return Err(error.clone());
        }
        match self.connect(target).await {
            Ok(line) => {
                kept.failed = None;
                Ok(kept.line.insert(line).clone())
            }
            Err(error) => {
                kept.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn connect(&self, target: &NatsTarget) -> Result<Line, NatsError> {
        let none = OutboundError::Invalid {
            field: "servers".to_owned(),
            reason: "there are none".to_owned(),
        };
        let mut failure = NatsError::from(none);
        for server in &target.servers {
            let late = NatsError::Timeout {
                after: GREETING_MAX,
            };
            let greeted = timeout(GREETING_MAX, greet(server, target, &self.0.tls)).await;
            match greeted.unwrap_or(Err(late)) {
                Ok(greeted) => {
                    tracing::debug!("a NATS server is connected");
                    return Ok(Line::keep(greeted));
                }
                Err(error) => {
                    tracing::debug!(error = error.chain(), "a NATS server is not connected");
                    failure = error;
                }
            }
        }
        Err(failure)
    }

    fn place(&self, target: &NatsTarget) -> Arc<Place> {
        let places = self.0.places.lock();
        let mut places = places.unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(target) {
            return Arc::clone(place);
        }
        if places.len() >= TARGETS_MAX {
            places.retain(|_, place| Arc::strong_count(place) > 1);
        }
        let place = Arc::<Place>::default();
        places.insert(target.clone(), Arc::clone(&place));
        place
    }
}
