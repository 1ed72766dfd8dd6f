//! How a channel is asked for, and what Google says of one.

use serde::Deserialize;
use serde_json::{Value, json};
use trigger_plugin_api::prelude::*;

use super::place;
use super::watched::Watched;
use crate::api::{Api, Failure, encoded};

/// What Google gives a channel that names no end.
const LIFETIME_UNNAMED_MS: i64 = 3_600_000;

/// Google's answer to a watch call.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Channel {
    pub resource_id: String,
    /// Milliseconds since 1970, as text by the description and now and then as a number.
    #[serde(default)]
    expiration: Value,
}

/// A watch call, but for the channel itself.
pub struct Start {
    pub path: String,
    /// What `create` notes of where reading begins.
    pub properties: Map,
    page_token: Option<String>,
    drive: Option<String>,
    all_drives: bool,
}

/// Finds out what a watch call needs, before the channel is open: what happens from here on is
/// read later.
pub async fn start(api: &Api<'_>, watched: &Watched) -> Result<Start, Failure> {
    let drive = match watched {
        Watched::File { id } => {
            return Ok(Start {
                path: format!("/drive/v3/files/{}/watch", encoded(id)),
                properties: Map::new(),
                page_token: None,
                drive: None,
                all_drives: true,
            });
        }
        Watched::Calendar { id } => {
            return Ok(Start {
                path: format!("/calendar/v3/calendars/{}/events/watch", encoded(id)),
                properties: Map::new(),
                page_token: None,
                drive: None,
                all_drives: false,
            });
        }
        Watched::Folder { id, .. } => place::folder(api, id).await?.drive_id,
        Watched::SharedDrive { id } => Some(id.clone()),
        Watched::Everything => None,
    };
    let (page_token, at_ms) = place::start_page_token(api, drive.as_deref()).await?;
    let mut properties = Map::new();
    properties.insert("start_page_token".to_owned(), json!(page_token));
    properties.insert("watched_from_ms".to_owned(), json!(at_ms));
    Ok(Start {
        path: "/drive/v3/changes/watch".to_owned(),
        properties,
        page_token: Some(page_token),
        drive,
        all_drives: true,
    })
}

impl Start {
    /// The query of the call.
    pub fn query(&self) -> Vec<(&str, &str)> {
        let mut query = Vec::new();
        if let Some(token) = &self.page_token {
            query.extend([
                ("pageToken", token.as_str()),
                ("includeItemsFromAllDrives", "true"),
                ("includeRemoved", "true"),
            ]);
        }
        if let Some(drive) = &self.drive {
            query.push(("driveId", drive));
        }
        if self.all_drives {
            query.push(("supportsAllDrives", "true"));
        }
        query
    }
}

impl Channel {
    /// When the channel ends.
    pub fn expires_at_ms(&self, now_ms: i64) -> i64 {
        let told = match &self.expiration {
            Value::String(text) => text.trim().parse().ok(),
            Value::Number(number) => number.as_i64(),
            _ => None,
        };
        told.unwrap_or(now_ms + LIFETIME_UNNAMED_MS)
    }
}
