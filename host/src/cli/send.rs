//! `triggerd send`: genuine samples to a subscription's endpoint, signed as the service would sign
//! them, from outside like any other sender.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::arguments;
use super::client::{Client, encode};
use super::run::Failure;
use crate::outbound::{PlainClient, PlainRequest};

/// So many samples are asked for at a time.
const CHUNK: u32 = 100;

/// What became of the samples: how many got which answer.
type Tally = BTreeMap<String, u32>;

/// Asks for samples, sends them, prints how they were answered.
pub async fn run(arguments: arguments::Send) -> Result<(), Failure> {
    let client = Client::find(&arguments.connection)?;
    let subscription = client.in_workspace(&format!("subscriptions/{}", encode(&arguments.to)));
    let found = client.get(&subscription).await?;
    if found["provider"] != arguments.provider {
        return Err(Failure::new(format!(
            "the subscription `{}` is one of `{}`, not of `{}`",
            arguments.to,
            found["provider"].as_str().unwrap_or_default(),
            arguments.provider
        )));
    }
    let path = format!("{subscription}/sample");
    let left = Arc::new(AtomicU32::new(arguments.count));
    let mut senders = JoinSet::new();
    for _ in 0..arguments.concurrency.clamp(1, arguments.count.max(1)) {
        let (client, path, left) = (client.clone(), path.clone(), Arc::clone(&left));
        let event = arguments.event.clone();
        senders.spawn(async move { send_share(&client, &path, &event, &left).await });
    }
    let mut tally = Tally::new();
    let mut failure = None;
    while let Some(ended) = senders.join_next().await {
        match ended {
            Ok((counted, failed)) => {
                for (answer, count) in counted {
                    *tally.entry(answer).or_default() += count;
                }
                failure = failure.or(failed);
            }
            Err(error) => failure = failure.or(Some(Failure::of(&error))),
        }
    }
    let accepted: u32 = tally.iter().filter(|(answer, _)| answer.starts_with('2')).map(|(_, count)| count).sum();
    if arguments.connection.json {
        println!("{:#}", json!({"sent": tally.values().sum::<u32>(), "accepted": accepted, "answers": tally}));
    } else {
        for (answer, count) in &tally {
            println!("{count} × {answer}");
        }
    }
    match failure {
        Some(failure) => Err(failure),
        None if accepted == arguments.count => Ok(()),
        None => Err(Failure::new(format!("{accepted} of {} were accepted", arguments.count))),
    }
}

/// Takes samples until none is left to send.
async fn send_share(client: &Client, path: &str, event: &str, left: &AtomicU32) -> (Tally, Option<Failure>) {
    let mut tally = Tally::new();
    loop {
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(CHUNK)));
        let count = taken.unwrap_or_default().min(CHUNK);
        if count == 0 {
            return (tally, None);
        }
        let wanted = json!({"event": event, "count": count});
        let answer = match client.post(path, &wanted).await {
            Ok(answer) => answer,
            Err(failure) => return (tally, Some(failure)),
        };
        let address = answer["endpoint_url"].as_str().unwrap_or_default();
        for sample in answer["requests"].as_array().into_iter().flatten() {
            match send_one(client.plain(), address, sample).await {
                Ok(answer) => *tally.entry(answer).or_default() += 1,
                Err(failure) => return (tally, Some(failure)),
            }
        }
    }
}

async fn send_one(plain: &PlainClient, address: &str, sample: &Value) -> Result<String, Failure> {
    let text = |field: &str| sample[field].as_str().unwrap_or_default().to_owned();
    let body = base64::engine::general_purpose::STANDARD
        .decode(text("body"))
        .map_err(|error| Failure::of(&error))?;
    let headers = sample["headers"].as_array().into_iter().flatten();
    let headers = headers.filter_map(|pair| Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned())));
    let request = PlainRequest {
        method: text("method"),
        url: match text("query").as_str() {
            "" => address.to_owned(),
            query => format!("{address}?{query}"),
        },
        token: None,
        headers: headers.collect(),
        body: body.into(),
    };
    let answer = plain.send(request).await.map_err(|error| Failure::of(&error))?;
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    Ok(match (answer.status, problem["title"].as_str()) {
        (status @ 200..=299, _) => format!("{status} accepted"),
        (status, Some(title)) => format!("{status} {title}"),
        (status, None) => format!("{status} refused"),
    })
}
