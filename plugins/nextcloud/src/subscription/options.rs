//! The events, folders, calendars, tags and users that an operator can choose from.

use serde::Deserialize;
use trigger_plugin_api::prelude::*;

use super::account::whoami;
use crate::api::dav::{CALDAV, DAV, OWNCLOUD, Resource};
use crate::api::{Api, encode};

/// How many choices a page has.
const PAGE: usize = 100;

#[derive(Deserialize)]
struct Users {
    users: Vec<String>,
}

/// One page of choices. The cursor is the number of choices before it.
pub async fn page(api: &Api<'_>, query: &OptionsQuery) -> Result<OptionsPage> {
    let offset = offset(query)?;
    let options = match query.parameter.as_str() {
        "folders" => folders(api, &query.search).await?,
        "calendars" => matching(calendars(api).await?, query),
        "tags" => matching(tags(api).await?, query),
        "users" => return users(api, query, offset).await,
        other => {
            return Err(Error::invalid_input(format!(
                "there are no choices for the parameter `{other}`, only for `events`, `folders`, `calendars`, `tags` and `users`"
            )));
        }
    };
    Ok(slice(options, offset))
}

/// The events, which need no server: our own declaration has them.
pub fn events(declared: &Declared, query: &OptionsQuery) -> Result<OptionsPage> {
    let events = declared.declaration().events.iter();
    let options = events.map(|event| ParameterOption {
        value: event.identity.name.clone(),
        label: event.identity.label.english().to_owned(),
    });
    Ok(slice(matching(options.collect(), query), offset(query)?))
}

/// Folders are walked as in a shell: what stands before the last slash is listed, what follows narrows.
async fn folders(api: &Api<'_>, search: &str) -> Result<Vec<ParameterOption>> {
    let search = search.trim().trim_start_matches('/');
    let (parent, start) = search.rsplit_once('/').unwrap_or(("", search));
    let user = whoami(api).await?;
    let mut path = format!("/files/{}/", encode(&user.id));
    for segment in parent.split('/').filter(|segment| !segment.is_empty()) {
        path.push_str(&encode(segment));
        path.push('/');
    }
    let found = api
        .propfind(&path, "<d:resourcetype/>")
        .await
        .map_err(|failure| failure.during(format_args!("list the folder /{parent}")))?;
    let home = format!("files/{}/", user.id);
    let start = start.to_lowercase();
    let folder = |resource: &Resource| {
        let shown = resource.path.strip_prefix(&home)?;
        let name = shown.rsplit('/').next()?.to_lowercase();
        let is_within = resource.is_a(DAV, "collection") && shown != parent.trim_matches('/');
        (is_within && name.contains(&start)).then(|| ParameterOption {
            value: format!("/{shown}"),
            label: format!("/{shown}"),
        })
    };
    Ok(found.iter().filter_map(folder).collect())
}

/// An event names a calendar by its owner and the address that it has for the owner.
async fn calendars(api: &Api<'_>) -> Result<Vec<ParameterOption>> {
    let user = whoami(api).await?;
    let path = format!("/calendars/{}/", encode(&user.id));
    let found = api
        .propfind(
            &path,
            "<d:resourcetype/><d:displayname/><oc:owner-principal/>",
        )
        .await
        .map_err(|failure| failure.during("list the calendars of this account"))?;
    let calendar = |resource: &Resource| {
        let address = resource.path.rsplit('/').next()?;
        let owner = resource
            .text(OWNCLOUD, "owner-principal")
            .and_then(|principal| principal.rsplit("principals/users/").next())
            .map_or(user.id.as_str(), |owner| owner.trim_matches('/'));
        let own = address.strip_suffix(&format!("_shared_by_{owner}"));
        let value = format!("{owner}/{}", own.unwrap_or(address));
        resource.is_a(CALDAV, "calendar").then(|| ParameterOption {
            label: match resource.text(DAV, "displayname") {
                Some(name) => format!("{name} ({value})"),
                None => value.clone(),
            },
            value,
        })
    };
    Ok(found.iter().filter_map(calendar).collect())
}

async fn tags(api: &Api<'_>) -> Result<Vec<ParameterOption>> {
    let found = api
        .propfind("/systemtags/", "<oc:id/><oc:display-name/>")
        .await
        .map_err(|failure| failure.during("list the tags of this server"))?;
    let tag = |resource: &Resource| {
        let id = resource.text(OWNCLOUD, "id")?;
        Some(ParameterOption {
            value: id.to_owned(),
            label: resource
                .text(OWNCLOUD, "display-name")
                .unwrap_or(id)
                .to_owned(),
        })
    };
    Ok(found.iter().filter_map(tag).collect())
}

/// Nextcloud searches these itself; only administrators are answered.
async fn users(api: &Api<'_>, query: &OptionsQuery, offset: usize) -> Result<OptionsPage> {
    let path = format!(
        "/cloud/users?search={}&limit={PAGE}&offset={offset}",
        encode(query.search.trim())
    );
    let found: Users = api
        .ocs("GET", &path, None)
        .await
        .map_err(|failure| failure.during("list the users of this server"))?;
    let is_full = found.users.len() == PAGE;
    let options = found.users.into_iter().map(|user| ParameterOption {
        label: user.clone(),
        value: user,
    });
    Ok(OptionsPage {
        options: options.collect(),
        next_cursor: is_full.then(|| (offset + PAGE).to_string()),
    })
}

fn matching(options: Vec<ParameterOption>, query: &OptionsQuery) -> Vec<ParameterOption> {
    let searched = query.search.trim().to_lowercase();
    let matches = |option: &ParameterOption| {
        option.value.to_lowercase().contains(&searched)
            || option.label.to_lowercase().contains(&searched)
    };
    options.into_iter().filter(matches).collect()
}

fn slice(options: Vec<ParameterOption>, offset: usize) -> OptionsPage {
    let total = options.len();
    let end = offset.saturating_add(PAGE);
    OptionsPage {
        options: options.into_iter().skip(offset).take(PAGE).collect(),
        next_cursor: (end < total).then(|| end.to_string()),
    }
}

fn offset(query: &OptionsQuery) -> Result<usize> {
    match query.cursor.as_deref() {
        None | Some("") => Ok(0),
        Some(cursor) => cursor.parse().map_err(|_| {
            Error::invalid_input(format!(
                "the cursor is `{cursor}`, but must be one that the page before gave"
            ))
        }),
    }
}
