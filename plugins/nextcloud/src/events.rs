//! Events whose filters no rule of `events/*.yaml` can say.

pub mod node;
