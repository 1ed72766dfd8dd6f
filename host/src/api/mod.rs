//! The API: JSON over HTTP under `/api/v1`, described by itself at `/api/openapi.json`.
//!
//! - [`routes`]: every route, and the document made from them.
//! - [`state`]: what the handlers work with; [`providers`]: what is asked of the provider registry.
//! - [`access`]: who calls and what they may do; [`body`], [`page`], [`queries`]: what they send and get.
//! - [`problem`]: everything that goes wrong, as `application/problem+json` (RFC 9457).
//! - [`names`]: ids to names and back.
//! - [`oauth`]: the pages that a browser sees while an account is connected.
//! - The others: one file for each kind of object.
//!
//! Promised: a token of one workspace learns nothing of another, not even that it exists (404); no
//! answer holds a secret, but the one that makes a token, once; a list is read page by page in an
//! order that does not move under the reader.
mod access;
mod body;
mod names;
mod page;
mod pages;
mod problem;
mod queries;
mod routes;
mod state;

mod apply;
mod audit;
mod connect;
mod credentials;
mod error_handlers;
mod events;
mod health;
mod integrations;
mod jobs;
mod keys;
mod oauth;
mod orphans;
mod providers;
mod requests;
mod runnables;
mod samples;
mod schedules;
mod subscription_actions;
mod subscription_view;
mod subscriptions;
mod tokens;
mod triggers;
mod workspaces;

pub use problem::Problem;
pub use providers::{
    ProviderRow, ProviderState, Providers, SampleOrder, SampleRequest, SharedClientRow,
};
pub use routes::{openapi, router, router_with};
pub use state::{ApiState, ApiStateParts, Changed};
