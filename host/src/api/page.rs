//! Lists, page by page: newest first, `next` is the `cursor` of the page after this one.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;
use crate::id::is_id;
use crate::model::{Page, PageQuery};

/// Which page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// The `next` of the page before.
    pub cursor: Option<String>,
    /// How many items at most: 1 to 1000, 50 if absent.
    pub limit: Option<u32>,
}

impl PageParams {
    /// As the store takes it.
    pub fn query(self) -> Result<PageQuery, Problem> {
        let limit = self.limit.unwrap_or(50);
        if !(1..=PageQuery::LIMIT_MAX).contains(&limit) {
            let most = PageQuery::LIMIT_MAX;
            return Err(Problem::bad_request(format!(
                "`limit`: expected 1 to {most}"
            )));
        }
        // Any other text would be before or after all ids, and silently give the wrong page.
        if self.cursor.as_deref().is_some_and(|cursor| !is_id(cursor)) {
            return Err(Problem::bad_request(
                "`cursor`: expected the `next` of another page",
            ));
        }
        Ok(PageQuery {
            cursor: self.cursor,
            limit,
        })
    }
}

/// One page.
#[derive(Debug, Serialize, ToSchema)]
pub struct Listed<T> {
    pub items: Vec<T>,
    /// The cursor of the next page; null on the last.
    pub next: Option<String>,
}

impl<T> Listed<T> {
    /// A list that is one page.
    pub fn whole(items: Vec<T>) -> Listed<T> {
        Listed { items, next: None }
    }

    /// A page of the store, each item as it is shown.
    pub fn of<R>(page: Page<R>, show: impl FnMut(R) -> T) -> Listed<T> {
        Listed {
            items: page.items.into_iter().map(show).collect(),
            next: page.next,
        }
    }
}

/// Reads a word of a closed set out of a query.
pub fn word<T: std::str::FromStr>(name: &str, text: Option<&str>) -> Result<Option<T>, Problem>
where
    T::Err: std::fmt::Display,
{
    let parsed = text.map(str::parse).transpose();
    parsed.map_err(|error| Problem::bad_request(format!("`{name}`: {error}")))
}
