//! Whose a call's key is: the call's that used it first, until it expires. Who repeats it gets the jobs
//! of that call; with another token it gets nothing, and learns nothing of them.

use std::collections::HashMap;

use super::calls::PackedCall;
use super::connection::Connection;
use super::open::Backend;
use super::rows::{ManyRows, chunks};
use super::sql::{FromRow, Row, Statement, Text};
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::{JobId, RunnableId, TokenId, WorkspaceId};
use crate::model::Called;

/// Workspace, key, runnable.
pub(super) type Key<'a> = (&'a str, &'a str, &'a str);

/// The call that a key stands for.
struct Owner<'a> {
    /// Its jobs.
    ids: String,
    /// Whose token it came with; none: it was kept before this batch, and its jobs tell.
    by: Option<&'a Option<TokenId>>,
}

/// Whose tokens made jobs, of those that are there.
type Callers = HashMap<String, Option<TokenId>>;

impl Store {
    /// The jobs that a key of this runnable stands for; `None`: nobody used it, or its time is over.
    pub async fn jobs_of_key(
        &self,
        (workspace, runnable): (&WorkspaceId, &RunnableId),
        key: &str,
        now: Millis,
    ) -> Result<Option<Vec<JobId>>, StoreError> {
        let mut connection = self.database.read().await?;
        let found: Option<Text> = Statement::new(
            "find the jobs of a key",
            "select jobs as text from call_keys where workspace_id = $1 and key = $2 \
             and runnable_id = $3 and expires_at > $4",
        )
        .bind(workspace)
        .bind(key)
        .bind(runnable)
        .bind(now)
        .one(&mut connection)
        .await?;
        found.map(|jobs| read_ids(&jobs.0)).transpose()
    }

    /// Keys whose time is over.
    pub async fn trim_call_keys(&self, now: Millis, limit: u32) -> Result<u64, StoreError> {
        let mut connection = self.database.writer().await?;
        Statement::new(
            "trim the keys of calls",
            "delete from call_keys where (workspace_id, key, runnable_id) in \
             (select workspace_id, key, runnable_id from call_keys where expires_at <= $1 \
             order by expires_at limit $2)",
        )
        .bind(now)
        .bind(limit)
        .run(&mut connection)
        .await
    }
}

/// What becomes of each call of a batch by its key, in their order.
pub(super) async fn settle_keys(
    connection: &mut impl Connection,
    backend: Backend,
    calls: &[&PackedCall],
    now: Millis,
) -> Result<Vec<Called>, StoreError> {
    let owners = claim_keys(connection, backend, calls, now).await?;
    let repeated = calls.iter().filter_map(|call| {
        let owner = owners.get(&call.key()?)?;
        (owner.by.is_none() && owner.ids != call.ids).then_some(&owner.ids)
    });
    let mut jobs: Vec<&str> = repeated
        .flat_map(|ids| ids.split_ascii_whitespace())
        .collect();
    jobs.sort_unstable();
    jobs.dedup();
    let callers = find_callers(connection, backend, &jobs).await?;
    let settled = calls.iter().map(|call| {
        let owner = call.key().and_then(|key| owners.get(&key));
        match owner.filter(|owner| owner.ids != call.ids) {
            Some(owner) => settle(call, owner, &callers),
            None => Ok(Called::Made),
        }
    });
    settled.collect()
}

/// A call whose key was used by another one.
fn settle(call: &PackedCall, owner: &Owner<'_>, callers: &Callers) -> Result<Called, StoreError> {
    let ids = || owner.ids.split_ascii_whitespace();
    let is_own = match owner.by {
        Some(by) => *by == call.token_id,
        // Of jobs that are gone nobody knows any more whose they were.
        None => ids().all(|id| callers.get(id).is_none_or(|by| *by == call.token_id)),
    };
    if !is_own {
        return Ok(Called::Taken);
    }
    let is_kept = owner.by.is_some() || ids().all(|id| callers.contains_key(id));
    let jobs = read_ids(&owner.ids)?;
    Ok(match is_kept {
        true => Called::Again { jobs },
        false => Called::Gone { jobs },
    })
}

/// Job ids separated by spaces.
pub(super) fn read_ids(text: &str) -> Result<Vec<JobId>, StoreError> {
    text.split_ascii_whitespace()
        .map(|id| {
            id.parse()
                .map_err(|error| StoreError::corrupt("jobs", error))
        })
        .collect()
}

static CLAIM_KEYS: ManyRows = ManyRows::new(
    "insert into call_keys (workspace_id, key, runnable_id, jobs, expires_at) values ",
    "(?, ?, ?, ?, ?)",
    " on conflict (workspace_id, key, runnable_id) do update \
     set jobs = excluded.jobs, expires_at = excluded.expires_at where call_keys.expires_at <= ?",
);

static SELECT_OWNERS: ManyRows = ManyRows::new(
    "with wanted (workspace_id, key, runnable_id) as (values ",
    "(?, ?, ?)",
    ") select k.workspace_id, k.key, k.runnable_id, k.jobs \
     from wanted w cross join call_keys k where k.workspace_id = w.workspace_id \
     and k.key = w.key and k.runnable_id = w.runnable_id and k.expires_at > ?",
);

/// Which jobs each key of this batch stands for.
async fn claim_keys<'a>(
    connection: &mut impl Connection,
    backend: Backend,
    calls: &[&'a PackedCall],
    now: Millis,
) -> Result<HashMap<Key<'a>, Owner<'a>>, StoreError> {
    let mut owners = HashMap::new();
    let (mut claims, mut asked) = (Vec::new(), Vec::new());
    for call in calls {
        let (Some(key), Some(wanted)) = (call.key(), &call.key) else {
            continue;
        };
        if call.ids.is_empty() {
            asked.push(key);
            continue;
        }
        // The first of equal ones in this batch asks for it.
        owners.entry(key).or_insert_with(|| {
            claims.push((key, call.ids.as_str(), wanted.expires_at));
            Owner {
                ids: call.ids.clone(),
                by: Some(&call.token_id),
            }
        });
    }
    // In one order everywhere, so that two hosts do not wait for each other in a circle.
    claims.sort_unstable_by_key(|(key, ..)| *key);
    asked.retain(|key| !owners.contains_key(key));
    for chunk in chunks(&claims) {
        let mut claim = Statement::composed(
            "claim the keys of calls",
            CLAIM_KEYS.text(backend, chunk.len()),
        );
        for ((workspace, key, runnable), ids, expires_at) in chunk {
            claim.push(*workspace);
            claim.push(*key);
            claim.push(*runnable);
            claim.push(*ids);
            claim.push(*expires_at);
        }
        let claimed = claim.bind(now).run(connection).await?;
        if claimed < chunk.len() as u64 {
            asked.extend(chunk.iter().map(|(key, ..)| *key));
        }
    }
    for chunk in chunks(&asked) {
        let mut select = Statement::composed(
            "find the owners of keys",
            SELECT_OWNERS.text(backend, chunk.len()),
        );
        for (workspace, key, runnable) in chunk {
            select.push(*workspace);
            select.push(*key);
            select.push(*runnable);
        }
        let rows: Vec<OwnerRow> = select.bind(now).all(connection).await?;
        for key in chunk {
            let Some(row) = rows.iter().find(|row| row.key() == *key) else {
                continue;
            };
            // One that was claimed just now is known better.
            if owners.get(key).is_none_or(|owner| owner.ids != row.jobs) {
                let ids = row.jobs.clone();
                owners.insert(*key, Owner { ids, by: None });
            }
        }
    }
    Ok(owners)
}

struct OwnerRow {
    workspace_id: String,
    key: String,
    runnable_id: String,
    jobs: String,
}

impl OwnerRow {
    fn key(&self) -> Key<'_> {
        (&self.workspace_id, &self.key, &self.runnable_id)
    }
}

impl FromRow for OwnerRow {
    fn from_row(row: &Row<'_>) -> Result<OwnerRow, StoreError> {
        Ok(OwnerRow {
            workspace_id: row.text("workspace_id")?,
            key: row.text("key")?,
            runnable_id: row.text("runnable_id")?,
            jobs: row.text("jobs")?,
        })
    }
}

static SELECT_CALLERS: ManyRows =
    ManyRows::new("select id, token_id from jobs where id in (", "?", ")");

async fn find_callers(
    connection: &mut impl Connection,
    backend: Backend,
    jobs: &[&str],
) -> Result<Callers, StoreError> {
    let mut callers = Callers::new();
    for chunk in chunks(jobs) {
        let text = SELECT_CALLERS.text(backend, chunk.len());
        let mut select = Statement::composed("find whose tokens made jobs", text);
        for job in chunk {
            select.push(*job);
        }
        let rows: Vec<CallerRow> = select.all(connection).await?;
        callers.extend(rows.into_iter().map(|row| (row.id, row.token_id)));
    }
    Ok(callers)
}

struct CallerRow {
    id: String,
    token_id: Option<TokenId>,
}

impl FromRow for CallerRow {
    fn from_row(row: &Row<'_>) -> Result<CallerRow, StoreError> {
        Ok(CallerRow {
            id: row.text("id")?,
            token_id: row.parsed_opt("token_id")?,
        })
    }
}
