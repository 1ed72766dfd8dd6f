//! `triggerd send`: genuine sample requests, posted to the endpoint as the service would.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use url::Url;

use super::arguments::SendArgs;
use super::connection::Connection;
use super::failure::CliError;
use super::output::{faint, print_json, print_line, text};
use super::table::one_line;
use crate::outbound::api_client::{ApiClient, ApiError, Posted};

/// Endpoints lie under it.
const WEBHOOKS: &str = "/webhooks/";

/// As many samples as the server signs for one call.
const CHUNK: u32 = 100;

#[derive(Debug, Default)]
struct Tally {
    accepted: usize,
    /// What the accepted ones are called in the log, where the answer says so.
    request_ids: Vec<String>,
    /// By status, or 0 for no answer.
    refused: BTreeMap<u16, usize>,
    /// What the first refusal said.
    first_refusal: Option<String>,
}

/// Asks for samples, sends them, counts the answers. Fails unless all were accepted.
pub async fn run(args: SendArgs) -> Result<(), CliError> {
    let connection = Connection::open(&args.client)?;
    let path = connection.path(&["subscriptions", &args.to]);
    let subscription = connection.client.get(&path, &[]).await?;
    let provider = text(&subscription, "provider");
    if provider != args.provider {
        let message = format!(
            "`{}` is a subscription of `{provider}`, not of `{}`",
            args.to, args.provider
        );
        return Err(CliError::Said(message));
    }
    let mut tally = Tally::default();
    let mut endpoint_url = String::new();
    let mut left = args.count;
    let places = Arc::new(Semaphore::new(args.concurrency as usize));
    let mut sending = JoinSet::new();
    let mut broken_off = None;
    while left > 0 {
        let count = left.min(CHUNK);
        left -= count;
        let path = connection.path(&["subscriptions", &args.to, "sample"]);
        let wish = json!({ "event": args.event, "count": count });
        let samples = match connection.client.post(&path, &[], Some(&wish)).await {
            Ok(samples) => samples,
            // What was sent so far is told all the same.
            Err(error) if tally.is_begun() || !sending.is_empty() => {
                broken_off = Some(error);
                break;
            }
            Err(error) => return Err(error.into()),
        };
        endpoint_url = text(&samples, "endpoint_url").to_owned();
        let url = reachable(&endpoint_url, connection.client.base());
        for sample in samples["requests"].as_array().into_iter().flatten() {
            let posted = posted(sample, &url)?;
            let place = Arc::clone(&places).acquire_owned().await;
            let place = place.map_err(|error| CliError::Said(error.to_string()))?;
            let client = connection.client.clone();
            sending.spawn(async move {
                let _place = place;
                deliver(&client, posted).await
            });
            while let Some(Ok(answer)) = sending.try_join_next() {
                tally.count(answer);
            }
        }
    }
    while let Some(joined) = sending.join_next().await {
        tally.count(joined.map_err(|error| CliError::Said(error.to_string()))?);
    }
    report(&args, &endpoint_url, &tally)?;
    broken_off.map_or(Ok(()), |error| Err(error.into()))
}

async fn deliver(client: &ApiClient, posted: Posted) -> Result<(u16, String), ApiError> {
    client.send(posted).await
}

/// The endpoint as this client reaches the server: the public address may not lead here, nor does its
/// path, behind which a proxy puts the server's own.
fn reachable(endpoint_url: &str, base: &Url) -> String {
    let own = endpoint_url.rfind(WEBHOOKS).map(|at| &endpoint_url[at..]);
    let here = own.and_then(|path| base.join(path).ok());
    here.map_or_else(|| endpoint_url.to_owned(), |url| url.to_string())
}

fn posted(sample: &Value, url: &str) -> Result<Posted, CliError> {
    let body = STANDARD.decode(text(sample, "body"));
    let body =
        body.map_err(|error| CliError::Said(format!("the sample does not read: {error}")))?;
    let headers = sample["headers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|header| {
            let part = |index: usize| header[index].as_str().unwrap_or_default().to_owned();
            (part(0), part(1))
        });
    let query = text(sample, "query");
    let url = if query.is_empty() {
        url.to_owned()
    } else {
        format!("{url}?{query}")
    };
    Ok(Posted {
        method: text(sample, "method").to_owned(),
        url,
        headers: headers.collect(),
        body,
    })
}

impl Tally {
    fn count(&mut self, answer: Result<(u16, String), ApiError>) {
        let (status, said) = match answer {
            Ok((status, said)) if (200..300).contains(&status) => {
                self.accepted += 1;
                let said: Value = serde_json::from_str(&said).unwrap_or_default();
                let id = said["request"].as_str().map(str::to_owned);
                self.request_ids.extend(id);
                return;
            }
            Ok((status, said)) => (status, format!("{status} {said}")),
            Err(error) => (0, error.to_string()),
        };
        *self.refused.entry(status).or_default() += 1;
        self.first_refusal.get_or_insert(said);
    }

    fn is_begun(&self) -> bool {
        self.accepted + self.refused() > 0
    }

    fn refused(&self) -> usize {
        self.refused.values().sum()
    }
}

fn report(args: &SendArgs, endpoint_url: &str, tally: &Tally) -> Result<(), CliError> {
    let refused = tally.refused();
    if args.client.json {
        let by_status: BTreeMap<String, usize> = tally
            .refused
            .iter()
            .map(|(status, count)| (status.to_string(), *count))
            .collect();
        print_json(&json!({
            "endpoint_url": endpoint_url,
            "event": args.event,
            "accepted": tally.accepted,
            "request_ids": tally.request_ids,
            "refused": refused,
            "refused_by_status": by_status,
        }));
    } else {
        let accepted = tally.accepted;
        print_line(format_args!(
            "{} × {} to {endpoint_url}",
            args.count, args.event
        ));
        print_line(format_args!("{accepted} accepted, {refused} refused"));
        if refused == 0 {
            print_line(faint("`triggerd jobs` shows what became of it"));
        }
    }
    match &tally.first_refusal {
        None => Ok(()),
        Some(said) => Err(CliError::Said(format!(
            "the first refusal: {}",
            one_line(said)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_goes_to_the_server_that_was_asked_for_it() {
        let base = Url::parse("http://127.0.0.1:8080").expect("a URL");
        let here = "http://127.0.0.1:8080/webhooks/acme/ep_1";
        for public in [
            "http://127.0.0.1:8080",
            "https://x.example",
            "https://x.example/base",
        ] {
            assert_eq!(
                reachable(&format!("{public}/webhooks/acme/ep_1"), &base),
                here
            );
        }
    }
}
