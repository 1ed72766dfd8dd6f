//! From a request and its reading to the rows that keep it.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::HeaderMap;
use bytes::Bytes;
use trigger_plugin_abi::host::{Dispatched, Reply};

use crate::clock::Millis;
use crate::id::{EventId, RequestId};
use crate::model::{
    Append, Delivery, NewEvent, NewRequest, Queue, RequestOutcome, Subscription, SubscriptionState,
};
use crate::plugins::facts::Facts;

/// How long a service may repeat a delivery, where its provider does not say.
const DELIVERY_WINDOW: Duration = Duration::from_secs(72 * 3600);
/// Longer values are cut in the log.
const VALUE_MAX: usize = 4096;

/// Headers whose values never stand in the log.
const MASKED: &[&str] = &[
    "authorization",
    "cookie",
    "proxy-authorization",
    "set-cookie",
];

/// What arrived, with the time and the id it was given.
pub struct Arrived {
    /// New for each request.
    pub id: RequestId,
    /// When its body was whole.
    pub at: Millis,
    /// Method.
    pub method: String,
    /// Path, without the query.
    pub path: String,
    /// Query, without the question mark.
    pub query: String,
    /// All of them.
    pub headers: HeaderMap,
    /// As it was sent.
    pub body: Bytes,
}

/// A request that was read: the rows to keep and the provider's reply.
pub fn accepted(
    arrived: &Arrived,
    subscription: &Subscription,
    facts: &Facts,
    dispatched: Dispatched,
) -> (Append, Option<Reply>) {
    let silent = match (subscription.is_deleting, subscription.state) {
        (true, _) => Some("the subscription is being deleted"),
        (false, SubscriptionState::Paused) => Some("the subscription is paused"),
        (false, _) => None,
    };
    let events: Vec<NewEvent> = match silent.is_some() {
        true => Vec::new(),
        false => dispatched
            .events
            .into_iter()
            .map(|event| NewEvent {
                id: EventId::generate(arrived.at),
                name: event.name,
                payload: event.payload.map(Bytes::from),
                occurred_at: event.occurred_at_ms.map(Millis),
            })
            .collect(),
    };
    let outcome = match events.is_empty() {
        true => RequestOutcome::Answered,
        false => RequestOutcome::Accepted,
    };
    let window = dispatched
        .delivery_window_ms
        .map_or(DELIVERY_WINDOW, Duration::from_millis);
    // What nothing came of may be sent again when the subscription is heard again.
    let delivery_id = dispatched.delivery_id.filter(|_| silent.is_none());
    let delivery = delivery_id.map(|id| Delivery {
        id,
        expires_at: arrived.at.plus(window),
    });
    let status = dispatched.reply.as_ref().map_or(200, |reply| reply.status);
    let mut request = row(arrived, subscription, facts, outcome, status);
    request.body = Some(arrived.body.clone());
    request.reason = silent.map(str::to_owned);
    let append = Append {
        request,
        delivery,
        events,
        queue: Queue::WaitedFor,
        wake: dispatched.wake && silent.is_none(),
    };
    (append, dispatched.reply)
}

/// A request that was not genuine or not readable: one row without its body.
pub fn refused(
    arrived: &Arrived,
    subscription: &Subscription,
    facts: &Facts,
    status: u16,
    reason: String,
) -> Append {
    let mut request = row(
        arrived,
        subscription,
        facts,
        RequestOutcome::Refused,
        status,
    );
    request.reason = Some(reason);
    Append {
        request,
        delivery: None,
        events: Vec::new(),
        queue: Queue::WaitedFor,
        wake: false,
    }
}

fn row(
    arrived: &Arrived,
    subscription: &Subscription,
    facts: &Facts,
    outcome: RequestOutcome,
    status: u16,
) -> NewRequest {
    NewRequest {
        id: arrived.id.clone(),
        workspace_id: subscription.workspace_id.clone(),
        subscription_id: subscription.id.clone(),
        provider: subscription.provider.clone(),
        method: arrived.method.clone(),
        path: arrived.path.clone(),
        query: query_text(&arrived.query, &facts.masked_query),
        headers: headers_text(&arrived.headers, &facts.masked_headers),
        body: None,
        body_size: arrived.body.len() as u64,
        received_at: arrived.at,
        outcome,
        status,
        reason: None,
    }
}

/// `[[name, value], …]` in the order of arrival, secrets masked, other bytes than text replaced.
pub(super) fn headers_text(headers: &HeaderMap, masked: &[String]) -> String {
    let pairs: Vec<(&str, Cow<'_, str>)> = headers
        .iter()
        .map(|(name, value)| {
            let name = name.as_str();
            let secret = MASKED.contains(&name)
                || masked.iter().any(|other| other.eq_ignore_ascii_case(name));
            let value = match secret {
                true => Cow::Borrowed("[masked]"),
                false => String::from_utf8_lossy(&value.as_bytes()[..value.len().min(VALUE_MAX)]),
            };
            (name, value)
        })
        .collect();
    serde_json::to_string(&pairs).unwrap_or_else(|_| "[]".to_owned())
}

/// The query, the values of these arguments masked however their names are written.
fn query_text(query: &str, masked: &[String]) -> String {
    if masked.is_empty() || query.is_empty() {
        return query.to_owned();
    }
    let pairs = query.split('&').map(|pair| {
        let name = url::form_urlencoded::parse(pair.as_bytes()).next();
        match name {
            Some((name, _)) if masked.iter().any(|other| *other == name) => {
                Cow::Owned(format!("{name}=[masked]"))
            }
            _ => Cow::Borrowed(pair),
        }
    });
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn secret_headers_are_masked_and_odd_bytes_survive() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static("Bearer abc"));
        headers.insert("x-acme-token", HeaderValue::from_static("abc"));
        headers.insert(
            "x-odd",
            HeaderValue::from_bytes(b"a\xffb\"").expect("header bytes"),
        );
        expect_test::expect![[
            r#"[["authorization","[masked]"],["x-acme-token","[masked]"],["x-odd","a�b\""]]"#
        ]]
        .assert_eq(&headers_text(&headers, &["X-Acme-Token".to_owned()]));
    }

    #[test]
    fn long_headers_are_cut() {
        let mut headers = HeaderMap::new();
        let long = HeaderValue::from_str(&"a".repeat(VALUE_MAX + 1)).expect("a value");
        headers.insert("x-long", long);
        let cut = format!(r#"[["x-long","{}"]]"#, "a".repeat(VALUE_MAX));
        assert_eq!(headers_text(&headers, &[]), cut);
    }

    #[test]
    fn arguments_that_carry_a_secret_are_masked_however_they_are_written() {
        let masked = ["hub.verify_token".to_owned()];
        for (query, expected) in [
            ("", ""),
            ("a=1&b", "a=1&b"),
            (
                "hub.mode=x&hub.verify_token=s3&hub.challenge=1",
                "hub.mode=x&hub.verify_token=[masked]&hub.challenge=1",
            ),
            ("hub%2Everify_token=s3", "hub.verify_token=[masked]"),
            (
                "hub.verify_token=a&hub.verify_token=s3",
                "hub.verify_token=[masked]&hub.verify_token=[masked]",
            ),
        ] {
            assert_eq!(query_text(query, &masked), expected, "{query}");
        }
    }
}
