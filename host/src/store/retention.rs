//! Trimming what is old, in steps, so that no step holds the database for long. Each returns how
//! many rows it deleted; fewer than `limit` means that nothing more is to be done now.
//!
//! Ids begin with the time, so what is old is found by them and no index is kept for it. Nothing that
//! waits or runs is trimmed, nor what it needs: a request stays while an event has its payload
//! there, an event while an unfinished job does.

use super::dictionaries::IN_USE_FOR;
use super::rows::{ManyRows, chunks};
use super::sql::{Bind, Statement, Text};
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::{AuditId, EventId, RequestId};

/// `owners`: the workspaces that a table has rows of, also those that are deleted; each is one look
/// into its key.
macro_rules! of_each_workspace {
    ($table:literal) => {
        concat!(
            "with recursive owners (workspace_id) as (select min(workspace_id) from ",
            $table,
            " union all select (select min(t.workspace_id) from ",
            $table,
            " t where t.workspace_id > o.workspace_id) from owners o where o.workspace_id is not null) "
        )
    };
}

static TRIM_ATTEMPTS: ManyRows = ManyRows::new("delete from attempts where job_id in (", "?", ")");

impl Store {
    /// Requests received before, unless an event still has its payload there.
    pub async fn trim_requests(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        self.trim(
            "trim requests",
            concat!(
                of_each_workspace!("requests"),
                "delete from requests where (workspace_id, id) in (select r.workspace_id, r.id \
                 from owners o cross join requests r where r.workspace_id = o.workspace_id \
                 and r.id < $1 and not exists (select 1 from events e \
                 where e.workspace_id = r.workspace_id and e.id > 'evt_' || substr(r.id, 5, 10) \
                 and e.id <= 'evt_' || substr(r.id, 5, 10) || 'zzzzzzzzzzzzzzzz' \
                 and e.request_id = r.id) limit $2)",
            ),
            floor(RequestId::PREFIX, before),
            limit,
        )
        .await
    }

    /// Dictionaries whose requests were all received before, unless one of these is still there.
    pub async fn trim_dictionaries(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        let in_use = i64::try_from(IN_USE_FOR.as_millis()).unwrap_or(i64::MAX);
        let mut connection = self.database.writer().await?;
        Statement::new(
            "trim dictionaries",
            "delete from dictionaries where id in (select d.id from dictionaries d \
             where d.made_at < $1 and not exists (select 1 from requests r \
             where r.subscription_id = d.subscription_id and r.id < $2 \
             and r.dictionary_id = d.id) limit $3)",
        )
        .bind(Millis(before.0.saturating_sub(in_use)))
        .bind(floor(RequestId::PREFIX, before))
        .bind(limit)
        .run(&mut connection)
        .await
    }

    /// Events received before that are not pending, unless an unfinished job needs their payload.
    pub async fn trim_events(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        self.trim(
            "trim events",
            concat!(
                of_each_workspace!("events"),
                "delete from events where (workspace_id, id) in (select e.workspace_id, e.id \
                 from owners o cross join events e where e.workspace_id = o.workspace_id \
                 and e.id < $1 and e.state <> 'pending' and not exists (select 1 from jobs j \
                 where j.event_id = e.id and j.state in ('ready', 'running', 'waiting')) limit $2)",
            ),
            floor(EventId::PREFIX, before),
            limit,
        )
        .await
    }

    /// Jobs finished before, with their attempts; not the steps of a flow that goes on.
    pub async fn trim_jobs(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        let mut transaction = self.database.write().await?;
        let trimmed: Vec<Text> = Statement::new(
            "trim jobs",
            "delete from jobs where id in (select j.id from jobs j where j.finished_at < $1 \
             and not exists (select 1 from jobs f where f.id = j.flow_id and f.finished_at is null) \
             order by j.finished_at, j.id limit $2) returning id as text",
        )
        .bind(before)
        .bind(limit)
        .all(&mut transaction)
        .await?;
        // Of those that are gone by this very statement: another host may trim at the same time,
        // and attempts that outlive their job would be found by nobody.
        for chunk in chunks(&trimmed) {
            let text = TRIM_ATTEMPTS.text(self.database.backend, chunk.len());
            let mut delete = Statement::composed("trim the attempts of jobs", text);
            for job in chunk {
                delete.push(&job.0);
            }
            delete.run(&mut transaction).await?;
        }
        transaction.commit().await?;
        Ok(trimmed.len() as u64)
    }

    /// Attempts finished before whose job is finished too.
    pub async fn trim_attempts(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        self.trim(
            "trim attempts",
            "delete from attempts where (job_id, fence) in (select a.job_id, a.fence from attempts a \
             join jobs j on j.id = a.job_id where j.finished_at < $1 \
             order by j.finished_at, a.job_id, a.fence limit $2)",
            before,
            limit,
        )
        .await
    }

    /// Audit entries before.
    pub async fn trim_audit(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        self.trim(
            "trim the audit log",
            "delete from audit_log where id in (select id from audit_log where id < $1 \
             order by id limit $2)",
            floor(AuditId::PREFIX, before),
            limit,
        )
        .await
    }

    /// Runnables deleted before that no job names any more, and no flow that goes on has pinned, with
    /// their versions.
    pub async fn trim_runnables(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        const OLD: &str = "select r.id from runnables r where r.deleted_at < $1 \
            and not exists (select 1 from jobs j where j.runnable_id = r.id) \
            and not exists (select 1 from jobs f where f.workspace_id = r.workspace_id \
            and f.state in ('ready', 'running', 'waiting') and f.pins like '%' || r.id || '%') \
            order by r.id limit $2";
        let mut transaction = self.database.write().await?;
        Statement::composed(
            "trim the versions of runnables",
            format!("delete from runnable_versions where runnable_id in ({OLD})"),
        )
        .bind(before)
        .bind(limit)
        .run(&mut transaction)
        .await?;
        let trimmed = Statement::composed(
            "trim runnables",
            format!("delete from runnables where id in ({OLD})"),
        )
        .bind(before)
        .bind(limit)
        .run(&mut transaction)
        .await?;
        transaction.commit().await?;
        Ok(trimmed)
    }

    async fn trim(
        &self,
        operation: &'static str,
        text: &'static str,
        before: impl Bind<'_>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let mut connection = self.database.writer().await?;
        Statement::new(operation, text)
            .bind(before)
            .bind(limit)
            .run(&mut connection)
            .await
    }
}

/// The beginning that all ids made at `at` or later sort after: the time in ten letters, as in
/// [`crate::id`].
pub(super) fn floor(prefix: &str, at: Millis) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let time = at.0.max(0).unsigned_abs() & 0xffff_ffff_ffff;
    let letters = (0..10)
        .rev()
        .map(|place| char::from(ALPHABET[(time >> (place * 5)) as usize & 31]));
    format!("{prefix}_{}", letters.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_made_earlier_sort_before_the_floor_and_others_after() {
        let at = Millis(1_700_000_000_000);
        let floor = floor(EventId::PREFIX, at);
        assert!(EventId::generate(Millis(at.0 - 1)).as_str() < floor.as_str());
        assert!(EventId::generate(at).as_str() > floor.as_str());
        assert!(EventId::generate(Millis(at.0 + 1)).as_str() > floor.as_str());
    }
}
