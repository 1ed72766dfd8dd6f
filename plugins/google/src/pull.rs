//! What changed: a push only hints, so the changes are read here, from a cursor on.
//!
//! ```text
//!  drive     begin ─► list everything once ─► (after a lost place: sweep) ─► read changes ─┐
//!                                                                             ▲   └────────┘
//!  one file  look at it again and compare
//!  calendar  begin ─► list once ─► read changes ─► when changed or due: read the next day's starts
//! ```
//! Drive and Calendar answer what a thing *is*, not what was done to it. What we knew of it is kept
//! as the subscription's state, and the difference is the event. State, cursor and events are
//! committed together, and one step reads one page, so a step that is repeated finds the same.

mod calendar;
mod cursor;
mod drive;
mod fingerprint;
mod moment;

use trigger_plugin_api::prelude::*;

use crate::api::{Api, Failure};
use crate::subscription::watched::Watched;

/// One step of reading.
pub async fn pull(api: &Api<'_>, request: &PullRequest) -> Result<Pulled> {
    let watched = Watched::of_parameters(&request.subscription.parameters)?;
    let pulled = match &watched {
        Watched::Calendar { id } => calendar::pull(api, request, id).await,
        Watched::File { id } => drive::file::pull(api, request, id).await,
        Watched::Folder { .. } | Watched::Everything | Watched::SharedDrive { .. } => {
            drive::pull(api, request, &watched).await
        }
    };
    pulled.map_err(|failure| failure.during(format_args!("read what changed in {watched}")))
}

/// From when on changes count, for a first look: since the place was lost, since the channel was
/// opened, or from now on.
fn counted_from_ms(api: &Api<'_>, request: &PullRequest) -> i64 {
    let opened = request.subscription.properties.get("watched_from_ms");
    request
        .since_ms
        .or_else(|| opened.and_then(serde_json::Value::as_i64))
        .unwrap_or_else(|| api.host().now_ms())
}

/// A cursor that is none of this subscription's kind: its parameters were changed, or it was
/// written by a later version.
fn foreign_cursor() -> Failure {
    Failure::LostPlace {
        message: "the kept cursor belongs to something else".to_owned(),
    }
}
