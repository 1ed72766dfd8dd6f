//! A subscription is a channel over which Google says that something changed.
//!
//! ```text
//!   create ──► open ──► check: ok | ended ──► create, with another id
//!               │
//!               └─────► delete = stop (stopped or ended already: fine)
//! ```
//! A channel cannot be renewed, changed or asked after; it ends by itself. So it is replaced
//! before it ends by a new one with an id and a token of its own.
//! <https://developers.google.com/workspace/drive/api/guides/push>,
//! <https://developers.google.com/workspace/calendar/api/guides/push>

pub mod account;
mod channel;
pub mod check;
pub mod options;
pub mod place;
pub mod watched;

use serde_json::json;
use trigger_plugin_api::prelude::*;

use self::channel::Channel;
use self::watched::Watched;
use crate::api::{Api, Failure};

/// The name of the token in `subscription_schema`.
const TOKEN: &str = "channel_token";

/// Opens a channel named by the subscription's key.
pub async fn create(api: &Api<'_>, new: &NewSubscription) -> Result<CreatedSubscription> {
    let watched = Watched::of_parameters(&new.parameters)?;
    let token = new.secrets.get(TOKEN).filter(|token| !token.is_empty());
    let token = token
        .ok_or_else(|| Error::internal("the host gave no channel_token to open a channel with"))?;
    let during = |failure: Failure| failure.during(format_args!("open the channel of {watched}"));
    let start = channel::start(api, &watched).await.map_err(during)?;
    let wanted = json!({
        "id": new.key,
        "type": "web_hook",
        "address": new.endpoint_url,
        "token": token,
        "expiration": (api.host().now_ms() + watched.lifetime_ms()).to_string(),
    });
    let response = api
        .send("POST", &start.path, &start.query(), Some(&wanted))
        .await
        .map_err(during)?;
    let channel: Channel = response.json()?;
    let mut properties = start.properties;
    properties.insert("resource_id".to_owned(), json!(channel.resource_id));
    properties
        .entry("watched_from_ms")
        .or_insert_with(|| json!(api.google_now_ms(&response)));
    Ok(CreatedSubscription {
        external_id: new.key.clone(),
        properties,
        expires_at_ms: Some(channel.expires_at_ms(api.host().now_ms())),
        ..CreatedSubscription::default()
    })
}

/// Nothing of a channel can be changed. What changes nothing for Google is fine.
pub fn update(change: &SubscriptionChange) -> Result<CreatedSubscription> {
    let held = &change.subscription;
    let same = Watched::of_parameters(&held.parameters)?
        == Watched::of_parameters(&change.parameters)?
        && held.endpoint_url == change.endpoint_url;
    if !same {
        return Err(Error::unsupported(
            "a channel at Google cannot be changed, only replaced by a new one",
        ));
    }
    Ok(CreatedSubscription {
        external_id: held.external_id.clone(),
        properties: held.properties.clone(),
        expires_at_ms: held.expires_at_ms,
        ..CreatedSubscription::default()
    })
}

/// Stops the channel. One whose resource nobody ever told us cannot be stopped, and ends by itself.
pub async fn delete(api: &Api<'_>, held: &ExistingSubscription) -> Result<()> {
    let watched = Watched::of_parameters(&held.parameters)?;
    let id = match held.external_id.as_str() {
        "" => held.key.as_str(),
        id => id,
    };
    let resource = held
        .properties
        .get("resource_id")
        .and_then(|id| id.as_str());
    let Some(resource) = resource.filter(|resource| !resource.is_empty() && !id.is_empty()) else {
        return Ok(());
    };
    let path = format!("{}/channels/stop", watched.service());
    let body = json!({"id": id, "resourceId": resource});
    match api.send("POST", &path, &[], Some(&body)).await {
        Ok(_) | Err(Failure::NotFound) => Ok(()),
        Err(failure) => Err(failure.during(format_args!("stop the channel of {watched}"))),
    }
}
