//! The repositories and organisations that an operator can choose from.

use serde::Deserialize;
use trigger_plugin_api::prelude::*;

use crate::api::{Api, Failure, Page};

/// A search reads at most this many pages of GitHub's before it answers what it has.
const PAGES_A_CALL: usize = 5;

#[derive(Deserialize)]
struct Repository {
    full_name: String,
    #[serde(default)]
    private: bool,
    #[serde(default)]
    archived: bool,
    #[serde(default)]
    permissions: Permissions,
}

#[derive(Deserialize)]
struct Permissions {
    #[serde(default = "unsaid")]
    admin: bool,
}

#[derive(Deserialize)]
struct Organization {
    login: String,
}

/// One page of choices for `repository` or `organization`. The cursor is GitHub's page number.
pub async fn page(api: &Api<'_>, query: &OptionsQuery) -> Result<OptionsPage> {
    match query.parameter.as_str() {
        "repository" => search(
            api,
            query,
            "/user/repos?sort=full_name&per_page=100",
            repository,
        )
        .await
        .map_err(|failure| failure.during("list the repositories of this account")),
        "organization" => search(api, query, "/user/orgs?per_page=100", organization)
            .await
            .map_err(|failure| failure.during("list the organisations of this account")),
        other => Err(Error::invalid_input(format!(
            "there are no choices for the parameter `{other}`, only for `repository` and `organization`"
        ))),
    }
}

/// GitHub cannot search these lists, so we read on until a page has something that fits.
async fn search<T: for<'de> Deserialize<'de>>(
    api: &Api<'_>,
    query: &OptionsQuery,
    path: &str,
    option: fn(T) -> Option<ParameterOption>,
) -> Result<OptionsPage, Failure> {
    let mut number = page_number(query)?;
    let searched = query.search.trim().to_lowercase();
    for _ in 0..PAGES_A_CALL {
        let page: Page<T> = api.page(&format!("{path}&page={number}")).await?;
        let options: Vec<ParameterOption> = page
            .items
            .into_iter()
            .filter_map(option)
            .filter(|option| option.value.to_lowercase().contains(&searched))
            .collect();
        number += 1;
        if page.next.is_none() {
            return Ok(OptionsPage {
                options,
                next_cursor: None,
            });
        }
        if !options.is_empty() {
            return Ok(OptionsPage {
                options,
                next_cursor: Some(number.to_string()),
            });
        }
    }
    Ok(OptionsPage {
        options: Vec::new(),
        next_cursor: Some(number.to_string()),
    })
}

fn page_number(query: &OptionsQuery) -> Result<u32> {
    match query.cursor.as_deref() {
        None | Some("") => Ok(1),
        Some(cursor) => cursor.parse().map_err(|_| {
            Error::invalid_input(format!(
                "the cursor is `{cursor}`, but must be one that the page before gave"
            ))
        }),
    }
}

/// Only who administers a repository may give it a webhook, and an archived one takes none.
fn repository(repository: Repository) -> Option<ParameterOption> {
    let label = match repository.private {
        true => format!("{} (private)", repository.full_name),
        false => repository.full_name.clone(),
    };
    (repository.permissions.admin && !repository.archived).then_some(ParameterOption {
        value: repository.full_name,
        label,
    })
}

fn organization(organization: Organization) -> Option<ParameterOption> {
    Some(ParameterOption {
        label: organization.login.clone(),
        value: organization.login,
    })
}

impl Default for Permissions {
    fn default() -> Self {
        Self { admin: unsaid() }
    }
}

/// A repository whose permissions GitHub does not tell is offered.
const fn unsaid() -> bool {
    true
}
