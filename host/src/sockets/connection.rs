//! One subscription's connections, one after the other, until somebody else holds it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use trigger_plugin_abi::host::SubscriptionHandle;
use url::Url;

use super::holder::Inner;
use super::pauses::{GOOD, Pauses};
use super::serving::{End, Serving};
use super::spec::{Opening, SECRET_HEADER, SocketSpec, Source, as_sent};
use crate::clock::random_fraction;
use crate::model::{HeldSocket, Subscription, SubscriptionState};
use crate::outbound::{Cidr, Frame, HostPort, Policy, Socket, SocketRequest, header_value};
use crate::plugins::LiveProvider;

/// From the resolution of the name to the end of the handshake.
const CONNECT_MAX: Duration = Duration::from_secs(15);
/// A reason that is shown is no longer.
const REASON_MAX: usize = 500;

/// What a connection is made of.
pub(super) struct Connection {
    pub(super) inner: Arc<Inner>,
    pub(super) live: Arc<LiveProvider>,
    pub(super) held: HeldSocket,
    pub(super) stop: CancellationToken,
}

/// A subscription, read for one connection.
pub(super) struct Prepared {
    pub(super) subscription: Subscription,
    pub(super) spec: SocketSpec,
    pub(super) handle: SubscriptionHandle,
}

/// How one connection ended.
struct Ended {
    open_for: Option<Duration>,
    end: End,
}

impl Ended {
    /// For how long it did what it should. A server that never gave a sign of life may hold any number
    /// of connections open: what it is there for does not come.
    fn lasted(&self) -> Option<Duration> {
        match self.end {
            End::Mute(_) => None,
            _ => self.open_for,
        }
    }
}

impl Connection {
    pub(super) async fn run(self) {
        let mut pauses = Pauses::default();
        loop {
            let ended = Box::pin(self.once(&pauses)).await;
            let lasted = ended.lasted();
            let why = match ended.end {
                End::Stopped => break,
                End::Lost => {
                    let subscription = &self.held.subscription_id;
                    tracing::warn!(%subscription, "the connection is given up: it may be another host's");
                    break;
                }
                End::Failed(why) | End::Mute(why) => why,
            };
            let pause = pauses.after(lasted, random_fraction());
            if pauses.failures() > 1 {
                self.note_failure(&why, &pauses, pause).await;
            }
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.inner.forget(&self.held);
    }

    async fn once(&self, pauses: &Pauses) -> Ended {
        let connected = tokio::select! {
            () = self.stop.cancelled() => Err(End::Stopped),
            connected = self.connect() => connected.map_err(End::Failed),
        };
        let (prepared, socket, url) = match connected {
            Ok(connected) => connected,
            Err(end) => {
                return Ended {
                    open_for: None,
                    end,
                };
            }
        };
        let opened_at = Instant::now();
        let metrics = &self.inner.parts.metrics;
        metrics.sockets_open.add(1);
        let was_failing = pauses.failures() > 1;
        if !was_failing {
            self.note_success(&prepared.subscription).await;
        }
        let subscription = prepared.subscription.clone();
        let alive = CancellationToken::new();
        let serving = Serving::new(self, prepared, &url, alive.clone());
        let mut served = Box::pin(serving.run(socket, &self.stop));
        let lasts = async {
            tokio::join!(tokio::time::sleep(GOOD), alive.cancelled());
        };
        // One that failed has to last, and to be heard of, before it is good again.
        let end = tokio::select! {
            end = &mut served => end,
            () = lasts, if was_failing => {
                self.note_success(&subscription).await;
                served.await
            }
        };
        metrics.sockets_open.add(-1);
        Ended {
            open_for: Some(opened_at.elapsed()),
            end,
        }
    }

    /// Up to the last of what is said first.
    async fn connect(&self) -> Result<(Prepared, Socket, Url), String> {
        let prepared = self.prepare().await?;
        let url = self.url(&prepared).await?;
        let mut socket = {
            let place = self.inner.connecting.acquire().await;
            let _place = place.map_err(|_| "the host ends")?;
            self.open(&prepared, url.clone()).await?
        };
        self.begin(&mut socket, &prepared).await?;
        Ok((prepared, socket, url))
    }

    /// Everything that is known of the subscription, as it is now.
    async fn prepare(&self) -> Result<Prepared, String> {
        let store = &self.inner.parts.store;
        let (workspace, id) = (&self.held.workspace_id, &self.held.subscription_id);
        let read = store.subscription(workspace, id).await;
        let subscription = read
            .map_err(|error| error.to_string())?
            .ok_or("the subscription is gone")?;
        let secrets = store.subscription_secrets(id).await;
        let secrets = secrets.map_err(|error| error.to_string())?;
        let secrets: Map<String, Value> = secrets
            .and_then(|secrets| serde_json::from_str(secrets.expose()).ok())
            .unwrap_or_default();
        let mut fields = self.live.facts.config.0.clone();
        fields.extend(subscription.properties.clone());
        fields.extend(secrets.clone());
        let declared = self.live.facts.socket.as_ref();
        let declared = declared.and_then(|socket| socket.template.as_ref());
        let mut spec = SocketSpec::read(declared, &subscription.parameters, &fields)?;
        for (name, value) in &secrets {
            if let Some(name) = name.strip_prefix(SECRET_HEADER) {
                spec.headers.insert(name.to_owned(), as_sent(value));
            }
        }
        let opened = serde_json::json!({
            "id": subscription.id,
            "key": "",
            "endpoint_url": "",
            "parameters": subscription.parameters,
            "properties": subscription.properties,
            "secrets": secrets,
        });
        let handle = self
            .live
            .open_subscription(&opened.to_string())
            .map_err(|error| format!("the provider refused the subscription: {}", error.message))?;
        Ok(Prepared {
            subscription,
            spec,
            handle,
        })
    }

    async fn open(&self, prepared: &Prepared, url: Url) -> Result<Socket, String> {
        let policy = self.policy(&prepared.spec)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &prepared.spec.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            match (name, header_value(value)) {
                (Ok(name), Some(value)) => headers.insert(name, value),
                _ => return Err("a header cannot be sent as it is".to_owned()),
            };
        }
        let request = SocketRequest {
            url,
            headers,
            message_max: prepared.spec.message_max(),
            within: CONNECT_MAX,
        };
        let opened = self
            .inner
            .parts
            .outbound
            .open_socket(&policy, request)
            .await;
        opened.map_err(|error| error.chain())
    }

    /// What the connection may reach. Where it leads is the operator's to say, or the provider's: then
    /// it is bound to what that declares and the manifest leaves of it, as its requests are, and opens
    /// no ranges by itself.
    fn policy(&self, spec: &SocketSpec) -> Result<Policy, String> {
        let facts = &self.live.facts;
        let is_declared = facts
            .socket
            .as_ref()
            .is_some_and(|socket| socket.template.is_some());
        let (said, hosts) = match is_declared {
            false => (&spec.allow[..], None),
            true => {
                let places = facts.reach.hosts.iter();
                let hosts = places.filter_map(|place| HostPort::of_place(place));
                (&[][..], Some(hosts.collect()))
            }
        };
        let ranges = said.iter().chain(&facts.reach.allow);
        let allow: Result<Vec<Cidr>, _> = ranges.map(|range| range.parse()).collect();
        Ok(Policy {
            allow: allow.map_err(|_| "`allow` holds what is no network")?,
            hosts,
        })
    }

    async fn url(&self, prepared: &Prepared) -> Result<Url, String> {
        let text = match &prepared.spec.url {
            Source::Text(text) => text.clone(),
            Source::Asked(asked) => {
                let answer = self.inner.parts.runs.ask(&self.held.workspace_id, asked);
                match answer.await? {
                    Value::String(text) => text,
                    _ => return Err(format!("`{}` returned no text for the URL", asked.runnable)),
                }
            }
        };
        Url::parse(&text).map_err(|error| format!("the URL cannot be read: {error}"))
    }

    /// Says what is said first.
    async fn begin(&self, socket: &mut Socket, prepared: &Prepared) -> Result<(), String> {
        for opening in &prepared.spec.initial_messages {
            let message = match opening {
                Opening::Message(said) => said.message.clone(),
                Opening::Asked(asked) => {
                    let runs = &self.inner.parts.runs;
                    runs.ask(&self.held.workspace_id, asked).await?
                }
            };
            let sent = socket.send(Frame::Text(as_sent(&message))).await;
            sent.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    async fn note_success(&self, read: &Subscription) {
        if read.state != SubscriptionState::Active || read.state_reason.is_some() {
            self.note(SubscriptionState::Active, None).await;
        }
    }

    async fn note_failure(&self, why: &str, pauses: &Pauses, pause: Duration) {
        let reason = reason(why, pauses.failures(), pause);
        self.note(SubscriptionState::Degraded, Some(&reason)).await;
    }

    async fn note(&self, state: SubscriptionState, reason: Option<&str>) {
        let parts = &self.inner.parts;
        let now = parts.clock.now();
        if let Err(error) = parts
            .store
            .note_socket(&self.held, state, reason, now)
            .await
        {
            let subscription = &self.held.subscription_id;
            tracing::debug!(%subscription, %error, "its health was not noted");
        }
    }
}

/// What is shown of a connection that failed.
fn reason(why: &str, failures: u32, pause: Duration) -> String {
    let why: String = why.chars().take(REASON_MAX).collect();
    let seconds = pause.as_secs_f64().ceil();
    format!("{why}; {failures} in a row, tried again in {seconds} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_over_which_nothing_ever_came_did_not_last() {
        let why = "the server gave no sign of life for 60 s".to_owned();
        let open_for = Some(Duration::from_secs(60));
        let [mute, silent] = [End::Mute(why.clone()), End::Failed(why)].map(|end| {
            let mut pauses = Pauses::default();
            let ended = Ended { open_for, end };
            for _ in 0..3 {
                pauses.after(ended.lasted(), 0.5);
            }
            pauses.failures()
        });
        assert_eq!(mute, 3, "it shows, and is tried ever more rarely");
        assert_eq!(silent, 1, "it was there for a while");
    }

    #[test]
    fn a_long_reason_is_shown_from_its_beginning() {
        let shown = reason(&"ü".repeat(10_000), 3, Duration::from_millis(1500));
        let expected = format!("{}; 3 in a row, tried again in 2 s", "ü".repeat(500));
        assert_eq!(shown, expected);
    }
}
