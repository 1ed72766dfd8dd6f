//! The document: what an operator wants to have, written down, and the steps that get there.
//!
//! ```text
//! YAML ──client──► JSON ──► Document::parse ──► Planner::plan ──► changes ──► Store::apply
//!      (references         (shape, words)      (providers, store)           (one commit)
//!       resolved)
//! ```
//! - [`mistake`]: what is wrong, by JSON pointer, so that a client can show file, line and column.
//! - [`fields`]: reads one map of a document, collecting mistakes instead of stopping at the first.
//! - [`document`]: the document's words as types.
//! - [`runnable`], [`nats`], [`words`]: what a runnable may say, and the forms of names, headers and the like.
//! - [`catalog`]: what is asked of the providers.
//! - [`plan`], [`difference`]: from what is stored to what is wanted.
//!
//! Promised: a document with a mistake changes nothing, all its mistakes are told at once, the same
//! document again changes nothing, and no secret is ever part of a difference.
//! Not promised: that a provider accepts at the service what it accepted here.
pub mod catalog;
pub mod difference;
pub mod document;
mod draft;
mod fields;
pub mod mistake;
mod nats;
pub mod plan;
mod runnable;
mod wanted;
mod words;

pub use catalog::{Catalog, CatalogError, Field, FieldMistake, SubscriptionDraft};
pub use document::{Document, RunnableEntry, SubscriptionEntry, TriggerEntry};
pub use mistake::Mistake;
pub use plan::{Plan, PlanError, PlannedObject, Planner};
pub use words::name as workspace_name_form;
