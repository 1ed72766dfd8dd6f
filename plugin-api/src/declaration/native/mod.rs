//! Reads `extra.native`: the vocabulary that [`crate::rules`] documents.

mod challenge;
mod condition;
mod event;
mod filter;
mod provider;
mod verify;

pub(crate) use event::read_event_rules;
pub(crate) use provider::read_provider_rules;
