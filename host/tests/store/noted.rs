//! Actions and their audit entries: both are there, or neither.

use serde_json::json;
use sqlx::Executor;
use triggerd::id::*;
use triggerd::model::*;
use triggerd::store::Backend;

use crate::fixture::{Fixture, on_both};

on_both! {
    what_cannot_be_noted_is_not_done
    what_is_done_is_noted_with_what_was_made
}

fn entry(fixture: &Fixture, action: &str) -> AuditEntry {
    AuditEntry {
        id: AuditId::generate(fixture.now()),
        workspace_id: Some(fixture.workspace.clone()),
        token_id: None,
        action: action.to_owned(),
        object: "of the caller".to_owned(),
        detail: json!({}),
        at: fixture.now(),
    }
}

fn token(fixture: &Fixture, name: &str) -> NewToken {
    NewToken {
        id: TokenId::generate(fixture.now()),
        workspace_id: None,
        name: name.to_owned(),
        hash: [name.len() as u8; 32],
        scopes: vec![Scope::Read],
        expires_at: None,
        runs: None,
    }
}

fn replay(fixture: &Fixture, runnable: &Runnable) -> Replay {
    Replay {
        id: JobId::generate(fixture.now()),
        version_id: runnable.version_id.clone(),
        attempts_max: 1,
    }
}

/// From now on the audit log takes nothing.
async fn spoil_log(fixture: &Fixture) {
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(fixture.config.url.expose());
    let pool = pool.await.expect("a connection of our own");
    let spoilt = match fixture.store.backend() {
        Backend::Sqlite => {
            "create trigger spoilt before insert on audit_log begin select raise(abort, 'no'); end"
        }
        Backend::Postgres => {
            "alter table audit_log add constraint spoilt check (action = 'x') not valid"
        }
    };
    pool.execute(sqlx::raw_sql(spoilt)).await.expect("spoilt");
    pool.close().await;
}

async fn what_cannot_be_noted_is_not_done(fixture: Fixture) {
    let (store, workspace) = (&fixture.store, &fixture.workspace);
    let runnable = fixture.runnable("f/a").await;
    let job = fixture.job(&runnable).await;
    let old = store
        .insert_token(token(&fixture, "old"))
        .await
        .expect("kept");
    let empty = store.insert_workspace("empty").await.expect("made");
    spoil_log(&fixture).await;
    let noted = |action| store.noted(entry(&fixture, action));
    let new = fixture.new_job(&runnable, b"{}");
    noted("job.start")
        .insert_job(new.clone())
        .await
        .expect_err("refused");
    assert_eq!(store.job(workspace, &new.id).await.expect("read"), None);
    let order = replay(&fixture, &runnable);
    let id = order.id.clone();
    let replayed = noted("job.replay").replay_job(workspace, &job, order);
    replayed.await.expect_err("refused");
    assert_eq!(store.job(workspace, &id).await.expect("read"), None);
    let cancelled = noted("job.cancel").cancel_job(workspace, &job);
    cancelled.await.expect_err("refused");
    assert_eq!(fixture.read_job(&job).await.state, JobState::Ready);
    let new = token(&fixture, "newer");
    noted("token.create")
        .insert_token(new.clone())
        .await
        .expect_err("refused");
    assert_eq!(store.token(&new.id).await.expect("read"), None);
    noted("token.revoke")
        .revoke_token(&old.id)
        .await
        .expect_err("refused");
    let held = store.token(&old.id).await.expect("read").expect("there");
    assert_eq!(held.revoked_at, None);
    noted("workspace.create")
        .insert_workspace("other")
        .await
        .expect_err("refused");
    let other = store.workspace_by_name("other").await;
    assert_eq!(other.expect("read"), None);
    noted("workspace.delete")
        .delete_workspace(&empty)
        .await
        .expect_err("refused");
    assert!(store.workspace(&empty.id).await.expect("read").is_some());
}

async fn what_is_done_is_noted_with_what_was_made(fixture: Fixture) {
    let (store, workspace) = (&fixture.store, &fixture.workspace);
    let runnable = fixture.runnable("f/a").await;
    let noted = |action| store.noted(entry(&fixture, action));
    let new = fixture.new_job(&runnable, b"{}");
    noted("job.start")
        .insert_job(new.clone())
        .await
        .expect("made");
    let order = replay(&fixture, &runnable);
    let replayed = noted("job.replay").replay_job(workspace, &new.id, order);
    let replayed = replayed.await.expect("made");
    let cancelled = noted("job.cancel").cancel_job(workspace, &new.id);
    assert_eq!(
        cancelled.await.expect("cancelled").state,
        JobState::Cancelled
    );
    let again = noted("job.cancel").cancel_job(workspace, &new.id).await;
    assert!(again.expect_err("it ended").is_conflict());
    let made = noted("workspace.create").insert_workspace("other").await;
    let other = made.expect("made");
    let made = noted("token.create")
        .insert_token(token(&fixture, "new"))
        .await;
    let made = made.expect("made");
    let page = PageQuery::first(100);
    let log = store.list_audit(Some(workspace), &page);
    let log = log.await.expect("read").items;
    let expected = [
        ("job.start", new.id.as_str()),
        ("job.replay", replayed.id.as_str()),
        ("job.cancel", "of the caller"),
        ("workspace.create", other.id.as_str()),
        ("token.create", made.id.as_str()),
    ];
    for (action, object) in expected {
        let found: Vec<&AuditEntry> = log.iter().filter(|one| one.action == action).collect();
        assert_eq!(found.len(), 1, "{action}");
        assert_eq!(found[0].object, object, "{action}");
    }
}
