//! The document: what an operator wants to have, written down, and the steps that get there.
//!
//! ```text
//! YAML ──client──► JSON ──► Document::parse ──► Planner::plan ──► changes ──► Store::apply
//!      (references         (shape, words)      (providers, store)           (one commit)
//!       resolved)
//! ```
//! - [`mistake`]: what is wrong, by JSON pointer, so that a client can show file, line and column.
//! - [`fields`]: reads one map of a document, collecting mistakes instead of stopping at the first.
//! - [`document`], [`accounts`], [`subscription`]: the document's words as types.
//! - [`runnable`], [`nats`], [`parameters`], [`words`]: what a runnable and a managed subscription may say,
//!   and the forms of names, headers and the like.
//! - [`flow`]: a flow; [`handlers`]: who is told of jobs that are given up.
//! - [`catalog`]: what is asked of the providers.
//! - [`socket`]: where a subscription's connection leads.
//! - [`schedules`]: schedules, from their words to what is wanted.
//! - [`route`], [`route_auth`]: what a route may say, and who may call it.
//! - [`workspace`]: who is told of every change in it.
//! - [`plan`], [`plan_integrations`], [`plan_accounts`], [`plan_subscriptions`], [`plan_routes`],
//!   [`difference`]: from what is stored to what is wanted.
//!
//! Promised: a document with a mistake changes nothing, all its mistakes are told at once, the same
//! document again changes nothing, and no secret is ever part of a difference.
//! Not promised: that a provider accepts at the service what it accepted here.
mod accounts;
pub mod catalog;
pub mod difference;
pub mod document;
mod draft;
mod fields;
mod flow;
mod handlers;
pub mod mistake;
mod nats;
mod parameters;
pub mod plan;
mod plan_accounts;
mod plan_integrations;
mod plan_routes;
mod plan_subscriptions;
mod poll;
mod route;
mod route_auth;
mod runnable;
mod schedules;
mod socket;
mod subscription;
mod wanted;
mod words;
mod workspace;

pub use accounts::{CredentialEntry, IntegrationEntry};
pub use catalog::{
    Catalog, CatalogError, ConstructorTerms, CredentialTerms, Field, FieldMistake, Parameter,
    ParameterKind, SocketTerms, SubscriptionDraft,
};
pub use document::{Document, RunnableEntry, TriggerEntry};
pub use mistake::Mistake;
pub use plan::{LaterDeletion, Plan, PlanError, PlannedObject, Planner};
pub use schedules::ScheduleEntry;
pub use subscription::{ManagedFields, SubscriptionEntry};
pub use words::{name as workspace_name_form, network, signing_secret, target};
pub use workspace::{HookEntry, new_signing_secret, without_query};
