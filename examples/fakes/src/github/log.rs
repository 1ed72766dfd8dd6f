//! Deliveries: signed, put into the outbox, and kept in the log that each webhook has for three days.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::Sha256;

use super::bodies::{moment, not_found};
use super::hooks::{Config, Hook, Owner};
use super::paging::{PageOf, link};
use crate::{Answer, Delivery, Exchange};

/// How long GitHub keeps them.
const KEPT_MS: i64 = 3 * 24 * 3_600_000;
/// What GitHub notes when nobody takes the connection.
const UNREACHABLE: u16 = 502;

/// One attempt at delivering one event to one webhook.
#[derive(Debug, Clone)]
pub struct Logged {
    pub id: u64,
    pub hook_id: u64,
    owner: Owner,
    /// The event's: all webhooks and all attempts share it.
    pub guid: String,
    pub at_ms: i64,
    pub redelivery: bool,
    /// Absent while it is under way, when the log does not show it.
    pub status: Option<u16>,
    pub event: String,
    pub payload: Value,
    url: String,
}

/// All webhooks' logs, and what is to be sent.
#[derive(Debug, Default)]
pub struct Log {
    pub entries: Vec<Logged>,
    outbox: Vec<Delivery>,
    made: u64,
    guids: u64,
    /// So many deliveries from now on find nobody.
    pub lost: usize,
    /// Pings are sent and answered before the request that made the webhook is.
    pub ping_before_answer: bool,
}

impl Log {
    /// A name for something that happened.
    pub fn next_guid(&mut self) -> String {
        self.guids += 1;
        format!("{:08x}-fa4e-11f0-8000-{:012x}", self.guids, self.guids)
    }

    /// Sends an event to a webhook.
    pub fn send(&mut self, at_ms: i64, hook: &Hook, guid: &str, event: &str, payload: Value) {
        let entry = Logged {
            id: self.next_id(),
            hook_id: hook.id,
            owner: hook.owner.clone(),
            guid: guid.to_owned(),
            at_ms,
            redelivery: false,
            status: None,
            event: event.to_owned(),
            payload,
            url: hook.config.url.clone(),
        };
        self.put_out(entry, &hook.config);
    }

    /// What is to be sent now.
    pub fn take_outbox(&mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.outbox)
    }

    /// A delivery was answered, or nobody was there. Answers whose it was.
    pub fn delivered(&mut self, id: u64, status: Option<u16>) -> Option<(u64, u16)> {
        let entry = self.entries.iter_mut().rev().find(|entry| entry.id == id)?;
        let status = status.unwrap_or(UNREACHABLE);
        entry.status = Some(status);
        Some((entry.hook_id, status))
    }

    /// `GET …/deliveries`: newest first.
    pub fn page(&self, at_ms: i64, hook: &Hook, request: &Exchange) -> Answer {
        let page = PageOf::asked(request, 30);
        let cursor = request.query_value("cursor");
        let first: Option<u64> = match cursor.as_deref() {
            None => None,
            Some(cursor) => match cursor.strip_prefix("v1_").and_then(|id| id.parse().ok()) {
                Some(id) => Some(id),
                None => return super::bodies::refusal(400, "Invalid cursor"),
            },
        };
        let wanted = request.query_value("status");
        let mut shown = self.shown(at_ms, hook).filter(|entry| {
            let status = entry.status.unwrap_or_default();
            first.is_none_or(|first| entry.id <= first)
                && match wanted.as_deref() {
                    Some("success") => (200..400).contains(&status),
                    Some(_) => (400..600).contains(&status),
                    None => true,
                }
        });
        let items: Vec<Value> = shown
            .by_ref()
            .take(page.per_page)
            .map(Logged::item)
            .collect();
        let answer = Answer::json(200, &json!(items));
        match shown.next() {
            Some(next) => {
                let cursor = format!("v1_{}", next.id);
                answer.with("link", link(request, &[("cursor", &cursor)], "next"))
            }
            None => answer,
        }
    }

    /// `GET …/deliveries/{id}`.
    pub fn one(&self, at_ms: i64, hook: &Hook, id: u64) -> Answer {
        let entry = self.shown(at_ms, hook).find(|entry| entry.id == id);
        let Some(entry) = entry else {
            return not_found();
        };
        let mut body = entry.item();
        body["url"] = json!(entry.url);
        body["request"] =
            json!({"headers": {"X-GitHub-Delivery": entry.guid}, "payload": entry.payload});
        body["response"] = json!({"headers": {}, "payload": ""});
        Answer::json(200, &body)
    }

    /// `POST …/deliveries/{id}/attempts`: the same event under the same GUID, signed anew.
    pub fn redeliver(&mut self, at_ms: i64, hook: &Hook, id: u64) -> Answer {
        let Some(entry) = self.shown(at_ms, hook).find(|entry| entry.id == id) else {
            return not_found();
        };
        let again = Logged {
            at_ms,
            redelivery: true,
            status: None,
            url: hook.config.url.clone(),
            ..entry.clone()
        };
        let again = Logged {
            id: self.next_id(),
            ..again
        };
        self.put_out(again, &hook.config);
        Answer::json(202, &json!({}))
    }

    fn shown<'a>(&'a self, at_ms: i64, hook: &'a Hook) -> impl Iterator<Item = &'a Logged> {
        self.entries.iter().rev().filter(move |entry| {
            entry.hook_id == hook.id
                && entry.owner == hook.owner
                && entry.status.is_some()
                && entry.at_ms >= at_ms - KEPT_MS
        })
    }

    fn next_id(&mut self) -> u64 {
        self.made += 1;
        // Real ids exceed 32 bits.
        12_077_215_000 + self.made
    }

    fn put_out(&mut self, mut entry: Logged, config: &Config) {
        if self.lost > 0 {
            self.lost -= 1;
            entry.status = Some(UNREACHABLE);
        } else {
            self.outbox.push(Delivery {
                id: entry.id,
                url: config.url.clone(),
                headers: headers(&entry, config),
                body: body(&entry.payload, config),
                before_answer: self.ping_before_answer && entry.event == "ping",
            });
        }
        self.entries.push(entry);
    }
}

impl Logged {
    /// As the log lists it.
    pub fn item(&self) -> Value {
        let status = self.status.unwrap_or_default();
        json!({
            "id": self.id,
            "guid": self.guid,
            "delivered_at": moment(self.at_ms),
            "redelivery": self.redelivery,
            "duration": 0.03,
            "status": match status {
                200..=299 => "OK".to_owned(),
                UNREACHABLE => "failed to connect to host".to_owned(),
                _ => format!("Invalid HTTP Response: {status}"),
            },
            "status_code": status,
            "event": self.event,
            "action": self.payload["action"],
            "installation_id": null,
            "repository_id": self.payload["repository"]["id"],
        })
    }
}

fn body(payload: &Value, config: &Config) -> Vec<u8> {
    let json = payload.to_string();
    if is_json(config) {
        return json.into_bytes();
    }
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("payload", &json);
    form.finish().into_bytes()
}

fn headers(entry: &Logged, config: &Config) -> Vec<(String, String)> {
    let content_type = match is_json(config) {
        true => "application/json",
        false => "application/x-www-form-urlencoded",
    };
    let mut headers = vec![
        ("Content-Type", content_type.to_owned()),
        ("User-Agent", "GitHub-Hookshot/fa4e000".to_owned()),
        ("X-GitHub-Event", entry.event.clone()),
        ("X-GitHub-Delivery", entry.guid.clone()),
        ("X-GitHub-Hook-ID", entry.hook_id.to_string()),
        (
            "X-GitHub-Hook-Installation-Target-Type",
            entry.owner.kind().to_owned(),
        ),
        ("X-GitHub-Hook-Installation-Target-ID", "1296269".to_owned()),
    ];
    if let Some(secret) = &config.secret {
        let body = body(&entry.payload, config);
        let sha1 = signed::<Hmac<Sha1>>(secret, &body);
        let sha256 = signed::<Hmac<Sha256>>(secret, &body);
        headers.push(("X-Hub-Signature", format!("sha1={sha1}")));
        headers.push(("X-Hub-Signature-256", format!("sha256={sha256}")));
    }
    headers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn is_json(config: &Config) -> bool {
    config.content_type.as_deref() == Some("json")
}

fn signed<M: Mac + KeyInit>(secret: &str, body: &[u8]) -> String {
    let mut mac = <M as KeyInit>::new_from_slice(secret.as_bytes())
        .expect("invariant: HMAC takes keys of any length");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}
