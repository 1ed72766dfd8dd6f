//! What a provider says of itself, in the shape of Dify's trigger plugins.
//!
//! `provider.yaml` has `identity`, `subscription_schema` (what an operator fills in by hand),
//! `subscription_constructor` (parameters and credentials for making subscriptions) and `events`;
//! each `events/*.yaml` has `identity`, `description`, `parameters` and `output_schema`. Files of
//! Dify's load unchanged. What is ours stands under `extra.native`, which Dify ignores, and is
//! documented in [`crate::rules`].
//!
//! The loader is forgiving where Dify's is: a duplicate key, an anchor, an empty mapping, an absent
//! section, a key that nobody knows cost a warning with file and line. It is strict where forgiving
//! would change what is accepted or fired: a known key with a value that it cannot have, a filter on
//! a parameter that does not exist, a tolerance that protects nothing are mistakes, all reported at
//! once, each with file, line, what was found and what is allowed.

mod fields;
mod finding;
mod load;
mod model;
mod native;
mod schema;
mod section;
mod text;
pub(crate) mod yaml;

pub(crate) use finding::Findings;
pub use finding::{DeclarationError, Finding, Place};
pub use load::Loaded;
pub use model::{
    Choice, Constructor, Declaration, EventDeclaration, Field, FieldKind, Identity, OauthSchema,
};
pub(crate) use native::read_provider_rules;
pub use schema::Schema;
pub(crate) use section::Section;
pub use text::{DEFAULT_LANGUAGE, Text};

pub use crate::rules::Declared;

#[cfg(test)]
mod tests;
