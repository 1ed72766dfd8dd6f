//! Which subscriptions are due, who looks after them, and hints that something is to be done.
//!
//! What is due is found in an index; a claim gives a subscription to one host until the lease ends,
//! and raises its fence. A hint raises `pokes`, so that none is lost under a run.

use std::fmt::Write as _;
use std::time::Duration;

use super::connection::Connection;
use super::open::Backend;
use super::select::Select;
use super::sql::{FromRow, Row, Statement, Time};
use super::subscriptions::subscription_columns;
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::{HostId, SubscriptionId, WorkspaceId};
use crate::model::{Claimed, Page, PageQuery, Poke, Subscription, SyncClaim, Upkeep};

/// No lease is that long: one that ends later was taken before the clock was set back.
const LEASE_MAX: Duration = Duration::from_secs(3600);
/// More are not passed over by the database; the host sees to them after the claim.
const PASSED_OVER_MAX: usize = 64;

macro_rules! upkeep_columns {
    () => {
        "cursor, pulled_at, checked_at, due_at, next_action, renew_at, check_at, pull_at, \
         retry_at, retry_action, pokes, tries, drift, notes, last_error, last_error_at"
    };
}

macro_rules! claimed_columns {
    () => {
        concat!(
            subscription_columns!(),
            ", ",
            upkeep_columns!(),
            ", sync_fence"
        )
    };
}

impl Store {
    /// Claims what is due, longest due first. Each claim raises the fence.
    pub async fn claim_due_subscriptions(
        &self,
        claim: &SyncClaim,
    ) -> Result<Vec<Claimed>, StoreError> {
        let passed_over = claim.passed_over.iter().take(PASSED_OVER_MAX);
        let mut condition = String::new();
        for number in 0..passed_over.len() {
            let comma = if number == 0 { "" } else { ", " };
            let _ = write!(condition, "{comma}${}", number + 7);
        }
        if !condition.is_empty() {
            condition = format!(" and coalesce(credential_id, provider) not in ({condition})");
        }
        let text = format!(
            "update subscriptions set sync_owner = $1, sync_until = $2, due_at = $3, \
             sync_fence = sync_fence + 1 where id in (select id from subscriptions \
             where due_at <= $4 and (coalesce(sync_until, 0) <= $5 or sync_until > $6){condition} \
             order by due_at limit {}{}) returning {}",
            claim.limit,
            self.database.skip_locked(),
            claimed_columns!()
        );
        let mut statement = Statement::composed("claim subscriptions", text)
            .bind(&claim.owner)
            .bind(claim.lease_until)
            .bind(claim.lease_until)
            .bind(claim.now)
            .bind(claim.now)
            .bind(claim.now.plus(LEASE_MAX));
        for lane in passed_over {
            statement.push(lane);
        }
        let mut transaction = self.database.write().await?;
        let claimed = statement.all(&mut transaction).await?;
        transaction.commit().await?;
        Ok(claimed)
    }

    /// Claims this one whether or not it is due; none: another run holds it, or it is not managed.
    pub async fn claim_subscription(
        &self,
        id: &SubscriptionId,
        claim: &SyncClaim,
    ) -> Result<Option<Claimed>, StoreError> {
        let mut connection = self.database.writer().await?;
        Statement::new(
            "claim a subscription",
            concat!(
                "update subscriptions set sync_owner = $1, sync_until = $2, due_at = $3, \
                 sync_fence = sync_fence + 1 where id = $4 and mode = 'managed' \
                 and (coalesce(sync_until, 0) <= $5 or sync_until > $6) returning ",
                claimed_columns!()
            ),
        )
        .bind(&claim.owner)
        .bind(claim.lease_until)
        .bind(claim.lease_until)
        .bind(id)
        .bind(claim.now)
        .bind(claim.now.plus(LEASE_MAX))
        .one(&mut connection)
        .await
    }

    /// At start: what an earlier run of this host held is due at once. On SQLite that is everything
    /// that is held, since only one host opens the file.
    pub async fn recover_own_subscriptions(
        &self,
        owner: &HostId,
        now: Millis,
    ) -> Result<u64, StoreError> {
        let mut connection = self.database.writer().await?;
        let whose = match self.database.backend {
            Backend::Sqlite => "sync_owner is not null and $2 = $2",
            Backend::Postgres => "sync_owner = $2",
        };
        Statement::composed(
            "take subscriptions back",
            format!(
                "update subscriptions set sync_owner = null, sync_until = null, due_at = $1 \
                 where {whose}"
            ),
        )
        .bind(now)
        .bind(owner)
        .run(&mut connection)
        .await
    }

    /// When the next subscription is due that nobody holds.
    pub async fn next_subscription_due(&self) -> Result<Option<Millis>, StoreError> {
        let mut connection = self.database.read().await?;
        let next: Option<Time> = Statement::new(
            "find the next subscription that is due",
            "select due_at as at from subscriptions where due_at is not null \
             order by due_at limit 1",
        )
        .one(&mut connection)
        .await?;
        Ok(next.and_then(|next| next.0))
    }

    /// Whether nobody works on it and nothing is to be done for it by now; one that is gone is.
    pub async fn is_subscription_settled(
        &self,
        id: &SubscriptionId,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut connection = self.database.read().await?;
        let count: Option<super::sql::Number> = Statement::new(
            "look at a subscription",
            "select count(*) as n from subscriptions where id = $1 \
             and (sync_owner is not null or due_at <= $2)",
        )
        .bind(id)
        .bind(now)
        .one(&mut connection)
        .await?;
        Ok(count.is_none_or(|count| count.0 == 0))
    }

    /// How many are due by now.
    pub async fn count_due_subscriptions(&self, now: Millis) -> Result<u64, StoreError> {
        let mut connection = self.database.read().await?;
        let count: Option<super::sql::Number> = Statement::new(
            "count what is due",
            "select count(*) as n from subscriptions where due_at <= $1",
        )
        .bind(now)
        .one(&mut connection)
        .await?;
        Ok(count.map_or(0, |count| count.0.unsigned_abs()))
    }

    /// Something is to be done: the subscription is due at once, whatever failed before.
    pub async fn poke_subscription(
        &self,
        id: &SubscriptionId,
        poke: Poke,
        now: Millis,
    ) -> Result<(), StoreError> {
        let (checks, pulls) = match poke {
            Poke::Look => (false, false),
            Poke::Check => (true, false),
            Poke::Everything => (true, true),
        };
        let mut connection = self.database.writer().await?;
        Statement::new(
            "poke a subscription",
            "update subscriptions set pokes = pokes + 1, due_at = $1, retry_at = null, retry_action = null, \
             check_at = case when $2 = 1 then $3 else check_at end, \
             pull_at = case when $4 = 1 and pulled_at is not null then $5 else pull_at end \
             where id = $6 and mode = 'managed'",
        )
        .bind(now)
        .bind(checks)
        .bind(now)
        .bind(pulls)
        .bind(now)
        .bind(id)
        .run(&mut connection)
        .await
        .map(|_| ())
    }

    /// Everything is looked at, after the clock was put back. What was put off may have been so by the
    /// clock that ran ahead, and is due now. Returns how many there are.
    pub async fn poke_all_subscriptions(&self, now: Millis) -> Result<u64, StoreError> {
        let mut transaction = self.database.write().await?;
        let poked = Statement::new(
            "poke every subscription",
            "update subscriptions set pokes = pokes + 1, due_at = $1, \
             check_at = case when check_at > $1 then $1 else check_at end, \
             pull_at = case when pull_at > $1 then $1 else pull_at end, \
             retry_at = case when retry_at > $1 then $1 else retry_at end \
             where mode = 'managed' \
             and (due_at > $1 or check_at > $1 or pull_at > $1 or retry_at > $1)",
        )
        .bind(now)
        .run(&mut transaction)
        .await?;
        Statement::new(
            "forget until when credentials are left alone",
            "update credentials set throttled_until = null where throttled_until > $1",
        )
        .bind(now)
        .run(&mut transaction)
        .await?;
        transaction.commit().await?;
        Ok(poked)
    }

    /// Everything of a provider that was pulled before is pulled again. Returns how many there are.
    pub async fn pull_subscriptions_of_provider(
        &self,
        provider: &str,
        now: Millis,
    ) -> Result<u64, StoreError> {
        let mut connection = self.database.writer().await?;
        Statement::new(
            "pull the subscriptions of a provider",
            "update subscriptions set pokes = pokes + 1, pull_at = $1, due_at = $2, \
             next_action = 'pull' where provider = $3 and mode = 'managed' \
             and pulled_at is not null and state <> 'paused'",
        )
        .bind(now)
        .bind(now)
        .bind(provider)
        .run(&mut connection)
        .await
    }

    /// A subscription with its upkeep.
    pub async fn subscription_upkeep(
        &self,
        id: &SubscriptionId,
    ) -> Result<Option<Claimed>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new(
            "read a subscription's upkeep",
            concat!(
                "select ",
                claimed_columns!(),
                " from subscriptions where id = $1"
            ),
        )
        .bind(id)
        .one(&mut connection)
        .await
    }

    /// Newest first.
    pub async fn list_subscription_upkeep(
        &self,
        workspace: &WorkspaceId,
        page: &PageQuery,
    ) -> Result<Page<Claimed>, StoreError> {
        let mut connection = self.database.read().await?;
        let from = concat!("select ", claimed_columns!(), " from subscriptions");
        Select::new("list subscriptions", from)
            .and_value("workspace_id =", workspace.clone())
            .page(&mut connection, page, |row: &Claimed| {
                row.subscription.id.as_str()
            })
            .await
    }
}

/// A credential became good, or no good: whatever hangs on it is due as of this commit.
pub(super) async fn poke_of_credential(
    connection: &mut impl Connection,
    credential: &str,
    now: Millis,
) -> Result<u64, StoreError> {
    Statement::new(
        "poke the subscriptions of a credential",
        "update subscriptions set pokes = pokes + 1, due_at = $1, retry_at = null, \
         retry_action = null where credential_id = $2 and mode = 'managed'",
    )
    .bind(now)
    .bind(credential)
    .run(connection)
    .await
}

/// A push hinted at changes: these are pulled, as of this commit. In one order everywhere.
pub(super) async fn wake(
    connection: &mut impl Connection,
    id: &SubscriptionId,
    now: Millis,
) -> Result<(), StoreError> {
    Statement::new(
        "wake a subscription",
        "update subscriptions set pokes = pokes + 1, pull_at = $1, \
         due_at = case when due_at < $2 then due_at else $3 end, next_action = 'pull' \
         where id = $4 and mode = 'managed' and state <> 'paused' \
         and (coalesce(pull_at, $5) > $6 or sync_owner is not null)",
    )
    .bind(now)
    .bind(now)
    .bind(now)
    .bind(id)
    .bind(i64::MAX)
    .bind(now)
    .run(connection)
    .await
    .map(|_| ())
}

impl FromRow for Upkeep {
    fn from_row(row: &Row<'_>) -> Result<Upkeep, StoreError> {
        let list = |column| row.text_opt(column).map(|text| text.is_some());
        Ok(Upkeep {
            cursor: row.text_opt("cursor")?,
            pulled_at: row.millis_opt("pulled_at")?,
            checked_at: row.millis_opt("checked_at")?,
            due_at: row.millis_opt("due_at")?,
            next_action: row.parsed_opt("next_action")?,
            renew_at: row.millis_opt("renew_at")?,
            check_at: row.millis_opt("check_at")?,
            pull_at: row.millis_opt("pull_at")?,
            retry_at: row.millis_opt("retry_at")?,
            retry_action: row.parsed_opt("retry_action")?,
            pokes: row.int("pokes")?,
            tries: row.number("tries")?,
            drift: match list("drift")? {
                true => row.json("drift")?,
                false => Vec::new(),
            },
            notes: match list("notes")? {
                true => row.json("notes")?,
                false => Vec::new(),
            },
            last_error: row.text_opt("last_error")?,
            last_error_at: row.millis_opt("last_error_at")?,
        })
    }
}

impl FromRow for Claimed {
    fn from_row(row: &Row<'_>) -> Result<Claimed, StoreError> {
        Ok(Claimed {
            subscription: Subscription::from_row(row)?,
            upkeep: Upkeep::from_row(row)?,
            fence: row.int("sync_fence")?,
        })
    }
}
