//! What an operator makes: workspaces, tokens, subscriptions, runnables, triggers; apply and audit.

use serde_json::json;
use triggerd::id::*;
use triggerd::model::*;

use crate::fixture::{Fixture, host, on_both};

on_both! {
    a_workspace_is_made_once
    a_workspace_in_use_is_not_deleted
    an_emptied_workspace_is_deleted_with_what_its_runnables_left
    a_token_is_found_by_its_hash_until_it_is_revoked
    a_subscription_is_found_by_id_name_and_endpoint
    an_update_of_an_old_revision_is_a_conflict
    secrets_are_kept_replaced_or_removed
    the_same_content_is_the_same_version
    content_with_other_secrets_is_another_version
    a_trigger_waits_for_its_event_only
    changes_are_made_all_or_none
    a_name_that_is_taken_is_a_conflict
    what_triggers_use_is_not_deleted
    what_flows_and_connections_name_is_there_when_they_are_committed_and_stays
    a_deleted_runnable_keeps_its_past_and_frees_its_path
    objects_of_another_workspace_are_not_there
    a_change_that_changes_nothing_leaves_no_trace
    every_change_is_in_the_audit_log
}

async fn a_workspace_is_made_once(fixture: Fixture) {
    let again = fixture
        .store
        .ensure_workspace("default")
        .await
        .expect("there");
    assert_eq!(again.id, fixture.workspace);
    let error = fixture
        .store
        .insert_workspace("default")
        .await
        .expect_err("taken");
    assert!(error.is_conflict());
    fixture
        .store
        .insert_workspace("another")
        .await
        .expect("made");
    let names: Vec<String> = fixture
        .store
        .list_workspaces()
        .await
        .expect("listed")
        .into_iter()
        .map(|workspace| workspace.name)
        .collect();
    assert_eq!(names, ["another", "default"]);
}

async fn a_workspace_in_use_is_not_deleted(fixture: Fixture) {
    let held = fixture.store.ensure_workspace("default").await;
    let held = held.expect("there");
    let runnable = fixture.runnable("f/a").await;
    let error = fixture
        .store
        .delete_workspace(&held)
        .await
        .expect_err("in use");
    assert!(error.is_conflict(), "{error}");
    assert!(error.to_string().contains("`default`"), "{error}");
    let empty = fixture.store.insert_workspace("empty").await.expect("made");
    fixture
        .store
        .delete_workspace(&empty)
        .await
        .expect("deleted");
    let error = fixture
        .store
        .delete_workspace(&empty)
        .await
        .expect_err("gone");
    assert!(error.is_not_found());
    assert_eq!(runnable.workspace_id, fixture.workspace);
}

async fn an_emptied_workspace_is_deleted_with_what_its_runnables_left(fixture: Fixture) {
    let emptied = fixture.store.ensure_workspace("default").await;
    let emptied = emptied.expect("there");
    let runnable = fixture.runnable("f/a").await;
    let done = fixture.job(&runnable).await;
    let job = fixture.claim(&runnable, &host(), 1).await.remove(0).job;
    assert_eq!(job.id, done);
    fixture
        .apply(vec![Change::DeleteRunnable(runnable.id.clone())])
        .await;
    let delete = async || fixture.store.delete_workspace(&emptied).await;
    let error = delete().await.expect_err("a job of it runs");
    assert!(error.is_conflict(), "{error}");
    assert!(error.to_string().contains("have not ended"), "{error}");
    let version = fixture.store.runnable_version(&runnable.version_id).await;
    assert!(version.expect("read").is_some(), "it is needed");
    let end = vec![fixture.finished(&job, Next::Done)];
    fixture.store.finish_attempts(end).await.expect("recorded");
    delete().await.expect("deleted");
    let version = fixture.store.runnable_version(&runnable.version_id).await;
    assert!(version.expect("read").is_none());
}

async fn a_token_is_found_by_its_hash_until_it_is_revoked(fixture: Fixture) {
    let new = NewToken {
        runs: None,
        id: TokenId::generate(fixture.now()),
        workspace_id: Some(fixture.workspace.clone()),
        name: "ci".to_owned(),
        hash: [7; 32],
        scopes: vec![Scope::Apply, Scope::Read],
        expires_at: Some(fixture.later(60)),
    };
    let token = fixture.store.insert_token(new.clone()).await.expect("kept");
    assert_eq!(
        fixture.store.token_by_hash(&[7; 32]).await.expect("read"),
        Some(token.clone())
    );
    assert_eq!(
        fixture.store.token_by_hash(&[8; 32]).await.expect("read"),
        None
    );
    assert!(
        fixture
            .store
            .insert_token(new)
            .await
            .expect_err("twice")
            .is_conflict()
    );

    let used = vec![(token.id.clone(), fixture.later(5))];
    fixture.store.touch_tokens(used).await.expect("noted");
    let earlier = vec![(token.id.clone(), fixture.now())];
    fixture.store.touch_tokens(earlier).await.expect("noted");
    fixture
        .store
        .revoke_token(&token.id)
        .await
        .expect("revoked");
    let listed = fixture
        .store
        .list_tokens(Some(&fixture.workspace))
        .await
        .expect("listed");
    assert_eq!(
        listed,
        [Token {
            last_used_at: Some(fixture.later(5)),
            revoked_at: Some(fixture.now()),
            ..token.clone()
        }]
    );
    assert_eq!(
        fixture.store.list_tokens(None).await.expect("listed"),
        listed
    );
    let error = fixture
        .store
        .revoke_token(&token.id)
        .await
        .expect_err("already");
    assert!(error.is_not_found());
}

async fn a_subscription_is_found_by_id_name_and_endpoint(fixture: Fixture) {
    let mut new = fixture.new_subscription("my-repo");
    new.parameters = json!({"repository": "a/b"})
        .as_object()
        .expect("a map")
        .clone();
    fixture
        .apply(vec![Change::CreateSubscription(new.clone())])
        .await;
    let store = &fixture.store;
    let found = store
        .subscription(&fixture.workspace, &new.id)
        .await
        .expect("read");
    let found = found.expect("it is there");
    assert_eq!(
        found,
        Subscription {
            id: new.id.clone(),
            workspace_id: fixture.workspace.clone(),
            name: "my-repo".to_owned(),
            provider: "acme".to_owned(),
            endpoint: new.endpoint.clone(),
            mode: SubscriptionMode::Manual,
            parameters: new.parameters,
            properties: new.properties,
            has_secrets: true,
            state: SubscriptionState::Active,
            state_reason: None,
            state_since: fixture.now(),
            terms: Terms::default(),
            is_deleting: false,
            revision: 1,
            created_at: fixture.now(),
            updated_at: fixture.now(),
        }
    );
    let by_name = store
        .subscription_by_name(&fixture.workspace, "my-repo")
        .await
        .expect("read");
    assert_eq!(by_name.as_ref(), Some(&found));
    let by_endpoint = store
        .subscription_by_endpoint(&new.endpoint)
        .await
        .expect("read");
    assert_eq!(by_endpoint.as_ref(), Some(&found));
    assert_eq!(
        store.all_subscriptions().await.expect("read"),
        std::slice::from_ref(&found)
    );
    let page = store
        .list_subscriptions(&fixture.workspace, &PageQuery::default())
        .await;
    assert_eq!(page.expect("listed").items, [found]);
}

async fn an_update_of_an_old_revision_is_a_conflict(fixture: Fixture) {
    let new = fixture.new_subscription("my-repo");
    let update = Change::UpdateSubscription(SubscriptionUpdate {
        id: new.id.clone(),
        revision: 1,
        parameters: json!({"a": 1}).as_object().expect("a map").clone(),
        properties: serde_json::Map::new(),
        secrets: SecretsUpdate::Keep,
        terms: Terms::default(),
    });
    fixture
        .apply(vec![
            Change::CreateSubscription(new.clone()),
            update.clone(),
        ])
        .await;
    let error = fixture
        .store
        .apply(&fixture.actor(), vec![update])
        .await
        .expect_err("old");
    assert!(error.is_conflict());
    let found = fixture
        .store
        .subscription(&fixture.workspace, &new.id)
        .await
        .expect("read");
    assert_eq!(found.expect("it is there").revision, 2);
}

async fn secrets_are_kept_replaced_or_removed(fixture: Fixture) {
    let new = fixture.new_subscription("my-repo");
    fixture
        .apply(vec![Change::CreateSubscription(new.clone())])
        .await;
    let secrets = async || {
        let secrets = fixture
            .store
            .subscription_secrets(&new.id)
            .await
            .expect("opened");
        secrets.map(|secrets| secrets.expose().clone())
    };
    let update = async |revision, secrets| {
        let update = SubscriptionUpdate {
            id: new.id.clone(),
            revision,
            parameters: serde_json::Map::new(),
            properties: serde_json::Map::new(),
            secrets,
            terms: Terms::default(),
        };
        fixture
            .apply(vec![Change::UpdateSubscription(update)])
            .await;
    };
    assert_eq!(
        secrets().await.as_deref(),
        Some(r#"{"webhook_secret":"tiger-lily-42"}"#)
    );
    update(1, SecretsUpdate::Keep).await;
    assert_eq!(
        secrets().await.as_deref(),
        Some(r#"{"webhook_secret":"tiger-lily-42"}"#)
    );
    let other = triggerd::secret::Secret::new(r#"{"webhook_secret":"b"}"#.to_owned());
    update(2, SecretsUpdate::Replace(other)).await;
    assert_eq!(
        secrets().await.as_deref(),
        Some(r#"{"webhook_secret":"b"}"#)
    );
    update(3, SecretsUpdate::Remove).await;
    assert_eq!(secrets().await, None);
}

async fn update_runnable(fixture: &Fixture, id: &RunnableId, version: NewVersion) -> ChangedKind {
    let update = RunnableUpdate {
        id: id.clone(),
        version,
    };
    fixture.apply(vec![Change::UpdateRunnable(update)]).await[0]
}

async fn the_same_content_is_the_same_version(fixture: Fixture) {
    let first = fixture.runnable("f/a").await;
    let mut reordered = fixture.new_version("./run.sh");
    reordered.spec = json!({"timeout_ms": 30_000, "argv": ["./run.sh"]});
    assert_eq!(
        update_runnable(&fixture, &first.id, reordered).await,
        ChangedKind::Unchanged
    );

    let other = fixture.new_version("./other.sh");
    assert_eq!(
        update_runnable(&fixture, &first.id, other).await,
        ChangedKind::Updated
    );
    let second = fixture
        .store
        .runnable_by_path(&fixture.workspace, "f/a")
        .await
        .expect("read");
    let second = second.expect("it is there");
    assert_ne!(second.version_id, first.version_id);

    let back = fixture.new_version("./run.sh");
    assert_eq!(
        update_runnable(&fixture, &first.id, back).await,
        ChangedKind::Updated
    );
    let third = fixture
        .store
        .runnable_by_path(&fixture.workspace, "f/a")
        .await
        .expect("read");
    assert_eq!(third.expect("it is there").version_id, first.version_id);

    let versions = fixture
        .store
        .list_runnable_versions(&first.id)
        .await
        .expect("listed");
    let numbers: Vec<i64> = versions.iter().map(|version| version.number).collect();
    assert_eq!(numbers, [2, 1]);
    let version = fixture
        .store
        .runnable_version(&first.version_id)
        .await
        .expect("read");
    let version = version.expect("it is there");
    assert_eq!(version.kind, RunnableKind::Command);
    assert_eq!(version.spec["argv"], json!(["./run.sh"]));
}

async fn content_with_other_secrets_is_another_version(fixture: Fixture) {
    let first = fixture.runnable("f/a").await;
    let with = |secret: &str| NewVersion {
        secrets: Some(triggerd::secret::Secret::new(secret.to_owned())),
        ..fixture.new_version("./run.sh")
    };
    let current = async || {
        let found = fixture
            .store
            .runnable_by_path(&fixture.workspace, "f/a")
            .await;
        let id = found.expect("read").expect("it is there").version_id;
        fixture
            .store
            .runnable_version(&id)
            .await
            .expect("read")
            .expect("it is there")
    };
    assert_eq!(
        update_runnable(&fixture, &first.id, with("{}")).await,
        ChangedKind::Updated
    );
    let version = current().await;
    assert_eq!(
        version.secrets.as_ref().map(|s| s.expose().as_str()),
        Some("{}")
    );
    assert_eq!(
        update_runnable(&fixture, &first.id, with("{}")).await,
        ChangedKind::Unchanged
    );
    assert_eq!(
        update_runnable(&fixture, &first.id, with("[]")).await,
        ChangedKind::Updated
    );
    assert_eq!(
        update_runnable(&fixture, &first.id, with("{}")).await,
        ChangedKind::Updated
    );
    assert_eq!(current().await.id, version.id);
}

async fn a_trigger_waits_for_its_event_only(fixture: Fixture) {
    let (subscription, other) = (
        fixture.new_subscription("one"),
        fixture.new_subscription("two"),
    );
    let runnable = fixture.new_runnable("f/a");
    let wanted = fixture.new_trigger("wanted", &subscription.id, &runnable.id);
    let mut disabled = fixture.new_trigger("disabled", &subscription.id, &runnable.id);
    disabled.enabled = false;
    let mut other_event = fixture.new_trigger("other-event", &subscription.id, &runnable.id);
    other_event.event = "pull".to_owned();
    let elsewhere = fixture.new_trigger("elsewhere", &other.id, &runnable.id);
    fixture
        .apply(vec![
            Change::CreateSubscription(subscription.clone()),
            Change::CreateSubscription(other),
            Change::CreateRunnable(runnable.clone()),
            Change::CreateTrigger(wanted.clone()),
            Change::CreateTrigger(disabled),
            Change::CreateTrigger(other_event.clone()),
            Change::CreateTrigger(elsewhere),
        ])
        .await;
    let found = fixture
        .store
        .triggers_for_event(&subscription.id, "push")
        .await
        .expect("found");
    assert_eq!(found.len(), 1);
    let expected = fixture
        .store
        .trigger(&fixture.workspace, &wanted.id)
        .await
        .expect("read");
    assert_eq!(Some(&found[0].0), expected.as_ref());
    assert_eq!(
        (&found[0].1.id, found[0].1.path.as_str()),
        (&runnable.id, "f/a")
    );

    let filter = TriggerFilter {
        event: Some("pull".to_owned()),
        ..TriggerFilter::default()
    };
    let page = fixture
        .store
        .list_triggers(&fixture.workspace, &filter, &PageQuery::default())
        .await;
    let page = page.expect("listed");
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.items[0].id, other_event.id);
    let by_name = fixture
        .store
        .trigger_by_name(&fixture.workspace, "wanted")
        .await
        .expect("read");
    assert_eq!(by_name, expected);
}

async fn changes_are_made_all_or_none(fixture: Fixture) {
    let subscription = fixture.new_subscription("one");
    let missing = RunnableId::generate(fixture.now());
    let trigger = fixture.new_trigger("t", &subscription.id, &missing);
    let changes = vec![
        Change::CreateSubscription(subscription.clone()),
        Change::CreateTrigger(trigger),
    ];
    let error = fixture
        .store
        .apply(&fixture.actor(), changes)
        .await
        .expect_err("no runnable");
    assert!(error.is_not_found());
    assert!(
        fixture
            .store
            .all_subscriptions()
            .await
            .expect("read")
            .is_empty()
    );
    let audit = fixture
        .store
        .list_audit(Some(&fixture.workspace), &PageQuery::default())
        .await;
    assert!(audit.expect("listed").items.is_empty());
}

async fn a_name_that_is_taken_is_a_conflict(fixture: Fixture) {
    let (subscription, runnable) = (fixture.new_subscription("one"), fixture.new_runnable("f/a"));
    let trigger = fixture.new_trigger("t", &subscription.id, &runnable.id);
    fixture
        .apply(vec![
            Change::CreateSubscription(subscription.clone()),
            Change::CreateRunnable(runnable.clone()),
            Change::CreateTrigger(trigger),
        ])
        .await;
    let again = [
        Change::CreateSubscription(fixture.new_subscription("one")),
        Change::CreateRunnable(fixture.new_runnable("f/a")),
        Change::CreateTrigger(fixture.new_trigger("t", &subscription.id, &runnable.id)),
    ];
    for change in again {
        let error = fixture
            .store
            .apply(&fixture.actor(), vec![change])
            .await
            .expect_err("taken");
        assert!(error.is_conflict(), "{error}");
    }
}

async fn what_triggers_use_is_not_deleted(fixture: Fixture) {
    let (subscription, runnable) = (fixture.new_subscription("one"), fixture.new_runnable("f/a"));
    let trigger = fixture.new_trigger("on-main", &subscription.id, &runnable.id);
    fixture
        .apply(vec![
            Change::CreateSubscription(subscription.clone()),
            Change::CreateRunnable(runnable.clone()),
            Change::CreateTrigger(trigger.clone()),
        ])
        .await;
    let deletions = [
        Change::DeleteSubscription(subscription.id.clone()),
        Change::DeleteRunnable(runnable.id.clone()),
    ];
    for change in deletions.clone() {
        let error = fixture
            .store
            .apply(&fixture.actor(), vec![change])
            .await
            .expect_err("used");
        assert!(error.is_conflict());
        assert!(error.to_string().contains("on-main"), "{error}");
    }
    let mut all = vec![Change::DeleteTrigger(trigger.id)];
    all.extend(deletions);
    assert_eq!(fixture.apply(all).await, [ChangedKind::Deleted; 3]);
    assert!(
        fixture
            .store
            .all_subscriptions()
            .await
            .expect("read")
            .is_empty()
    );
}

async fn what_flows_and_connections_name_is_there_when_they_are_committed_and_stays(
    fixture: Fixture,
) {
    let flow = |path: &str, step: &str| {
        let mut new = fixture.new_runnable(path);
        new.version.kind = RunnableKind::Flow;
        new.version.spec = json!({"flow": {"steps": [{"id": "a", "run": step}]}});
        new
    };
    let connection = |name: &str, asked: &str| {
        let mut new = fixture.new_subscription(name);
        let said = json!({"url": {"runnable": asked}});
        new.parameters.insert("socket".to_owned(), said);
        new
    };
    let refused = async |changes: Vec<Change>, words: &str| {
        let error = fixture.store.apply(&fixture.actor(), changes).await;
        let error = error.expect_err(words);
        assert!(
            error.is_conflict() && error.to_string().contains(words),
            "{error}"
        );
    };
    // Somebody else deleted it since the changes were planned.
    let made = Change::CreateRunnable(flow("f/early", "f/step"));
    refused(vec![made], "there is no runnable `f/step` any more").await;
    let made = Change::CreateSubscription(connection("early", "f/step"));
    refused(vec![made], "there is no runnable `f/step` any more").await;

    let step = fixture.runnable("f/step").await;
    let (whole, feed) = (flow("f/whole", "f/step"), connection("feed", "f/step"));
    let (whole_id, feed_id) = (whole.id.clone(), feed.id.clone());
    let made = vec![
        Change::CreateRunnable(whole),
        Change::CreateSubscription(feed),
    ];
    fixture.apply(made).await;
    let delete = |id: &RunnableId| Change::DeleteRunnable(id.clone());
    refused(vec![delete(&step.id)], "flows (f/whole)").await;
    let end_flow = vec![delete(&step.id), delete(&whole_id)];
    refused(end_flow.clone(), "connections (feed)").await;

    // Made anew in the same commit, it is there for them as before.
    let anew = fixture.new_runnable("f/step");
    let replaced = vec![delete(&step.id), Change::CreateRunnable(anew.clone())];
    fixture.apply(replaced).await;
    let end_all = vec![
        delete(&anew.id),
        delete(&whole_id),
        Change::DeleteSubscription(feed_id),
    ];
    assert_eq!(fixture.apply(end_all).await, [ChangedKind::Deleted; 3]);
}

async fn a_deleted_runnable_keeps_its_past_and_frees_its_path(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let done = fixture.job(&runnable).await;
    let job = fixture.claim(&runnable, &host(), 1).await.remove(0).job;
    let end = vec![fixture.finished(&job, Next::Done)];
    fixture.store.finish_attempts(end).await.expect("recorded");
    let waiting = fixture.job(&runnable).await;
    fixture
        .apply(vec![Change::DeleteRunnable(runnable.id.clone())])
        .await;

    let cancelled = fixture.read_job(&waiting).await;
    assert_eq!(cancelled.state, JobState::Cancelled);
    assert_eq!(cancelled.error.as_deref(), Some("its runnable was deleted"));
    assert_eq!(fixture.read_job(&done).await.state, JobState::Done);
    let version = fixture
        .store
        .runnable_version(&runnable.version_id)
        .await
        .expect("read");
    assert!(version.is_some());
    let page = fixture
        .store
        .list_runnables(&fixture.workspace, &PageQuery::default())
        .await;
    assert!(page.expect("listed").items.is_empty());
    let again = fixture.runnable("f/a").await;
    assert_ne!(again.id, runnable.id);
}

async fn objects_of_another_workspace_are_not_there(fixture: Fixture) {
    let (subscription, runnable) = (fixture.new_subscription("one"), fixture.new_runnable("f/a"));
    let trigger = fixture.new_trigger("t", &subscription.id, &runnable.id);
    fixture
        .apply(vec![
            Change::CreateSubscription(subscription.clone()),
            Change::CreateRunnable(runnable.clone()),
            Change::CreateTrigger(trigger.clone()),
        ])
        .await;
    let other = fixture.store.ensure_workspace("other").await.expect("made");
    let actor = Actor {
        workspace_id: other.id.clone(),
        token_id: None,
    };
    let mut theirs = fixture.new_trigger("x", &subscription.id, &runnable.id);
    theirs.workspace_id = other.id.clone();
    let attempts = vec![
        Change::CreateSubscription(fixture.new_subscription("x")),
        Change::UpdateSubscription(SubscriptionUpdate {
            id: subscription.id.clone(),
            revision: 1,
            parameters: serde_json::Map::new(),
            properties: serde_json::Map::new(),
            secrets: SecretsUpdate::Remove,
            terms: Terms::default(),
        }),
        Change::SetSubscriptionState {
            id: subscription.id.clone(),
            state: SubscriptionState::Paused,
            reason: None,
        },
        Change::DeleteSubscription(subscription.id.clone()),
        Change::UpdateRunnable(RunnableUpdate {
            id: runnable.id.clone(),
            version: fixture.new_version("./evil.sh"),
        }),
        Change::SetRunnableState {
            id: runnable.id.clone(),
            state: RunnableState::Disabled,
            reason: None,
        },
        Change::DeleteRunnable(runnable.id.clone()),
        Change::CreateTrigger(theirs),
        Change::UpdateTrigger(TriggerUpdate {
            id: trigger.id.clone(),
            revision: 1,
            subscription_id: subscription.id.clone(),
            event: "pull".to_owned(),
            parameters: serde_json::Map::new(),
            runnable_id: runnable.id.clone(),
            enabled: true,
        }),
        Change::DeleteTrigger(trigger.id.clone()),
    ];
    for change in attempts {
        let words = format!("{change:?}");
        let error = fixture
            .store
            .apply(&actor, vec![change])
            .await
            .expect_err("not theirs");
        assert!(error.is_not_found(), "{words}: {error}");
    }
    let store = &fixture.store;
    assert_eq!(
        store
            .subscription(&other.id, &subscription.id)
            .await
            .expect("read"),
        None
    );
    assert_eq!(
        store.runnable(&other.id, &runnable.id).await.expect("read"),
        None
    );
    assert_eq!(
        store.trigger(&other.id, &trigger.id).await.expect("read"),
        None
    );
}

async fn a_change_that_changes_nothing_leaves_no_trace(fixture: Fixture) {
    let subscription = fixture.new_subscription("one");
    let pause = Change::SetSubscriptionState {
        id: subscription.id.clone(),
        state: SubscriptionState::Paused,
        reason: Some("holidays".to_owned()),
    };
    fixture
        .apply(vec![Change::CreateSubscription(subscription.clone())])
        .await;
    assert_eq!(
        fixture.apply(vec![pause.clone()]).await,
        [ChangedKind::Updated]
    );
    let before = fixture.store.all_subscriptions().await.expect("read");
    fixture.advance(1);
    assert_eq!(fixture.apply(vec![pause]).await, [ChangedKind::Unchanged]);
    assert_eq!(
        fixture.store.all_subscriptions().await.expect("read"),
        before
    );
    assert_eq!(before[0].state_reason.as_deref(), Some("holidays"));
    let audit = fixture
        .store
        .list_audit(Some(&fixture.workspace), &PageQuery::default())
        .await;
    assert_eq!(audit.expect("listed").items.len(), 2);
}

async fn every_change_is_in_the_audit_log(fixture: Fixture) {
    let token_id = TokenId::generate(fixture.now());
    let actor = Actor {
        token_id: Some(token_id.clone()),
        ..fixture.actor()
    };
    let subscription = fixture.new_subscription("one");
    let changes = vec![Change::CreateSubscription(subscription.clone())];
    fixture.store.apply(&actor, changes).await.expect("applied");
    let page = fixture
        .store
        .list_audit(Some(&fixture.workspace), &PageQuery::default())
        .await;
    let entry = page.expect("listed").items.remove(0);
    assert_eq!(entry.action, "subscription.create");
    assert_eq!(entry.object, subscription.id.as_str());
    assert_eq!(entry.token_id, Some(token_id));
    assert_eq!(entry.detail, json!({"name": "one", "provider": "acme"}));

    let instance = AuditEntry {
        id: AuditId::generate(fixture.now()),
        workspace_id: None,
        token_id: None,
        action: "keys.rotate".to_owned(),
        object: "keys".to_owned(),
        detail: json!({}),
        at: fixture.now(),
    };
    fixture
        .store
        .insert_audit(instance.clone())
        .await
        .expect("noted");
    let page = fixture
        .store
        .list_audit(None, &PageQuery::default())
        .await
        .expect("listed");
    assert_eq!(page.items, [instance]);
}
