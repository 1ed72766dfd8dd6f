//! (docs to come)

mod challenge;
pub mod condition;
mod declared;
mod dispatch;
pub mod fields;
pub mod form;
pub mod glob;
mod keys;
pub mod matcher;
pub mod parameters;
pub mod pointer;
pub mod scalar;
mod sign;
pub mod source;
mod subscription;
pub mod template;
pub mod time;
mod trigger;
mod verify;
pub mod vocabulary;

pub use declared::Declared;
pub use keys::PreparedSubscription;
pub use trigger::PreparedTrigger;
