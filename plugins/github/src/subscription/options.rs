//! The repositories, organisations and events that an operator can choose from.

use serde::Deserialize;
use trigger_plugin_api::prelude::*;

use crate::api::{Api, Failure, Page};

/// A search reads at most this many pages of GitHub's before it answers what it has.
const PAGES_A_CALL: usize = 5;
/// Stands before the page number when the list is that of an app's installation.
const INSTALLATION: &str = "installation:";

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

/// How an installation's repositories are listed.
#[derive(Deserialize)]
struct Installed {
    repositories: Vec<Repository>,
}

#[derive(Deserialize)]
struct Organization {
    login: String,
}

/// A list of GitHub's.
#[derive(Clone, Copy)]
enum List {
    Repositories,
    InstalledRepositories,
    Organizations,
}

/// One page of choices. The cursor is GitHub's page number.
pub async fn page(api: &Api<'_>, declared: &Declared, query: &OptionsQuery) -> Result<OptionsPage> {
    let cursor = query.cursor.as_deref().unwrap_or_default();
    let (list, operation, number) = match query.parameter.as_str() {
        "events" => return Ok(events(declared, query)),
        "repository" => (
            List::Repositories,
            "list the repositories of this account",
            cursor,
        ),
        "organization" => (
            List::Organizations,
            "list the organisations of this account",
            cursor,
        ),
        other => {
            return Err(Error::invalid_input(format!(
                "there are no choices for the parameter `{other}`, only for `repository`, `organization` and `events`"
            )));
        }
    };
    let (list, number) = match number.strip_prefix(INSTALLATION) {
        Some(number) => (List::InstalledRepositories, page_number(number)?),
        None => (list, page_number(number)?),
    };
    let found = match search(api, query, list, number).await {
        // The token of an app's installation is no user's: it has a list of its own.
        Err(Failure::Forbidden { message, .. })
            if matches!(list, List::Repositories) && message.contains("by integration") =>
        {
            search(api, query, List::InstalledRepositories, 1).await
        }
        found => found,
    };
    found.map_err(|failure| failure.during(operation))
}

/// GitHub cannot search these lists, so we read on until a page has something that fits.
async fn search(
    api: &Api<'_>,
    query: &OptionsQuery,
    list: List,
    first: u32,
) -> Result<OptionsPage, Failure> {
    let searched = query.search.trim().to_lowercase();
    let mut number = first;
    for _ in 0..PAGES_A_CALL {
        let page = list.page(api, number).await?;
        let mut options = page.body;
        options.retain(|option| option.value.to_lowercase().contains(&searched));
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
                next_cursor: Some(list.cursor(number)),
            });
        }
    }
    Ok(OptionsPage {
        options: Vec::new(),
        next_cursor: Some(list.cursor(number)),
    })
}

impl List {
    async fn page(self, api: &Api<'_>, number: u32) -> Result<Page<Vec<ParameterOption>>, Failure> {
        let path = match self {
            Self::Repositories => "/user/repos?sort=full_name&per_page=100",
            Self::InstalledRepositories => "/installation/repositories?per_page=100",
            Self::Organizations => "/user/orgs?per_page=100",
        };
        let path = format!("{path}&page={number}");
        Ok(match self {
            Self::Repositories => api
                .page::<Vec<Repository>>(&path)
                .await?
                .map(|all| all.into_iter().filter_map(repository).collect()),
            Self::InstalledRepositories => api.page::<Installed>(&path).await?.map(|all| {
                all.repositories
                    .into_iter()
                    .filter_map(repository)
                    .collect()
            }),
            Self::Organizations => api
                .page::<Vec<Organization>>(&path)
                .await?
                .map(|all| all.into_iter().map(organization).collect()),
        })
    }

    fn cursor(self, number: u32) -> String {
        match self {
            Self::InstalledRepositories => format!("{INSTALLATION}{number}"),
            _ => number.to_string(),
        }
    }
}

/// The events that the declaration lists, all at once.
fn events(declared: &Declared, query: &OptionsQuery) -> OptionsPage {
    let searched = query.search.trim().to_lowercase();
    let constructor = declared.declaration().subscription_constructor.as_ref();
    let choices = constructor
        .into_iter()
        .flat_map(|constructor| &constructor.parameters)
        .filter(|parameter| parameter.name == "events")
        .flat_map(|parameter| &parameter.options);
    let options = choices
        .map(|choice| ParameterOption {
            value: choice.value.clone(),
            label: choice.label.english().to_owned(),
        })
        .filter(|option| {
            option.value.contains(&searched) || option.label.to_lowercase().contains(&searched)
        });
    OptionsPage {
        options: options.collect(),
        next_cursor: None,
    }
}

fn page_number(cursor: &str) -> Result<u32> {
    if cursor.is_empty() {
        return Ok(1);
    }
    cursor.parse().map_err(|_| {
        Error::invalid_input(format!(
            "the cursor is `{cursor}`, but must be one that the page before gave"
        ))
    })
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

fn organization(organization: Organization) -> ParameterOption {
    ParameterOption {
        label: organization.login.clone(),
        value: organization.login,
    }
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
