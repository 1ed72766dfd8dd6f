//! Where in Drive reading happens: the folder's real id, its drive, and where changes begin.

use serde::Deserialize;
use trigger_plugin_api::prelude::*;

use crate::api::{Api, Failure, encoded};

/// The MIME type of folders.
pub const FOLDER: &str = "application/vnd.google-apps.folder";

/// A folder as Drive knows it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Folder {
    /// Never `root`.
    pub id: String,
    #[serde(default)]
    mime_type: String,
    /// The shared drive that it is in.
    #[serde(default)]
    pub drive_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StartPageToken {
    start_page_token: String,
}

/// Finds a folder, `root` too.
///
/// # Errors
/// `INVALID_INPUT` for a file that is no folder.
pub async fn folder(api: &Api<'_>, id: &str) -> Result<Folder, Failure> {
    let path = format!("/drive/v3/files/{}", encoded(id));
    let query = [
        ("fields", "id,mimeType,driveId"),
        ("supportsAllDrives", "true"),
    ];
    let folder: Folder = api.get(&path, &query).await?;
    if folder.mime_type != FOLDER {
        return Err(Failure::from(Error::invalid_input(format!(
            "parameters.folder is `{id}`, which is a file of the kind {} and no folder",
            folder.mime_type
        ))));
    }
    Ok(folder)
}

/// Where changes from now on begin, and when by Google's clock that is.
pub async fn start_page_token(
    api: &Api<'_>,
    drive: Option<&str>,
) -> Result<(String, i64), Failure> {
    let mut query = vec![("supportsAllDrives", "true")];
    if let Some(drive) = drive {
        query.push(("driveId", drive));
    }
    let response = api
        .send("GET", "/drive/v3/changes/startPageToken", &query, None)
        .await?;
    let token: StartPageToken = response.json()?;
    Ok((token.start_page_token, api.google_now_ms(&response)))
}
