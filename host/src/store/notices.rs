//! Who is told of the changes in a workspace, and what is still to be told: an outbox that is filled
//! in the commit of each change.

use serde_json::{Value, json};

use super::changes::Edit;
use super::connection::Connection;
use super::keys::hook_place;
use super::sql::{FromRow, Row, Statement, Text};
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::{NoticeId, WorkspaceId};
use crate::model::{AuditEntry, ChangedKind, HookOrder, Notice, WorkspaceHook};
use crate::secret::Secret;

/// Of which kinds of objects the changes are told.
const TOLD: [&str; 9] = [
    "runnable",
    "trigger",
    "subscription",
    "schedule",
    "socket",
    "route",
    "error_handler",
    "integration",
    "credential",
];

const SELECT_HOOK: &str = "select h.workspace_id, w.name as workspace, h.url, h.secret, h.allow, \
    h.failure, h.told_at, h.created_at, h.updated_at, (select count(*) from workspace_notices n \
    where n.workspace_id = h.workspace_id) as waiting from workspace_hooks h \
    join workspaces w on w.id = h.workspace_id";

impl Store {
    /// Who is told of the changes in a workspace, its secret opened.
    pub async fn workspace_hook(
        &self,
        workspace: &WorkspaceId,
    ) -> Result<Option<WorkspaceHook>, StoreError> {
        let mut connection = self.database.read().await?;
        let row: Option<HookRow> = Statement::composed(
            "read a workspace's webhook",
            format!("{SELECT_HOOK} where h.workspace_id = $1"),
        )
        .bind(workspace)
        .one(&mut connection)
        .await?;
        row.map(|row| self.open_hook(row)).transpose()
    }

    /// The oldest notice of each workspace that is due, held until `lease_until` so that no other
    /// host tells it too. A workspace is told of its changes in their order.
    pub async fn claim_notices(
        &self,
        now: Millis,
        lease_until: Millis,
        limit: u32,
    ) -> Result<Vec<Notice>, StoreError> {
        let mut transaction = self.database.write().await?;
        let claimed = Statement::new(
            "claim notices",
            "update workspace_notices set lease_until = $1, tries = tries + 1 where id in \
             (select min(n.id) from workspace_notices n group by n.workspace_id \
             order by 1 limit $2) and due_at <= $3 and lease_until <= $4 \
             returning id, workspace_id, action, object, detail, tries, created_at",
        )
        .bind(lease_until)
        .bind(limit)
        .bind(now)
        .bind(now)
        .all(&mut transaction)
        .await?;
        transaction.commit().await?;
        Ok(claimed)
    }

    /// It was told, or is given up for a reason that stays with the webhook.
    pub async fn end_notice(
        &self,
        notice: &Notice,
        failure: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.database.write().await?;
        Statement::new(
            "end a notice",
            "delete from workspace_notices where id = $1",
        )
        .bind(&notice.id)
        .run(&mut transaction)
        .await?;
        Statement::new(
            "note how a notice ended",
            "update workspace_hooks set failure = $1, \
             told_at = case when $2 = 1 then $3 else told_at end where workspace_id = $4",
        )
        .bind(failure)
        .bind(failure.is_none())
        .bind(self.clock.now())
        .bind(&notice.workspace_id)
        .run(&mut transaction)
        .await?;
        transaction.commit().await
    }

    /// It was not taken, and is tried again.
    pub async fn delay_notice(
        &self,
        notice: &Notice,
        due_at: Millis,
        failure: &str,
    ) -> Result<(), StoreError> {
        let mut transaction = self.database.write().await?;
        Statement::new(
            "delay a notice",
            "update workspace_notices set due_at = $1, lease_until = 0 where id = $2",
        )
        .bind(due_at)
        .bind(&notice.id)
        .run(&mut transaction)
        .await?;
        Statement::new(
            "note why a notice waits",
            "update workspace_hooks set failure = $1 where workspace_id = $2",
        )
        .bind(failure)
        .bind(&notice.workspace_id)
        .run(&mut transaction)
        .await?;
        transaction.commit().await
    }

    fn open_hook(&self, row: HookRow) -> Result<WorkspaceHook, StoreError> {
        let place = hook_place(row.hook.workspace_id.as_str());
        let secret = self.open_envelope("open the secret of a webhook", &place, &row.envelope)?;
        Ok(WorkspaceHook { secret, ..row.hook })
    }
}

impl Edit<'_> {
    pub(super) async fn set_workspace_hook(
        &mut self,
        order: &HookOrder,
    ) -> Result<ChangedKind, StoreError> {
        let workspace = &self.actor.workspace_id;
        let place = hook_place(workspace.as_str());
        Statement::new(
            "set a workspace's webhook",
            "insert into workspace_hooks (workspace_id, url, secret, allow, created_at, \
             updated_at) values ($1, $2, $3, $4, $5, $6) on conflict (workspace_id) do update set \
             url = excluded.url, secret = excluded.secret, allow = excluded.allow, \
             failure = null, updated_at = excluded.updated_at",
        )
        .bind(workspace)
        .bind(&order.url)
        .bind(self.seal(&place, Some(&order.secret)))
        .bind(json!(order.allow).to_string())
        .bind(self.now)
        .bind(self.now)
        .run(self.connection)
        .await?;
        // Those that waited for the one before are tried at once.
        Statement::new(
            "hurry notices",
            "update workspace_notices set due_at = $1, tries = 0, lease_until = 0 \
             where workspace_id = $2",
        )
        .bind(self.now)
        .bind(workspace)
        .run(self.connection)
        .await?;
        Ok(ChangedKind::Updated)
    }

    pub(super) async fn remove_workspace_hook(&mut self) -> Result<ChangedKind, StoreError> {
        let workspace = &self.actor.workspace_id;
        let removed = Statement::new(
            "remove a workspace's webhook",
            "delete from workspace_hooks where workspace_id = $1",
        )
        .bind(workspace)
        .run(self.connection)
        .await?;
        Statement::new(
            "let notices go",
            "delete from workspace_notices where workspace_id = $1",
        )
        .bind(workspace)
        .run(self.connection)
        .await?;
        Ok(match removed {
            0 => ChangedKind::Unchanged,
            _ => ChangedKind::Deleted,
        })
    }
}

/// Puts a change into the outbox of its workspace, if somebody is told there.
pub(super) async fn note(
    connection: &mut impl Connection,
    entry: &AuditEntry,
    name: Option<String>,
) -> Result<(), StoreError> {
    let kind = entry.action.split('.').next().unwrap_or_default();
    let Some(workspace) = entry.workspace_id.as_ref().filter(|_| TOLD.contains(&kind)) else {
        return Ok(());
    };
    let mut detail = entry.detail.clone();
    if let (Some(name), Value::Object(detail)) = (name, &mut detail) {
        detail.entry("name").or_insert_with(|| Value::String(name));
    }
    Statement::new(
        "note a change to be told",
        "insert into workspace_notices (id, workspace_id, action, object, detail, tries, due_at, \
         created_at) select cast($1 as text), workspace_id, cast($2 as text), cast($3 as text), \
         cast($4 as text), 0, cast($5 as bigint), cast($6 as bigint) \
         from workspace_hooks where workspace_id = $7",
    )
    .bind(NoticeId::generate(entry.at))
    .bind(&entry.action)
    .bind(&entry.object)
    .bind(detail.to_string())
    .bind(entry.at)
    .bind(entry.at)
    .bind(workspace)
    .run(connection)
    .await
    .map(|_| ())
}

/// How an object is called, by its id; none: it is not there, or has no name.
pub(super) async fn name_of(
    connection: &mut impl Connection,
    object: &str,
) -> Result<Option<String>, StoreError> {
    let select = match object.split('_').next().unwrap_or_default() {
        "run" => "select path as text from runnables where id = $1",
        "trg" => "select name as text from triggers where id = $1",
        "sub" => "select name as text from subscriptions where id = $1",
        "sch" => "select name as text from schedules where id = $1",
        "rte" => "select name as text from routes where id = $1",
        "int" => "select name as text from integrations where id = $1",
        "crd" => "select name as text from credentials where id = $1",
        _ => return Ok(None),
    };
    let name: Option<Text> = Statement::new("read the name of an object", select)
        .bind(object)
        .one(connection)
        .await?;
    Ok(name.map(|name| name.0))
}

struct HookRow {
    hook: WorkspaceHook,
    envelope: Vec<u8>,
}

impl FromRow for HookRow {
    fn from_row(row: &Row<'_>) -> Result<HookRow, StoreError> {
        Ok(HookRow {
            hook: WorkspaceHook {
                workspace_id: row.parsed("workspace_id")?,
                workspace: row.text("workspace")?,
                url: row.text("url")?,
                secret: Secret::new(String::new()),
                allow: row.json("allow")?,
                failure: row.text_opt("failure")?,
                told_at: row.millis_opt("told_at")?,
                waiting: row.int("waiting")?,
                created_at: row.millis("created_at")?,
                updated_at: row.millis("updated_at")?,
            },
            envelope: row.bytes_opt("secret")?.unwrap_or_default(),
        })
    }
}

impl FromRow for Notice {
    fn from_row(row: &Row<'_>) -> Result<Notice, StoreError> {
        Ok(Notice {
            id: row.parsed("id")?,
            workspace_id: row.parsed("workspace_id")?,
            action: row.text("action")?,
            object: row.text("object")?,
            detail: row.json("detail")?,
            tries: u32::try_from(row.int("tries")?).unwrap_or(u32::MAX),
            created_at: row.millis("created_at")?,
        })
    }
}
