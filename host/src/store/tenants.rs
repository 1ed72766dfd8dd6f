//! Workspaces and tokens.

use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::{TokenId, WorkspaceId};
use crate::model::{NewToken, Token, Workspace};

impl Store {
    /// Makes a workspace; a conflict if the name is taken.
    pub async fn insert_workspace(&self, name: &str) -> Result<Workspace, StoreError> {
        todo!()
    }

    /// The workspace of this name, made if it is not there.
    pub async fn ensure_workspace(&self, name: &str) -> Result<Workspace, StoreError> {
        todo!()
    }

    /// By its name.
    pub async fn workspace_by_name(&self, name: &str) -> Result<Option<Workspace>, StoreError> {
        todo!()
    }

    /// All of them, by name.
    pub async fn list_workspaces(&self) -> Result<Vec<Workspace>, StoreError> {
        todo!()
    }

    /// Deletes a workspace; a conflict while it holds subscriptions, runnables or tokens.
    pub async fn delete_workspace(&self, id: &WorkspaceId) -> Result<(), StoreError> {
        todo!()
    }

    /// Keeps a token.
    pub async fn insert_token(&self, token: NewToken) -> Result<Token, StoreError> {
        todo!()
    }

    /// The token with this SHA-256, also if it is revoked or expired.
    pub async fn token_by_hash(&self, hash: &[u8; 32]) -> Result<Option<Token>, StoreError> {
        todo!()
    }

    /// All tokens, or those of one workspace, newest first.
    pub async fn list_tokens(
        &self,
        workspace: Option<&WorkspaceId>,
    ) -> Result<Vec<Token>, StoreError> {
        todo!()
    }

    /// Revokes a token; absent or already revoked: not found.
    pub async fn revoke_token(&self, id: &TokenId) -> Result<(), StoreError> {
        todo!()
    }

    /// Notes when tokens were last used; call it now and then, not with each request.
    pub async fn touch_tokens(&self, used: Vec<(TokenId, Millis)>) -> Result<(), StoreError> {
        todo!()
    }
}
