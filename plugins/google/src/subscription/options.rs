//! The files, folders, shared drives and calendars that an operator can choose from.

use serde::Deserialize;
use trigger_plugin_api::prelude::*;

use super::place::FOLDER;
use crate::api::{Api, Failure};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Files {
    #[serde(default)]
    files: Vec<Named>,
    #[serde(default)]
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Drives {
    #[serde(default)]
    drives: Vec<Named>,
    #[serde(default)]
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Calendars {
    #[serde(default)]
    items: Vec<Calendar>,
    #[serde(default)]
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Calendar {
    id: String,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    summary_override: Option<String>,
    #[serde(default)]
    primary: bool,
}

/// One page of choices. The cursor is Google's page token.
pub async fn page(api: &Api<'_>, query: &OptionsQuery) -> Result<OptionsPage> {
    let search = query.search.trim();
    let cursor = query.cursor.as_deref().filter(|cursor| !cursor.is_empty());
    let drive = query
        .parameters
        .get("drive")
        .and_then(|drive| drive.as_str());
    let page = match query.parameter.as_str() {
        "file" => {
            files(
                api,
                &format!("mimeType != '{FOLDER}'"),
                search,
                cursor,
                drive,
            )
            .await
        }
        "folder" | "folders" => folders(api, search, cursor, drive).await,
        "drive" => drives(api, search, cursor).await,
        "calendar" => calendars(api, search, cursor).await,
        other => {
            return Err(Error::invalid_input(format!(
                "there are no choices for the parameter `{other}`, only for `file`, `folder`, `drive` and `calendar`"
            )));
        }
    };
    page.map_err(|failure| failure.during(format_args!("list what `{}` can be", query.parameter)))
}

/// My Drive is a folder that no search finds, so it comes first.
async fn folders(
    api: &Api<'_>,
    search: &str,
    cursor: Option<&str>,
    drive: Option<&str>,
) -> Result<OptionsPage, Failure> {
    let kind = format!("mimeType = '{FOLDER}'");
    let mut page = files(api, &kind, search, cursor, drive).await?;
    if search.is_empty() && cursor.is_none() && drive.is_none() {
        page.options.insert(0, option("root", "My Drive"));
    }
    Ok(page)
}

async fn files(
    api: &Api<'_>,
    kind: &str,
    search: &str,
    cursor: Option<&str>,
    drive: Option<&str>,
) -> Result<OptionsPage, Failure> {
    let mut q = format!("{kind} and trashed = false");
    if !search.is_empty() {
        q.push_str(&format!(" and name contains {}", quoted(search)));
    }
    let mut query = vec![
        ("q", q.as_str()),
        ("fields", "nextPageToken,files(id,name)"),
        ("orderBy", "modifiedTime desc"),
        ("pageSize", "50"),
        ("includeItemsFromAllDrives", "true"),
        ("supportsAllDrives", "true"),
    ];
    query.extend(cursor.map(|cursor| ("pageToken", cursor)));
    if let Some(drive) = drive {
        query.extend([("corpora", "drive"), ("driveId", drive)]);
    }
    let page: Files = api.get("/drive/v3/files", &query).await?;
    Ok(named(page.files, page.next_page_token))
}

async fn drives(api: &Api<'_>, search: &str, cursor: Option<&str>) -> Result<OptionsPage, Failure> {
    let q = format!("name contains {}", quoted(search));
    let mut query = vec![
        ("pageSize", "100"),
        ("fields", "nextPageToken,drives(id,name)"),
    ];
    if !search.is_empty() {
        query.push(("q", q.as_str()));
    }
    query.extend(cursor.map(|cursor| ("pageToken", cursor)));
    let page: Drives = api.get("/drive/v3/drives", &query).await?;
    Ok(named(page.drives, page.next_page_token))
}

/// Calendar cannot search its list, so it is done here, page by page.
async fn calendars(
    api: &Api<'_>,
    search: &str,
    cursor: Option<&str>,
) -> Result<OptionsPage, Failure> {
    let mut query = vec![
        ("minAccessRole", "reader"),
        ("maxResults", "250"),
        (
            "fields",
            "nextPageToken,items(id,summary,summaryOverride,primary)",
        ),
    ];
    query.extend(cursor.map(|cursor| ("pageToken", cursor)));
    let page: Calendars = api
        .get("/calendar/v3/users/me/calendarList", &query)
        .await?;
    let searched = search.to_lowercase();
    let options = page.items.into_iter().map(|calendar| {
        let name = calendar.summary_override.unwrap_or(calendar.summary);
        match calendar.primary {
            true => option(&calendar.id, &format!("{name} (primary)")),
            false => option(&calendar.id, &name),
        }
    });
    Ok(OptionsPage {
        options: options
            .filter(|option| {
                option.label.to_lowercase().contains(&searched) || option.value.contains(search)
            })
            .collect(),
        next_cursor: page.next_page_token,
    })
}

fn named(items: Vec<Named>, next_cursor: Option<String>) -> OptionsPage {
    OptionsPage {
        options: items
            .into_iter()
            .map(|item| option(&item.id, &item.name))
            .collect(),
        next_cursor,
    }
}

fn option(value: &str, label: &str) -> ParameterOption {
    ParameterOption {
        value: value.to_owned(),
        label: match label {
            "" => value.to_owned(),
            label => label.to_owned(),
        },
    }
}

/// Text in a search of Drive's.
/// <https://developers.google.com/workspace/drive/api/guides/search-files>
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
