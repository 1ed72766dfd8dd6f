//! The keys that seal secrets, as the database knows them, and their rotation.

use super::{Store, StoreError};

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    pub key_id: String,
    /// Secrets sealed anew.
    pub resealed: u64,
    /// Keys that seal nothing any more.
    pub retired: Vec<String>,
}

impl Store {
    /// Adds a key, seals everything with it in small steps while the host runs, and retires the others.
    /// Interrupted anywhere, the next call goes on where it stopped.
    pub async fn rotate_keys(&self) -> Result<Rotation, StoreError> {
        todo!()
    }
}
