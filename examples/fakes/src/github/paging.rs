//! Pages of lists, and the `Link` header that leads from one to the next (RFC 8288).

use serde_json::{Value, json};

use crate::{Answer, Exchange};

/// GitHub gives no more than this at once, whatever is asked.
const PER_PAGE_MAX: usize = 100;

/// Which page is asked for.
pub struct PageOf {
    pub per_page: usize,
    page: usize,
}

impl PageOf {
    /// Reads `per_page` and `page`.
    pub fn asked(request: &Exchange, per_page: usize) -> Self {
        let number = |name| request.query_value(name)?.parse::<usize>().ok();
        Self {
            per_page: number("per_page")
                .unwrap_or(per_page)
                .clamp(1, PER_PAGE_MAX),
            page: number("page").unwrap_or(1).max(1),
        }
    }
}

/// One page of a list that has numbered pages.
pub fn numbered(request: &Exchange, items: &[Value]) -> Answer {
    let (page, link) = cut(request, items);
    let answer = Answer::json(200, &json!(page));
    match link {
        Some(link) => answer.with("link", link),
        None => answer,
    }
}

/// The items of the page that is asked for, and the header that leads on.
pub fn cut<'a>(request: &Exchange, items: &'a [Value]) -> (&'a [Value], Option<String>) {
    let PageOf { per_page, page } = PageOf::asked(request, 30);
    let from = items.len().min((page - 1) * per_page);
    let to = items.len().min(from + per_page);
    let last = items.len().div_ceil(per_page).max(1).to_string();
    let leads_on = (to < items.len()).then(|| {
        let next = (page + 1).to_string();
        let next = link(request, &[("page", &next)], "next");
        format!("{next}, {}", link(request, &[("page", &last)], "last"))
    });
    (&items[from..to], leads_on)
}

/// The address of the same list with other values in its query.
pub fn link(request: &Exchange, changed: &[(&str, &str)], relation: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in request.query_pairs() {
        if changed.iter().all(|(each, _)| *each != name) {
            query.append_pair(&name, &value);
        }
    }
    query.extend_pairs(changed);
    let query = query.finish();
    format!(
        "<{}{}?{query}>; rel=\"{relation}\"",
        origin(request),
        request.path
    )
}

/// Scheme and host as the client wrote them: a fake on this machine has no certificate.
pub fn origin(request: &Exchange) -> String {
    let is_near = ["127.", "localhost", "[::1]"]
        .iter()
        .any(|near| request.host.starts_with(near));
    let scheme = if is_near { "http" } else { "https" };
    format!("{scheme}://{}", request.host)
}
