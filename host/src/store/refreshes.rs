//! Renewing credentials: who does it, what came of it, which are due.
//!
//! A claim is a lease on the row, so that of all hosts one asks the service. What the service gave
//! is kept from whoever brings it, as long as nothing newer is there: an older refresh token may
//! be dead by then. A refusal counts only from who holds the lease.

use std::time::Duration;

use super::keys::credential_place;
use super::sql::{FromRow, Number, Row, Statement, Time};
use super::subscriptions::json;
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::CredentialId;
use crate::model::{RefreshClaim, TokenUpdate};

/// No lease is that long: one that ends later was taken before the clock was set back.
const LEASE_MAX: Duration = Duration::from_secs(600);

impl Store {
    /// Takes the right to renew a credential; the fence of the lease. None: another host has it,
    /// or there is nothing to renew any more (a newer generation, refused, deleted).
    pub async fn claim_refresh(&self, claim: &RefreshClaim) -> Result<Option<i64>, StoreError> {
        let mut connection = self.database.writer().await?;
        let claimed: Option<Number> = Statement::new(
            "claim the renewal of a credential",
            "update credentials set lease_owner = $1, lease_expires_at = $2, fence = fence + 1 \
             where id = $3 and generation = $4 and state = 'active' \
             and (lease_owner is null or lease_expires_at <= $5 or lease_expires_at > $6) \
             returning fence as n",
        )
        .bind(&claim.owner)
        .bind(claim.lease_until)
        .bind(&claim.id)
        .bind(claim.generation)
        .bind(claim.now)
        .bind(claim.now.plus(LEASE_MAX))
        .one(&mut connection)
        .await?;
        Ok(claimed.map(|fence| fence.0))
    }

    /// Keeps what the service gave and ends the lease. False: something newer is there.
    pub async fn keep_tokens(&self, update: &TokenUpdate) -> Result<bool, StoreError> {
        let place = credential_place(update.id.as_str());
        let envelope = self.keys.seal(&place, update.secrets.expose().as_bytes());
        let scopes = update.scopes.as_ref().map(json);
        let mut connection = self.database.writer().await?;
        let kept = Statement::new(
            "keep the tokens of a credential",
            "update credentials set secrets = $1, scopes = coalesce($2, scopes), \
             expires_at = $3, refresh_due_at = $4, refresh_failures = 0, \
             generation = generation + 1, state = 'active', state_reason = null, \
             lease_owner = null, lease_expires_at = null, fence = fence + 1, updated_at = $5 \
             where id = $6 and generation = $7",
        )
        .bind(envelope)
        .bind(scopes)
        .bind(update.expires_at)
        .bind(update.refresh_due_at)
        .bind(self.clock.now())
        .bind(&update.id)
        .bind(update.generation)
        .run(&mut connection)
        .await?;
        Ok(kept > 0)
    }

    /// The service will not renew it ever again. False: the lease was lost meanwhile.
    pub async fn refuse_refresh(
        &self,
        id: &CredentialId,
        fence: i64,
        reason: &str,
    ) -> Result<bool, StoreError> {
        let mut connection = self.database.writer().await?;
        let refused = Statement::new(
            "note that a credential is refused",
            "update credentials set state = 'needs_reconnect', state_reason = $1, \
             state_since = $2, lease_owner = null, lease_expires_at = null, updated_at = $3 \
             where id = $4 and fence = $5 and state = 'active'",
        )
        .bind(reason)
        .bind(self.clock.now())
        .bind(self.clock.now())
        .bind(id)
        .bind(fence)
        .run(&mut connection)
        .await?;
        Ok(refused > 0)
    }

    /// It did not work this time: the lease ends, and it is due again at `due_at`.
    pub async fn postpone_refresh(
        &self,
        id: &CredentialId,
        fence: i64,
        due_at: Option<Millis>,
        reason: &str,
    ) -> Result<(), StoreError> {
        let mut connection = self.database.writer().await?;
        Statement::new(
            "postpone the renewal of a credential",
            "update credentials set refresh_due_at = $1, \
             refresh_failures = refresh_failures + 1, state_reason = $2, lease_owner = null, \
             lease_expires_at = null where id = $3 and fence = $4",
        )
        .bind(due_at)
        .bind(reason)
        .bind(id)
        .bind(fence)
        .run(&mut connection)
        .await
        .map(|_| ())
    }

    /// Notes that the service refuses the credential in this generation. False: it is another by
    /// now, or was known to be refused.
    pub async fn refuse_credential(
        &self,
        id: &CredentialId,
        generation: i64,
        reason: &str,
    ) -> Result<bool, StoreError> {
        let mut connection = self.database.writer().await?;
        let refused = Statement::new(
            "note that a credential is refused",
            "update credentials set state = 'needs_reconnect', state_reason = $1, \
             state_since = $2, updated_at = $3 \
             where id = $4 and generation = $5 and state = 'active'",
        )
        .bind(reason)
        .bind(self.clock.now())
        .bind(self.clock.now())
        .bind(id)
        .bind(generation)
        .run(&mut connection)
        .await?;
        Ok(refused > 0)
    }

    /// The service takes a credential that it refused, in the same generation.
    pub async fn reactivate_credential(
        &self,
        id: &CredentialId,
        generation: i64,
    ) -> Result<(), StoreError> {
        let mut connection = self.database.writer().await?;
        Statement::new(
            "note that a credential is good again",
            "update credentials set state = 'active', state_reason = null, state_since = $1, \
             updated_at = $2 where id = $3 and generation = $4 and state = 'needs_reconnect'",
        )
        .bind(self.clock.now())
        .bind(self.clock.now())
        .bind(id)
        .bind(generation)
        .run(&mut connection)
        .await
        .map(|_| ())
    }

    /// Keeps what the provider said of a credential's account.
    pub async fn note_account(
        &self,
        id: &CredentialId,
        account_id: &str,
        account_name: &str,
    ) -> Result<(), StoreError> {
        let mut connection = self.database.writer().await?;
        Statement::new(
            "note a credential's account",
            "update credentials set account_id = $1, account_name = $2 where id = $3",
        )
        .bind(account_id)
        .bind(account_name)
        .bind(id)
        .run(&mut connection)
        .await
        .map(|_| ())
    }

    /// The service asks to be left alone by this credential until then; never shortens.
    pub async fn throttle_credential(
        &self,
        id: &CredentialId,
        until: Millis,
    ) -> Result<(), StoreError> {
        let mut connection = self.database.writer().await?;
        Statement::new(
            "throttle a credential",
            "update credentials set throttled_until = $1 \
             where id = $2 and (throttled_until is null or throttled_until < $3)",
        )
        .bind(until)
        .bind(id)
        .bind(until)
        .run(&mut connection)
        .await
        .map(|_| ())
    }

    /// Credentials that are to be renewed now and that nobody renews, with their generations; the
    /// longest due first.
    pub async fn due_refreshes(
        &self,
        now: Millis,
        limit: u32,
    ) -> Result<Vec<(CredentialId, i64)>, StoreError> {
        let mut connection = self.database.read().await?;
        let due: Vec<Due> = Statement::new(
            "find credentials to renew",
            "select id, generation from credentials \
             where refresh_due_at <= $1 and state = 'active' \
             and (lease_expires_at is null or lease_expires_at <= $2 or lease_expires_at > $3) \
             order by refresh_due_at limit $4",
        )
        .bind(now)
        .bind(now)
        .bind(now.plus(LEASE_MAX))
        .bind(limit)
        .all(&mut connection)
        .await?;
        Ok(due
            .into_iter()
            .map(|due| (due.id, due.generation))
            .collect())
    }

    /// When the next credential that nobody renews is to be renewed.
    pub async fn next_refresh(&self) -> Result<Option<Millis>, StoreError> {
        let mut connection = self.database.read().await?;
        let next: Option<Time> = Statement::new(
            "find the next renewal",
            "select min(refresh_due_at) as at from credentials \
             where refresh_due_at is not null and state = 'active' and lease_owner is null",
        )
        .one(&mut connection)
        .await?;
        Ok(next.and_then(|next| next.0))
    }
}

struct Due {
    id: CredentialId,
    generation: i64,
}

impl FromRow for Due {
    fn from_row(row: &Row<'_>) -> Result<Due, StoreError> {
        Ok(Due {
            id: row.parsed("id")?,
            generation: row.int("generation")?,
        })
    }
}
