//! Accounts that are being connected: a state is good once, in time, for the browser that set out.

use triggerd::id::*;
use triggerd::model::*;
use triggerd::secret::Secret;

use crate::fixture::{Fixture, on_both};

on_both! {
    a_state_is_used_up_by_the_browser_that_set_out_with_it
    a_second_start_takes_the_place_of_the_first
    a_state_is_good_for_its_time_only
    an_end_is_final
    of_several_that_come_back_at_once_one_is_taken
    what_is_over_is_trimmed
}

/// Ticket 1, ten minutes.
async fn waiting(fixture: &Fixture) -> ConnectId {
    let new = NewConnect {
        id: ConnectId::generate(fixture.now()),
        workspace_id: fixture.workspace.clone(),
        token_id: TokenId::generate(fixture.now()),
        provider: "acme".to_owned(),
        integration_id: None,
        name: "acme".to_owned(),
        ticket_hash: [1; 32],
        redirect_url: "https://hooks.example.org/oauth/callback".to_owned(),
        expires_at: fixture.later(600),
    };
    fixture.store.insert_connect(&new).await.expect("kept");
    new.id
}

fn start(id: &ConnectId, state: u8, session: u8, verifier: &str) -> ConnectStart {
    ConnectStart {
        id: id.clone(),
        state_hash: [state; 32],
        session_hash: [session; 32],
        verifier: Some(Secret::new(verifier.to_owned())),
    }
}

/// State 2, session 3.
pub async fn started(fixture: &Fixture, verifier: &str) -> ConnectId {
    let id = waiting(fixture).await;
    let start = start(&id, 2, 3, verifier);
    assert!(fixture.store.start_connect(&start).await.expect("started"));
    id
}

async fn take(fixture: &Fixture, state: u8, session: u8) -> Option<TakenConnect> {
    let taken = fixture
        .store
        .take_connect(&[state; 32], &[session; 32])
        .await;
    taken.expect("asked")
}

async fn phase(fixture: &Fixture, id: &ConnectId) -> ConnectPhase {
    let found = fixture.store.connect(&fixture.workspace, id).await;
    found.expect("read").expect("it is there").phase
}

async fn a_state_is_used_up_by_the_browser_that_set_out_with_it(fixture: Fixture) {
    let id = started(&fixture, "v-1").await;
    let by_ticket = fixture.store.connect_by_ticket(&[1; 32]).await;
    assert_eq!(by_ticket.expect("read").expect("it is there").id, id);
    assert!(take(&fixture, 2, 9).await.is_none(), "another browser");
    assert!(take(&fixture, 9, 3).await.is_none(), "another state");
    assert_eq!(phase(&fixture, &id).await, ConnectPhase::Started);
    let taken = take(&fixture, 2, 3).await.expect("the very browser");
    assert_eq!(taken.connect.id, id);
    assert_eq!(taken.verifier.expect("a verifier").expose(), "v-1");
    assert!(take(&fixture, 2, 3).await.is_none(), "a second time");
    assert_eq!(phase(&fixture, &id).await, ConnectPhase::Exchanging);
    let again = start(&id, 4, 5, "v-2");
    assert!(!fixture.store.start_connect(&again).await.expect("asked"));
    let elsewhere = fixture.store.insert_workspace("other").await.expect("made");
    let found = fixture.store.connect(&elsewhere.id, &id).await;
    assert_eq!(found.expect("read"), None);
}

async fn a_second_start_takes_the_place_of_the_first(fixture: Fixture) {
    let id = started(&fixture, "v-1").await;
    let again = start(&id, 4, 5, "v-2");
    assert!(fixture.store.start_connect(&again).await.expect("started"));
    assert!(take(&fixture, 2, 3).await.is_none());
    let taken = take(&fixture, 4, 5).await.expect("the later one");
    assert_eq!(taken.verifier.expect("a verifier").expose(), "v-2");
}

async fn a_state_is_good_for_its_time_only(fixture: Fixture) {
    let id = started(&fixture, "v-1").await;
    fixture.advance(600);
    assert!(take(&fixture, 2, 3).await.is_none());
    let again = start(&id, 4, 5, "v-2");
    assert!(!fixture.store.start_connect(&again).await.expect("asked"));
}

async fn an_end_is_final(fixture: Fixture) {
    let id = started(&fixture, "v-1").await;
    let finish = |ended: Result<(), &'static str>| {
        let (store, id) = (fixture.store.clone(), id.clone());
        let credential = CredentialId::generate(fixture.now());
        async move {
            let ended = ended.map(|()| &credential);
            store.finish_connect(&id, ended).await.expect("kept");
        }
    };
    finish(Err("access_denied")).await;
    finish(Ok(())).await;
    let found = fixture.store.connect(&fixture.workspace, &id).await;
    let found = found.expect("read").expect("it is there");
    assert_eq!(found.phase, ConnectPhase::Failed);
    assert_eq!(found.reason.as_deref(), Some("access_denied"));
    assert_eq!(found.credential_id, None);
    assert!(take(&fixture, 2, 3).await.is_none());
}

async fn of_several_that_come_back_at_once_one_is_taken(fixture: Fixture) {
    started(&fixture, "v-1").await;
    let coming = (0..8).map(|_| take(&fixture, 2, 3));
    let taken = futures_util::future::join_all(coming).await;
    assert_eq!(taken.iter().flatten().count(), 1);
}

async fn what_is_over_is_trimmed(fixture: Fixture) {
    let id = started(&fixture, "v-1").await;
    let trim = async |before| {
        fixture
            .store
            .trim_connects(before, 10)
            .await
            .expect("trimmed")
    };
    assert_eq!(trim(fixture.later(600)).await, 0);
    assert_eq!(trim(fixture.later(601)).await, 1);
    let found = fixture.store.connect(&fixture.workspace, &id).await;
    assert_eq!(found.expect("read"), None);
}
