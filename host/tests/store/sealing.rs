//! Secrets in the database: sealed, bound to their row, and opened by the right key only.

use sqlx::Row;
use triggerd::id::SubscriptionId;
use triggerd::model::*;
use triggerd::seal::KeyRing;
use triggerd::secret::Secret;
use triggerd::store::Store;

use crate::connects;
use crate::fixture::{Fixture, on_both, pool};

on_both! {
    secrets_are_not_in_the_database_in_clear
    a_secret_moved_to_another_row_does_not_open
    another_key_is_refused_at_start
    a_rotation_seals_everything_anew_and_retires_the_old_key
    an_interrupted_rotation_goes_on
}

const SECRET: &str = "tiger-lily-42";

/// Subscriptions, and one of everything else that holds a secret, each with its own.
async fn secrets(fixture: &Fixture, count: usize) -> Vec<SubscriptionId> {
    let subscriptions: Vec<NewSubscription> = (0..count)
        .map(|number| fixture.new_subscription(&format!("s-{number}")))
        .collect();
    let mut runnable = fixture.new_runnable("f/a");
    runnable.version.secrets = Some(Secret::new(format!(r#"{{"secret":"{SECRET}"}}"#)));
    let ids = subscriptions.iter().map(|new| new.id.clone()).collect();
    let mut credential = fixture.new_credential("c-0");
    let integration = fixture.new_integration("i-0");
    credential.integration_id = Some(integration.id.clone());
    let mut changes: Vec<Change> = subscriptions
        .into_iter()
        .map(Change::CreateSubscription)
        .collect();
    changes.push(Change::CreateRunnable(runnable));
    changes.push(Change::CreateIntegration(integration));
    changes.push(Change::CreateCredential(credential));
    fixture.apply(changes).await;
    connects::started(fixture, SECRET).await;
    ids
}

async fn sealed(pool: &sqlx::AnyPool) -> Vec<(String, Vec<u8>)> {
    let rows = sqlx::query(
        "select id, secrets from subscriptions union all \
         select id, secrets from runnable_versions union all \
         select id, client_secret from integrations union all \
         select id, secrets from credentials union all \
         select id, verifier from oauth_states order by id",
    );
    let rows = rows.fetch_all(pool).await.expect("read");
    rows.iter()
        .map(|row| (row.get("id"), row.get("secrets")))
        .collect()
}

async fn secrets_are_not_in_the_database_in_clear(fixture: Fixture) {
    secrets(&fixture, 2).await;
    let pool = pool(&fixture).await;
    let sealed = sealed(&pool).await;
    assert_eq!(sealed.len(), 6);
    for (_, envelope) in &sealed {
        assert!(
            !envelope
                .windows(SECRET.len())
                .any(|window| window == SECRET.as_bytes())
        );
    }
}

async fn a_secret_moved_to_another_row_does_not_open(fixture: Fixture) {
    let ids = secrets(&fixture, 2).await;
    let pool = pool(&fixture).await;
    let moved = sqlx::query(
        "update subscriptions set secrets = (select secrets from subscriptions where id = $1) \
         where id = $2",
    );
    let moved = moved
        .bind(ids[0].as_str())
        .bind(ids[1].as_str())
        .execute(&pool)
        .await;
    moved.expect("moved");
    let opened = fixture
        .store
        .subscription_secrets(&ids[0])
        .await
        .expect("its own");
    assert!(opened.expect("some").expose().contains(SECRET));
    let error = fixture
        .store
        .subscription_secrets(&ids[1])
        .await
        .expect_err("another's");
    assert!(!format!("{error:?}").contains(SECRET));
}

async fn another_key_is_refused_at_start(fixture: Fixture) {
    fixture.store.close().await;
    let elsewhere = tempfile::tempdir().expect("a folder");
    let wrong = KeyRing::load(elsewhere.path(), None).expect("another key");
    let opened = Store::open(fixture.config.clone(), wrong, fixture.clock.clone()).await;
    let error = opened.err().expect("refused").to_string();
    let expected = format!("sealed with the key {}", fixture.keys.current());
    assert!(error.contains(&expected), "{error}");
    assert!(error.contains("put back the file `keys`"), "{error}");

    // The same name over other bytes.
    let forged = format!("{}:{}", fixture.keys.current(), "A".repeat(43));
    let forged = KeyRing::load(elsewhere.path(), Some(&forged)).expect("a key");
    let opened = Store::open(fixture.config.clone(), forged, fixture.clock.clone()).await;
    let error = opened.err().expect("refused").to_string();
    assert!(error.contains("is not the one that sealed"), "{error}");
}

async fn a_rotation_seals_everything_anew_and_retires_the_old_key(mut fixture: Fixture) {
    let ids = secrets(&fixture, 250).await;
    let old = fixture.keys.current();
    let rotation = fixture.store.rotate_keys().await.expect("rotated");
    assert_eq!(rotation.resealed, 254);
    assert_eq!(rotation.retired, [old.to_string()]);
    assert_eq!(rotation.key_id, fixture.keys.current().to_string());
    assert_ne!(fixture.keys.current(), old);

    // The old key is not needed any more.
    let file = fixture.folder.path().join("keys");
    let text = std::fs::read_to_string(&file).expect("the key file");
    let without: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with(&old.to_string()))
        .collect();
    assert!(without.len() < text.lines().count());
    std::fs::write(&file, without.join("\n")).expect("written");
    fixture.keys = KeyRing::load(fixture.folder.path(), None).expect("the new key alone");
    fixture.reopen().await;
    for id in &ids {
        let opened = fixture
            .store
            .subscription_secrets(id)
            .await
            .expect("opened");
        assert!(opened.expect("some").expose().contains(SECRET));
    }
    let integration = fixture
        .store
        .integration_by_name(&fixture.workspace, "i-0")
        .await
        .expect("read")
        .expect("it is there");
    let opened = fixture.store.integration_secret(&integration.id).await;
    assert_eq!(opened.expect("opened").expect("some").expose(), SECRET);
    let credential = fixture
        .store
        .credential_by_name(&fixture.workspace, "c-0")
        .await
        .expect("read")
        .expect("it is there");
    let held = fixture.store.credential_held(&credential.id).await;
    let held = held.expect("opened").expect("it is there");
    assert!(held.secrets.expose().contains(SECRET));
    let taken = fixture.store.take_connect(&[2; 32], &[3; 32]).await;
    let taken = taken.expect("opened").expect("it is there");
    assert_eq!(taken.verifier.expect("some").expose(), SECRET);
    let runnable = fixture
        .store
        .runnable_by_path(&fixture.workspace, "f/a")
        .await;
    let version_id = runnable.expect("read").expect("it is there").version_id;
    let version = fixture
        .store
        .runnable_version(&version_id)
        .await
        .expect("opened");
    assert!(
        version
            .expect("it is there")
            .secrets
            .expect("some")
            .expose()
            .contains(SECRET)
    );
}

async fn an_interrupted_rotation_goes_on(mut fixture: Fixture) {
    secrets(&fixture, 3).await;
    let old = fixture.keys.current();
    // The key was added and the host killed before anything else.
    let added = fixture.keys.add_key().expect("added");
    fixture.reopen().await;
    let rotation = fixture.store.rotate_keys().await.expect("rotated");
    assert_eq!((rotation.key_id, rotation.resealed), (added.to_string(), 7));
    assert_eq!(rotation.retired, [old.to_string()]);
}
