//! The way in: a request, its delivery id and its events, in one commit with all others that wait.

use super::{Store, StoreError};
use crate::model::{Append, Appended};

impl Store {
    /// Keeps a request and its events; resolves after the commit is synced. Repeating it is harmless.
    pub async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        todo!()
    }
}
