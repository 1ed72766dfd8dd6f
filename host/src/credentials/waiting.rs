//! Waiting until an account is connected, or is not.

use std::time::Duration;

use super::state::Credentials;
use crate::id::{ConnectId, TokenId, WorkspaceId};
use crate::model::{Connect, ConnectPhase, Credential};
use crate::store::StoreError;

/// Another host may be the one that the browser comes back to: the row is looked at this often.
const LOOK: Duration = Duration::from_secs(1);

/// What is so if nobody said how it ended.
const BROKEN_OFF: &str = "the host that was asking the service for tokens went away: begin again";

/// How far it is.
#[derive(Clone, Debug)]
pub enum Waiting {
    /// Nobody came back yet.
    Pending(Connect),
    /// Nobody came back in time.
    Expired,
    Done(Box<Credential>),
    Failed(String),
}

impl Credentials {
    /// Waits for the browser to come back, for at most `patience`. None: there is no such thing, or
    /// not for this token.
    pub async fn wait(
        &self,
        workspace: &WorkspaceId,
        token: &TokenId,
        id: &ConnectId,
        patience: Duration,
    ) -> Result<Option<Waiting>, StoreError> {
        let end = tokio::time::Instant::now() + patience;
        loop {
            let connected = self.0.connected.notified();
            tokio::pin!(connected);
            connected.as_mut().enable();
            let found = self.0.store.connect(workspace, id).await?;
            let Some(connect) = found.filter(|found| found.token_id == *token) else {
                return Ok(None);
            };
            let now = self.0.clock.now();
            let waiting = self.waiting(connect).await?;
            let Waiting::Pending(connect) = waiting else {
                return Ok(Some(waiting));
            };
            if connect.expires_at <= now {
                return Ok(Some(match connect.phase {
                    ConnectPhase::Exchanging => Waiting::Failed(BROKEN_OFF.to_owned()),
                    _ => Waiting::Expired,
                }));
            }
            if tokio::time::Instant::now() >= end {
                return Ok(Some(Waiting::Pending(connect)));
            }
            let look = end.min(tokio::time::Instant::now() + LOOK);
            tokio::select! {
                () = connected => {}
                () = tokio::time::sleep_until(look) => {}
            }
        }
    }

    async fn waiting(&self, connect: Connect) -> Result<Waiting, StoreError> {
        match connect.phase {
            ConnectPhase::Failed => Ok(Waiting::Failed(connect.reason.unwrap_or_default())),
            ConnectPhase::Done => {
                let gone = || Waiting::Failed("the credential was deleted again".to_owned());
                let Some(id) = &connect.credential_id else {
                    return Ok(gone());
                };
                let found = self.0.store.credential(&connect.workspace_id, id).await?;
                Ok(found.map_or_else(gone, |found| Waiting::Done(Box::new(found))))
            }
            _ => Ok(Waiting::Pending(connect)),
        }
    }
}
