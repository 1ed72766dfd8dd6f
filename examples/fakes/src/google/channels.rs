//! Channels: watch, stop, and the pushes that follow.
//! <https://developers.google.com/workspace/drive/api/guides/push>

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::clock;
use super::description::Call;
use super::refusal::Refusal;
use crate::Delivery;

const HOUR_MS: i64 = 3_600_000;
/// Google tries again after a 500, 502, 503 or 504, a few times.
const TRIES_MAX: u32 = 5;

/// What a channel is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    File(String),
    /// All of the account's, or of one shared drive.
    Changes(Option<String>),
    Calendar(String),
}

/// What is to be watched, before there is a channel.
pub struct Watched {
    pub about: About,
    pub uri: String,
    pub lifetime_max_ms: i64,
}

struct Channel {
    id: String,
    resource_id: String,
    uri: String,
    address: String,
    token: Option<String>,
    expires_at_ms: i64,
    about: About,
    number: u64,
}

struct Push {
    due_at_ms: i64,
    tries: u32,
    delivery: Delivery,
}

/// All channels that were ever opened, and what is to be sent.
#[derive(Default)]
pub struct Channels {
    open: BTreeMap<String, Channel>,
    used: BTreeSet<String>,
    queue: Vec<Push>,
    sent: BTreeMap<u64, Push>,
    deliveries: u64,
    /// `sync` is sent, and answered, before the watch call is.
    pub sync_before_answer: bool,
    /// A number instead of text, as Google now and then answers.
    pub expiration_as_number: bool,
}

impl Channels {
    /// Opens a channel.
    pub fn open(&mut self, at_ms: i64, call: &Call, watched: Watched) -> Result<Value, Refusal> {
        let text = |name: &str| call.body[name].as_str().unwrap_or_default();
        let (id, address, token) = (text("id"), text("address"), text("token"));
        if !matches!(text("type"), "web_hook" | "webhook") {
            return Err(Refusal::malformed("type must be web_hook"));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_+/=".contains(&byte);
        if id.is_empty() || id.len() > 64 || !id.bytes().all(plain) {
            return Err(Refusal::malformed(format!("`{id}` is no channel id")));
        }
        if token.len() > 256 {
            return Err(Refusal::malformed("a token has at most 256 characters"));
        }
        assert_address(address)?;
        if !self.used.insert(id.to_owned()) {
            return Err(Refusal::new(
                400,
                "channelIdNotUnique",
                format!("Channel id {id} not unique"),
            ));
        }
        let asked = text("expiration").parse::<i64>().ok();
        if asked.is_some_and(|asked| asked <= at_ms) {
            return Err(Refusal::malformed("the expiration has passed"));
        }
        let asked = asked.unwrap_or(at_ms + HOUR_MS);
        let expires_at_ms = asked.min(at_ms + watched.lifetime_max_ms);
        let channel = Channel {
            id: id.to_owned(),
            resource_id: resource_id(&watched.uri),
            uri: watched.uri,
            address: address.to_owned(),
            token: (!token.is_empty()).then(|| token.to_owned()),
            expires_at_ms,
            about: watched.about,
            number: 0,
        };
        let mut answer = json!({
            "kind": "api#channel",
            "id": channel.id,
            "resourceId": channel.resource_id,
            "resourceUri": channel.uri,
            "expiration": expires_at_ms.to_string(),
        });
        if let Some(token) = &channel.token {
            answer["token"] = json!(token);
        }
        self.open.insert(id.to_owned(), channel);
        let before_answer = self.sync_before_answer;
        self.push(at_ms, id, "sync", None, before_answer);
        Ok(answer)
    }

    /// Ends a channel.
    pub fn stop(&mut self, call: &Call) -> Result<Value, Refusal> {
        let id = call.body["id"].as_str().unwrap_or_default();
        let Some(resource) = call.body["resourceId"].as_str().filter(|_| !id.is_empty()) else {
            return Err(Refusal::malformed("id and resourceId are needed"));
        };
        match self.open.get(id) {
            Some(channel) if channel.resource_id == resource => {
                self.open.remove(id);
                Ok(Value::Null)
            }
            _ => Err(Refusal::not_found(&format!("Channel '{id}' for project"))),
        }
    }

    /// Tells every channel that is about this.
    pub fn notify(
        &mut self,
        at_ms: i64,
        is_about: impl Fn(&About) -> bool,
        state: &str,
        changed: Option<&str>,
    ) {
        self.open.retain(|_, channel| channel.expires_at_ms > at_ms);
        let told: Vec<String> = self
            .open
            .values()
            .filter(|channel| is_about(&channel.about))
            .map(|channel| channel.id.clone())
            .collect();
        for id in told {
            self.push(at_ms, &id, state, changed, false);
        }
    }

    /// Forgets a channel without a word; `None`: every one.
    pub fn vanish(&mut self, id: Option<&str>) {
        self.open.retain(|each, _| id.is_some_and(|id| id != each));
    }

    /// As `POST /_fake/channels` shows them.
    pub fn listed(&self) -> Value {
        let channels = self.open.values().map(|channel| {
            json!({
                "id": channel.id,
                "resource_id": channel.resource_id,
                "address": channel.address,
                "expires_at_ms": channel.expires_at_ms,
            })
        });
        channels.collect()
    }

    /// Takes what is due.
    pub fn outbox(&mut self, at_ms: i64) -> Vec<Delivery> {
        let (due, later): (Vec<Push>, Vec<Push>) = std::mem::take(&mut self.queue)
            .into_iter()
            .partition(|push| push.due_at_ms <= at_ms);
        self.queue = later;
        let mut deliveries = Vec::new();
        for push in due {
            deliveries.push(push.delivery.clone());
            self.sent.insert(push.delivery.id, push);
        }
        deliveries
    }

    /// Some answers are worth another try, with the same number; any other is the end of it.
    pub fn delivered(&mut self, at_ms: i64, id: u64, status: Option<u16>) {
        let Some(mut push) = self.sent.remove(&id) else {
            return;
        };
        push.tries += 1;
        if matches!(status, Some(500 | 502 | 503 | 504)) && push.tries < TRIES_MAX {
            push.due_at_ms = at_ms + (1_000 << push.tries);
            push.delivery.before_answer = false;
            self.queue.push(push);
        }
    }

    fn push(
        &mut self,
        at_ms: i64,
        id: &str,
        state: &str,
        changed: Option<&str>,
        before_answer: bool,
    ) {
        let Some(channel) = self.open.get_mut(id) else {
            return;
        };
        // Rising, and with gaps.
        channel.number += if channel.number == 0 { 1 } else { 2 };
        self.deliveries += 1;
        let is_changes = matches!(channel.about, About::Changes(_));
        let mut headers = vec![
            // Malformed, as Drive sends it.
            ("Content-Type", "application/json; utf-8".to_owned()),
            (
                "User-Agent",
                "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)"
                    .to_owned(),
            ),
            ("X-Goog-Channel-ID", channel.id.clone()),
            (
                "X-Goog-Channel-Expiration",
                clock::http_date(channel.expires_at_ms),
            ),
            ("X-Goog-Resource-ID", channel.resource_id.clone()),
            ("X-Goog-Resource-URI", channel.uri.clone()),
            ("X-Goog-Resource-State", state.to_owned()),
            ("X-Goog-Message-Number", channel.number.to_string()),
        ];
        headers.extend(
            channel
                .token
                .clone()
                .map(|token| ("X-Goog-Channel-Token", token)),
        );
        headers.extend(changed.map(|changed| ("X-Goog-Changed", changed.to_owned())));
        let named = headers.into_iter();
        self.queue.push(Push {
            due_at_ms: at_ms,
            tries: 0,
            delivery: Delivery {
                id: self.deliveries,
                url: channel.address.clone(),
                headers: named
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect(),
                body: match is_changes && state != "sync" {
                    true => b"{\n \"kind\": \"drive#changes\"\n}\n".to_vec(),
                    false => Vec::new(),
                },
                before_answer,
            },
        });
    }
}

/// HTTPS, but for this machine: there is no certificate for a test.
fn assert_address(address: &str) -> Result<(), Refusal> {
    let url = url::Url::parse(address)
        .map_err(|_| Refusal::malformed(format!("`{address}` is no address")))?;
    let is_local = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    if url.scheme() == "https" || (url.scheme() == "http" && is_local) {
        return Ok(());
    }
    Err(Refusal::new(
        400,
        "push.webhookUrlNotHttps",
        format!("WebHook callback must be HTTPS: {address}"),
    ))
}

/// The same for the same resource, whatever the channel.
fn resource_id(uri: &str) -> String {
    let hash = uri.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("o3hgv1538sdjfh{hash:016x}")
}
