//! What of a call's head stands in the log of requests.

use axum::http::{HeaderMap, header};

use crate::ingress::record;

/// `[[name, value], …]`, secrets masked.
pub(super) fn headers(headers: &HeaderMap) -> String {
    record::headers_text(headers, &[])
}

/// The length of the body, as the head says.
pub(super) fn announced(headers: &HeaderMap) -> Option<u64> {
    let length = headers.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}
