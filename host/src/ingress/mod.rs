//! The way in: requests at endpoints, read by their provider, kept, and only then answered.
//!
//! ```text
//!  POST /webhooks/{provider}/{endpoint}
//!    provider there? ─no─► 404, or 503 while an enabled one is down
//!    body within limit and time? ─no─► 413, 408, as soon as that is known
//!    endpoint known? ─no─► read with a decoy, 404
//!    plugin.dispatch ─► not genuine: 401 and a row   unreadable: 400 and a row   plugin down: 503
//!    append (T1) ─► committed and synced: the provider's reply, or 200     store down: 503
//! ```
//!
//! Promises: 2xx only after the commit; a request that is not genuine leaves one row in the request
//! log and nothing else; the body is handed on as it came, never inflated. Not promised: that a
//! client which hangs up before its answer was not served.

pub mod calls;
pub mod endpoints;

mod answer;
mod body;
mod learned;
mod opened;
mod record;
mod webhook;

pub use endpoints::{Ingress, Parts, router};
