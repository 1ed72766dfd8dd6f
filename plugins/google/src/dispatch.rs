//! Is a push ours, and does it say that there is something to read?
//!
//! Google signs nothing. A push is genuine when it carries the channel's token, which nobody can
//! guess, and names the channel and the resource that we know.
//! <https://developers.google.com/workspace/drive/api/guides/push#understanding-notification-events>
//!
//! A push has no delivery id here, although each has a message number: the numbers of two channels
//! that overlap during a renewal say nothing of each other, and to read once too often costs one
//! request, while a push wrongly taken for a repetition would cost the change that it announces.

use trigger_plugin_api::prelude::*;
use trigger_plugin_api::signature::tokens_equal;

const CHANNEL_ID: &str = "X-Goog-Channel-ID";
const RESOURCE_ID: &str = "X-Goog-Resource-ID";
const STATE: &str = "X-Goog-Resource-State";

/// What Drive and Calendar say when something has changed. `changed` is in none of their documents
/// and has been seen all the same.
const CHANGED: [&str; 9] = [
    "change",
    "changed",
    "add",
    "remove",
    "update",
    "trash",
    "untrash",
    "exists",
    "not_exists",
];

/// Reads a push. Its body and content type are never looked at: they are empty or say nothing.
pub fn dispatch(
    declared: &Declared,
    subscription: &Subscription,
    request: &Request<'_>,
) -> Result<EventDispatch> {
    declared.verify(subscription, request)?;
    // Set up by hand, a subscription does not know its channel: then the token is all there is.
    if !subscription.key.is_empty() {
        assert_names(request, CHANNEL_ID, &subscription.key)?;
    }
    // The first push may come before the watch call has answered with the resource.
    if let Some(resource) = subscription
        .properties
        .get("resource_id")
        .and_then(|id| id.as_str())
    {
        assert_names(request, RESOURCE_ID, resource)?;
    }
    let state = request.headers.get_str(STATE).unwrap_or_default();
    Ok(EventDispatch {
        wake: CHANGED.contains(&state.trim()),
        ..EventDispatch::nothing()
    })
}

fn assert_names(request: &Request<'_>, header: &str, ours: &str) -> Result<()> {
    let named = request.headers.single(header).ok().flatten();
    if named.is_some_and(|named| tokens_equal(named, ours.as_bytes())) {
        return Ok(());
    }
    Err(Error::unauthenticated(format!(
        "the header {header} does not name what this endpoint belongs to"
    )))
}
