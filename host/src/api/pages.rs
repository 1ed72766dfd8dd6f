//! Pages for a person's browser: words in HTML, nothing that runs, nothing that loads, in no frame.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// Narrow or wide, light or dark, as the browser is.
const STYLE: &str = "\
:root{color-scheme:light dark;--ground:#f3f4f6;--card:#fff;--ink:#1b1f24;--faint:#59636e;\
--line:#d9dee3;--deed:#1d5bd0;--on-deed:#fff}\
@media(prefers-color-scheme:dark){:root{--ground:#0f1216;--card:#191e24;--ink:#e6e9ec;\
--faint:#9aa4af;--line:#2d353e;--deed:#78a6ff;--on-deed:#0b1524}}\
*{box-sizing:border-box}\
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;\
background:var(--ground);color:var(--ink);font:1rem/1.5 system-ui,sans-serif;\
overflow-wrap:anywhere}\
main{width:100%;max-width:32rem;padding:clamp(1.25rem,5vw,2.25rem);background:var(--card);\
border:1px solid var(--line);border-radius:.75rem}\
h1{margin:0 0 .75rem;font-size:1.375rem;line-height:1.25}\
p{margin:0 0 1rem}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.375rem 1rem;margin:0 0 1.25rem;\
padding:1rem 0;border:solid var(--line);border-width:1px 0}\
dt{color:var(--faint)}dd{margin:0}\
@media(max-width:26rem){dl{grid-template-columns:1fr;gap:0}dd{margin:0 0 .5rem}}\
button,.deed{display:block;width:100%;padding:.75rem 1rem;border:0;border-radius:.5rem;\
background:var(--deed);color:var(--on-deed);font:inherit;font-weight:600;text-align:center;\
text-decoration:none;cursor:pointer}\
:focus-visible{outline:3px solid var(--deed);outline-offset:2px}\
.faint{margin:1rem 0 0;color:var(--faint);font-size:.875rem}\
footer{margin-top:1.5rem;color:var(--faint);font-size:.8125rem}";

static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    )
});

/// A page in the making: whatever is said in it is escaped.
pub(super) struct Page {
    status: StatusCode,
    title: &'static str,
    body: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Page {
    pub fn new(status: StatusCode, title: &'static str) -> Page {
        Page {
            status,
            title,
            body: String::new(),
            headers: Vec::new(),
        }
    }

    /// A paragraph.
    pub fn says(mut self, text: &str) -> Page {
        self.write(format_args!("<p>{}</p>\n", escaped(text)));
        self
    }

    /// A paragraph of less weight.
    pub fn adds(mut self, text: &str) -> Page {
        self.write(format_args!("<p class=\"faint\">{}</p>\n", escaped(text)));
        self
    }

    /// A list of facts; those without a value are left out.
    pub fn lists(mut self, facts: &[(&str, &str)]) -> Page {
        self.body.push_str("<dl>\n");
        for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
            let (name, value) = (escaped(name), escaped(value));
            self.write(format_args!("<dt>{name}</dt><dd>{value}</dd>\n"));
        }
        self.body.push_str("</dl>\n");
        self
    }

    /// A button that posts to the address of this page.
    pub fn asks(mut self, label: &str) -> Page {
        let label = escaped(label);
        self.write(format_args!(
            "<form method=\"post\"><button>{label}</button></form>\n"
        ));
        self
    }

    /// A link that the browser follows by itself at once.
    pub fn leads_to(mut self, url: &url::Url, label: &str) -> Page {
        let (url, label) = (url.as_str(), escaped(label));
        let href = escaped(url);
        self.write(format_args!(
            "<a class=\"deed\" rel=\"noreferrer\" href=\"{href}\">{label}</a>\n"
        ));
        // A redirect as the answer to a form would have to be named in `form-action`, with all the
        // redirects that a service adds to it.
        self.with(
            HeaderName::from_static("refresh"),
            &format!("0; url=\"{url}\""),
        )
    }

    /// With a header of its own; one that cannot be written is left out.
    pub fn with(mut self, name: HeaderName, value: &str) -> Page {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    fn write(&mut self, html: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.body.write_fmt(html);
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let (title, body) = (escaped(self.title), self.body);
        let html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title} - triggerd</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <h1>{title}</h1>\n{body}<footer>triggerd</footer>\n</main>\n</body>\n</html>\n"
        );
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, POLICY.as_str()),
            (header::CACHE_CONTROL, "no-store"),
            // `no-referrer` would take the origin from the one form there is, too.
            (header::REFERRER_POLICY, "same-origin"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (
                HeaderName::from_static("cross-origin-opener-policy"),
                "same-origin",
            ),
            (
                HeaderName::from_static("cross-origin-resource-policy"),
                "same-origin",
            ),
        ];
        let mut response = (self.status, headers, html).into_response();
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '<' | '>' | '"' | '\'' => {
                // Writing to a String cannot fail.
                let _ = write!(escaped, "&#{};", u32::from(c));
            }
            // Some turn the direction of what follows.
            '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_cannot_become_markup() {
        assert_eq!(
            escaped("<script a='b\"'>&\u{7}\u{202e}"),
            "&#60;script a=&#39;b&#34;&#39;&#62;&#38; "
        );
    }
}
