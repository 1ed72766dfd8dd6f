//! Whether a channel is still good, as far as anybody can know: Google cannot be asked for one.

use serde_json::Value;
use trigger_plugin_api::prelude::*;

use super::place;
use super::watched::Watched;
use crate::api::{Api, Failure, encoded};

/// A channel that has not ended is held to be open. One cheap request finds out whether the account
/// still has access: Google goes on pushing for a while to channels of those whose access was revoked.
pub async fn look(api: &Api<'_>, held: &ExistingSubscription) -> Result<CheckReport> {
    let watched = Watched::of_parameters(&held.parameters)?;
    if let Some(ended) = held
        .expires_at_ms
        .filter(|expires| *expires <= api.host().now_ms())
    {
        let ended = jiff::Timestamp::from_millisecond(ended).map_or_else(
            |_| "before now".to_owned(),
            |ended| format!("at {ended:.0}"),
        );
        return Ok(CheckReport::missing(format!("the channel ended {ended}")));
    }
    touch(api, &watched)
        .await
        .map_err(|failure| failure.during(format_args!("read {watched}")))?;
    Ok(CheckReport::ok())
}

async fn touch(api: &Api<'_>, watched: &Watched) -> Result<(), Failure> {
    let id_only = [("fields", "id"), ("supportsAllDrives", "true")];
    match watched {
        Watched::File { id } | Watched::Folder { id, .. } => {
            let path = format!("/drive/v3/files/{}", encoded(id));
            api.get::<Value>(&path, &id_only).await.map(drop)
        }
        Watched::Everything => place::start_page_token(api, None).await.map(drop),
        Watched::SharedDrive { id } => place::start_page_token(api, Some(id)).await.map(drop),
        Watched::Calendar { id } => {
            let path = format!("/calendar/v3/calendars/{}", encoded(id));
            api.get::<Value>(&path, &[("fields", "id")]).await.map(drop)
        }
    }
}
