//! Renewing credentials: who does it, what came of it, which are due.
//!
//! A claim is a lease on the row, so that of all hosts one asks the service. What the service gave
//! is kept from whoever brings it, as long as nothing newer is there: an older refresh token may
//! be dead by then. A refusal counts only from who holds the lease.

use std::time::Duration;

use super::changes::insert_entry;
use super::keys::credential_place;
use super::open::Backend;
use super::sql::{FromRow, Number, Row, Statement, Text, Time};
use super::subscriptions::json;
use super::upkeep::poke_of_credential;
use super::{Store, StoreError, notices};
use crate::clock::Millis;
use crate::id::{AuditId, CredentialId, HostId};
use crate::model::{AuditEntry, RefreshClaim, RefreshLease, TokenUpdate};

/// No lease is that long: one that ends later was taken before the clock was set back.
const LEASE_MAX: Duration = Duration::from_secs(600);

impl Store {
    /// Takes the right to renew a credential. None: another host has it, or there is nothing to
    /// renew any more (a newer generation, refused, deleted). A lease that is taken from someone
    /// was cut off, which the row remembers until a renewal is kept.
    pub async fn claim_refresh(
        &self,
        claim: &RefreshClaim,
    ) -> Result<Option<RefreshLease>, StoreError> {
        let mut connection = self.database.writer().await?;
        Statement::new(
            "claim the renewal of a credential",
            "update credentials set \
             cut_off_at = case when lease_owner is null then cut_off_at else $1 end, \
             lease_owner = $2, lease_expires_at = $3, fence = fence + 1 \
             where id = $4 and generation = $5 and state = 'active' \
             and (lease_owner is null or lease_expires_at <= $6 or lease_expires_at > $7) \
             returning fence, cut_off_at",
        )
        .bind(claim.now)
        .bind(&claim.owner)
        .bind(claim.lease_until)
        .bind(&claim.id)
        .bind(claim.generation)
        .bind(claim.now)
        .bind(claim.now.plus(LEASE_MAX))
        .one(&mut connection)
        .await
    }

    /// At start: renewals that an earlier run of this host was in the middle of are due at once, and
    /// their leases over. On SQLite that is every one, since only one host opens the file.
    pub async fn recover_own_refreshes(
        &self,
        owner: &HostId,
        now: Millis,
    ) -> Result<u64, StoreError> {
        let whose = match self.database.backend {
            Backend::Sqlite => "lease_owner is not null and $3 = $3",
            Backend::Postgres => "lease_owner = $3",
        };
        let mut connection = self.database.writer().await?;
        Statement::composed(
            "take renewals of credentials back",
            format!(
                "update credentials set lease_expires_at = $1, refresh_due_at = $2 \
                 where {whose} and state = 'active'"
            ),
        )
        .bind(now)
        .bind(now)
        .bind(owner)
        .run(&mut connection)
        .await
    }

    /// Keeps what the service gave and ends the lease. False: something newer is there. What waited
    /// for it goes on with the same commit.
    pub async fn keep_tokens(&self, update: &TokenUpdate) -> Result<bool, StoreError> {
        let place = credential_place(update.id.as_str());
        let envelope = self.keys.seal(&place, update.secrets.expose().as_bytes());
        let scopes = update.scopes.as_ref().map(json);
        let now = self.clock.now();
        let mut transaction = self.database.write().await?;
        let was_troubled: Option<Number> = Statement::composed(
            "look at a credential that was renewed",
            format!(
                "select cast(case when state = 'active' and refresh_failures = 0 \
                 and cut_off_at is null then 0 else 1 end as bigint) as n from credentials where id = $1 and generation = $2{}",
                self.database.for_update()
            ),
        )
        .bind(&update.id)
        .bind(update.generation)
        .one(&mut transaction)
        .await?;
        let Some(was_troubled) = was_troubled else {
            return Ok(false);
        };
        Statement::new(
            "keep the tokens of a credential",
            "update credentials set secrets = $1, scopes = coalesce($2, scopes), \
             expires_at = $3, refresh_due_at = $4, refresh_failures = 0, cut_off_at = null, \
             generation = generation + 1, state = 'active', state_reason = null, \
             lease_owner = null, lease_expires_at = null, fence = fence + 1, updated_at = $5 \
             where id = $6 and generation = $7",
        )
        .bind(envelope)
        .bind(scopes)
        .bind(update.expires_at)
        .bind(update.refresh_due_at)
        .bind(now)
        .bind(&update.id)
        .bind(update.generation)
        .run(&mut transaction)
        .await?;
        // One that was good all along held nothing up: its renewal is no news for a million of them.
        if was_troubled.0 == 1 {
            poke_of_credential(&mut transaction, update.id.as_str(), now).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// The service will not renew it ever again. False: the lease was lost meanwhile.
    pub async fn refuse_refresh(
        &self,
        id: &CredentialId,
        fence: i64,
        reason: &str,
    ) -> Result<bool, StoreError> {
        self.refuse(id, Known::Lease(fence), reason).await
    }

    /// Notes that the service refuses the credential in this generation. False: it is another by
    /// now, or was known to be refused.
    pub async fn refuse_credential(
        &self,
        id: &CredentialId,
        generation: i64,
        reason: &str,
    ) -> Result<bool, StoreError> {
        self.refuse(id, Known::Generation(generation), reason).await
    }

    /// It needs reconnecting, if it is as it was known. That is in the audit log, is told to whom
    /// the workspace named, and what hangs on the credential is looked at: all in one commit, so
    /// that nobody finds it out by silence.
    async fn refuse(
        &self,
        id: &CredentialId,
        known: Known,
        reason: &str,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let (ends, condition, number) = match known {
            Known::Lease(fence) => (
                ", lease_owner = null, lease_expires_at = null",
                "fence = $5",
                fence,
            ),
            Known::Generation(generation) => ("", "generation = $5", generation),
        };
        let mut transaction = self.database.write().await?;
        let workspace: Option<Text> = Statement::composed(
            "note that a credential is refused",
            format!(
                "update credentials set state = 'needs_reconnect', state_reason = $1, \
                 state_since = $2, updated_at = $3{ends} \
                 where id = $4 and {condition} and state = 'active' \
                 returning workspace_id as text"
            ),
        )
        .bind(reason)
        .bind(now)
        .bind(now)
        .bind(id)
        .bind(number)
        .one(&mut transaction)
        .await?;
        let Some(workspace) = workspace else {
            return Ok(false);
        };
        poke_of_credential(&mut transaction, id.as_str(), now).await?;
        let entry = AuditEntry {
            id: AuditId::generate(now),
            workspace_id: workspace.0.parse().ok(),
            token_id: None,
            action: "credential.refused".to_owned(),
            object: id.to_string(),
            detail: serde_json::json!({ "reason": reason }),
            at: now,
        };
        insert_entry(&mut transaction, &entry).await?;
        let name = notices::name_of(&mut transaction, &entry.object).await?;
        notices::note(&mut transaction, &entry, name).await?;
        transaction.commit().await?;
        Ok(true)
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

    /// The service takes a credential that it refused, in the same generation; what waited for it
    /// goes on.
    pub async fn reactivate_credential(
        &self,
        id: &CredentialId,
        generation: i64,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut transaction = self.database.write().await?;
        let active = Statement::new(
            "note that a credential is good again",
            "update credentials set state = 'active', state_reason = null, state_since = $1, \
             updated_at = $2 where id = $3 and generation = $4 and state = 'needs_reconnect'",
        )
        .bind(now)
        .bind(now)
        .bind(id)
        .bind(generation)
        .run(&mut transaction)
        .await?;
        if active > 0 {
            poke_of_credential(&mut transaction, id.as_str(), now).await?;
        }
        transaction.commit().await
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

impl FromRow for RefreshLease {
    fn from_row(row: &Row<'_>) -> Result<RefreshLease, StoreError> {
        Ok(RefreshLease {
            fence: row.int("fence")?,
            cut_off_at: row.millis_opt("cut_off_at")?,
        })
    }
}

/// What a refusal is about.
enum Known {
    /// The renewal under the lease with this fence.
    Lease(i64),
    /// Secrets of this generation.
    Generation(i64),
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
