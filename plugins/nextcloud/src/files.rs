//! What an event tells of a file: where it is and, by the ending of its name, what it is.

pub mod media_type;
pub mod path;
