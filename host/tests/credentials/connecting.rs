//! The code flow: who may end what a ticket began, and what services answer.

use serde_json::json;
use triggerd::credentials::{Arrival, ConnectError, GivenBack, Waiting};
use triggerd::model::{CredentialKind, CredentialState};
use triggerd::secret::Secret;

use crate::authority::{CLIENT_SECRET, Style};
use crate::fixture::Fixture;
use crate::postgres_harness::Cluster;

async fn tokens(fixture: &Fixture) -> u32 {
    fixture.authority.book().exchanges
}

#[tokio::test]
async fn an_account_is_connected_with_proof_of_the_code() {
    let fixture = Fixture::sqlite().await;
    let ordered = fixture
        .credentials
        .order(fixture.order("me"))
        .await
        .expect("ordered");
    let url = ordered.url.expose();
    assert!(
        url.starts_with("https://hooks.example.org/oauth/start/"),
        "{url}"
    );
    let connected = fixture.browse(&ordered).await.expect("connected");
    assert_eq!(connected.account_name.as_deref(), Some("ada"));
    let kept = fixture.read("me").await;
    assert_eq!(
        (kept.kind, kept.state),
        (CredentialKind::Oauth, CredentialState::Active)
    );
    assert_eq!(kept.integration_id.as_ref(), Some(&fixture.integration));
    assert_eq!(kept.scopes, ["gist", "repo"]);
    let lifetime = kept.expires_at.expect("an end").since(fixture.clock.now());
    assert_eq!(lifetime.as_secs(), 3600);
    let due = kept
        .refresh_due_at
        .expect("a time")
        .since(fixture.clock.now());
    assert!((2700..=3240).contains(&due.as_secs()), "{due:?}");
    assert_eq!(fixture.call(&fixture.credentials, &kept.id).await, 200);
    // The service checked the verifier against the challenge, the client and the redirect.
    assert_eq!(fixture.authority.book().complaints, Vec::<String>::new());
}

#[tokio::test]
async fn a_state_is_good_once_in_its_browser_and_time() {
    let fixture = Fixture::sqlite().await;
    let order = async |name: &str| {
        let ordered = fixture.credentials.order(fixture.order(name)).await;
        ordered.expect("ordered")
    };
    let arrive = async |arrival: Arrival| fixture.credentials.arrive(arrival).await;
    let is_refused = |ended: Result<_, ConnectError>| matches!(ended, Err(ConnectError::NoState));

    let ordered = order("me").await;
    let good = fixture.visit(&ordered).await;
    let without_cookie = Arrival {
        cookies: Vec::new(),
        ..good.clone()
    };
    assert!(is_refused(arrive(without_cookie).await), "another browser");
    let mut forged = good.clone();
    forged.cookies[0].1 = Secret::new("forged".to_owned());
    assert!(is_refused(arrive(forged).await), "a forged cookie");
    let other = fixture.visit(&order("other").await).await;
    let mixed = Arrival {
        state: other.state.clone(),
        ..good.clone()
    };
    assert!(is_refused(arrive(mixed).await), "another flow's state");
    let stateless = Arrival {
        state: None,
        ..good.clone()
    };
    assert!(is_refused(arrive(stateless).await), "no state");
    assert_eq!(tokens(&fixture).await, 0, "no code was spent on strangers");

    arrive(good.clone()).await.expect("the very browser");
    assert!(is_refused(arrive(good).await), "a second time");
    assert_eq!(tokens(&fixture).await, 1);

    let late = fixture.visit(&order("late").await).await;
    fixture.advance(600);
    assert!(is_refused(arrive(late).await), "after ten minutes");
    let ticket = other.state.expect("a text");
    let departed = fixture.credentials.depart(ticket.expose()).await;
    assert!(matches!(departed, Err(ConnectError::NoTicket)));
}

#[tokio::test]
async fn opening_the_address_again_makes_the_older_state_worthless() {
    let fixture = Fixture::sqlite().await;
    let ordered = fixture
        .credentials
        .order(fixture.order("me"))
        .await
        .expect("ordered");
    let first = fixture.visit(&ordered).await;
    let second = fixture.visit(&ordered).await;
    let ended = fixture.credentials.arrive(first).await;
    assert!(matches!(ended, Err(ConnectError::NoState)));
    fixture
        .credentials
        .arrive(second)
        .await
        .expect("the later browser");
    let ticket = ordered
        .url
        .expose()
        .rsplit('/')
        .next()
        .expect("a ticket")
        .to_owned();
    let again = fixture.credentials.depart(&ticket).await;
    assert!(
        matches!(again, Err(ConnectError::NoTicket)),
        "it is used up"
    );
}

#[tokio::test]
async fn who_waits_hears_at_once_and_others_hear_nothing() {
    let fixture = Fixture::sqlite().await;
    let ordered = fixture
        .credentials
        .order(fixture.order("me"))
        .await
        .expect("ordered");
    let patience = std::time::Duration::from_secs(60);
    let waiting = {
        let credentials = fixture.credentials.clone();
        let (workspace, token) = (fixture.workspace.clone(), fixture.token.clone());
        let id = ordered.id.clone();
        tokio::spawn(async move { credentials.wait(&workspace, &token, &id, patience).await })
    };
    fixture.browse(&ordered).await.expect("connected");
    let ended = waiting.await.expect("no panic").expect("read");
    let Some(Waiting::Done(credential)) = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(credential.name, "me");
    let other = triggerd::id::TokenId::generate(fixture.clock.now());
    let wait = fixture
        .credentials
        .wait(&fixture.workspace, &other, &ordered.id, patience);
    assert!(wait.await.expect("read").is_none(), "another token");
    let elsewhere = fixture.store.insert_workspace("other").await.expect("made");
    let wait = fixture
        .credentials
        .wait(&elsewhere.id, &fixture.token, &ordered.id, patience);
    assert!(wait.await.expect("read").is_none(), "another workspace");
}

#[tokio::test]
async fn a_no_at_the_service_ends_it_with_its_reason() {
    let fixture = Fixture::sqlite().await;
    let ordered = fixture
        .credentials
        .order(fixture.order("me"))
        .await
        .expect("ordered");
    let mut arrival = fixture.visit(&ordered).await;
    arrival.code = None;
    arrival.error = Some("access_denied".to_owned());
    let ended = fixture
        .credentials
        .arrive(arrival)
        .await
        .expect_err("refused");
    assert!(ended.to_string().contains("access_denied"), "{ended}");
    let wait = fixture.credentials.wait(
        &fixture.workspace,
        &fixture.token,
        &ordered.id,
        std::time::Duration::from_secs(60),
    );
    let Some(Waiting::Failed(reason)) = wait.await.expect("read") else {
        panic!("it is over");
    };
    assert!(reason.contains("access_denied"), "{reason}");
}

#[tokio::test]
async fn answers_are_understood_as_forms_and_with_basic_authentication() {
    let fixture = Fixture::declaring(json!({"client_auth": "basic"})).await;
    {
        let mut book = fixture.authority.book();
        book.style = Style::Form;
        book.wants_basic = true;
    }
    let kept = fixture.connected("me").await;
    assert_eq!(kept.scopes, ["gist", "repo"]);
    assert!(kept.expires_at.is_some());
    assert_eq!(fixture.authority.book().complaints, Vec::<String>::new());
}

#[tokio::test]
async fn whatever_a_service_answers_instead_of_tokens_is_said_without_secrets() {
    for (style, says) in [
        (Style::ErrorIn200, "`invalid_grant`"),
        (Style::Page500, "answered 500"),
        (Style::Away, "answered 503"),
        (Style::Redirect, "a redirect, which is not followed"),
        (Style::Endless, "over the limit"),
    ] {
        let fixture = Fixture::sqlite().await;
        fixture.authority.book().style = style;
        let ordered = fixture
            .credentials
            .order(fixture.order("me"))
            .await
            .expect("ordered");
        let mut arrival = fixture.visit(&ordered).await;
        let bad = Secret::new("canary-no-such-code".to_owned());
        arrival.code = Some(bad);
        let ended = fixture
            .credentials
            .arrive(arrival)
            .await
            .expect_err("refused");
        let text = format!("{ended} {ended:?}");
        assert!(text.contains(says), "{style:?}: {text}");
        assert!(
            !text.contains("canary"),
            "the service's echo holds secrets: {text}"
        );
        let found = fixture
            .store
            .credential_by_name(&fixture.workspace, "me")
            .await;
        assert_eq!(found.expect("read"), None);
    }
}

#[tokio::test]
async fn a_token_that_was_revoked_meanwhile_connects_nothing() {
    let fixture = Fixture::sqlite().await;
    let ordered = fixture
        .credentials
        .order(fixture.order("me"))
        .await
        .expect("ordered");
    let arrival = fixture.visit(&ordered).await;
    fixture
        .store
        .revoke_token(&fixture.token)
        .await
        .expect("revoked");
    let ended = fixture
        .credentials
        .arrive(arrival)
        .await
        .expect_err("refused");
    assert!(ended.to_string().contains("API token"), "{ended}");
    assert_eq!(tokens(&fixture).await, 0);
}

#[tokio::test]
async fn an_account_is_connected_anew_but_no_other_takes_its_place() {
    let fixture = Fixture::sqlite().await;
    let first = fixture.connected("me").await;
    let refused = fixture
        .store
        .refuse_credential(&first.id, first.generation, "revoked");
    assert!(refused.await.expect("kept"));
    let again = fixture.connected("me").await;
    assert_eq!(
        (again.id.clone(), again.state),
        (first.id, CredentialState::Active)
    );
    assert!(again.generation > first.generation);
    fixture
        .store
        .note_account(&again.id, "8", "bob")
        .await
        .expect("kept");
    let ordered = fixture
        .credentials
        .order(fixture.order("me"))
        .await
        .expect("ordered");
    let ended = fixture.browse(&ordered).await.expect_err("another account");
    assert!(
        ended.to_string().contains("belongs to the account `bob`"),
        "{ended}"
    );
    assert_eq!(fixture.read("me").await.generation, again.generation);
}

#[tokio::test]
async fn tokens_are_given_back_when_a_credential_ends() {
    let fixture = Fixture::sqlite().await;
    let kept = fixture.connected("me").await;
    let given = fixture
        .credentials
        .give_back(&kept.id)
        .await
        .expect("asked");
    assert_eq!(given, GivenBack::Done);
    let book = fixture.authority.book();
    assert!(book.revoked[0].contains("refresh"), "the longest-lived one");
}

#[tokio::test]
async fn no_secret_is_kept_in_clear() {
    let fixture = Fixture::sqlite().await;
    let ordered = fixture
        .credentials
        .order(fixture.order("me"))
        .await
        .expect("ordered");
    let arrival = fixture.visit(&ordered).await;
    let state = arrival.state.clone().expect("a state");
    let cookie = arrival.cookies[0].1.clone();
    let database = fixture.folder.path().join("triggerd.db");
    let holds = |secret: &str| {
        let files = [database.clone(), database.with_extension("db-wal")];
        files.iter().any(|file| {
            let bytes = std::fs::read(file).unwrap_or_default();
            bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes())
        })
    };
    assert!(holds("acme"), "the files are those of the database");
    for secret in [state.expose(), cookie.expose(), CLIENT_SECRET] {
        assert!(!holds(secret), "{secret}");
    }
    fixture
        .credentials
        .arrive(arrival)
        .await
        .expect("connected");
    let given = fixture.authority.book().given.clone();
    assert!(given.len() >= 3);
    for secret in given {
        assert!(!holds(&secret), "{secret}");
    }
}

#[tokio::test]
async fn looking_at_the_address_tells_who_asks_and_begins_nothing() {
    let fixture = Fixture::sqlite().await;
    let ordered = fixture.credentials.order(fixture.order("me")).await;
    let ordered = ordered.expect("ordered");
    let arrival = fixture.visit(&ordered).await;
    let ticket = Fixture::ticket(&ordered);
    let errand = fixture.credentials.errand(&ticket).await.expect("open");
    assert_eq!(
        (&*errand.provider, &*errand.workspace, &*errand.asked_by),
        ("acme", "default", "test")
    );
    assert_eq!((&*errand.name, errand.scopes.len()), ("me", 2));
    assert!(errand.place.starts_with("127.0.0.1:"), "{}", errand.place);
    let ended = fixture.credentials.arrive(arrival).await;
    ended.expect("who had set out before comes back all the same");
    let again = fixture.credentials.errand(&ticket).await;
    assert!(matches!(again, Err(ConnectError::NoTicket)), "used up");
    let late = fixture.credentials.order(fixture.order("late")).await;
    let late = Fixture::ticket(&late.expect("ordered"));
    fixture.advance(600);
    let late = fixture.credentials.errand(&late).await;
    assert!(matches!(late, Err(ConnectError::NoTicket)), "too late");
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_no_ticket_good_for_longer() {
    let fixture = Fixture::sqlite().await;
    let ordered = fixture.credentials.order(fixture.order("me")).await;
    let ordered = ordered.expect("ordered");
    let arrival = fixture.visit(&ordered).await;
    let day_before = fixture.clock.now().0 - 86_400_000;
    fixture.clock.set(triggerd::clock::Millis(day_before));
    let ended = fixture.credentials.arrive(arrival).await;
    assert!(matches!(ended, Err(ConnectError::NoState)), "{ended:?}");
    let again = fixture.credentials.depart(&Fixture::ticket(&ordered)).await;
    assert!(matches!(again, Err(ConnectError::NoTicket)));
}

#[tokio::test]
async fn a_browser_that_is_closed_loses_nothing() {
    let fixture = Fixture::sqlite().await;
    let ordered = fixture.credentials.order(fixture.order("me")).await;
    let ordered = ordered.expect("ordered");
    let arrival = fixture.visit(&ordered).await;
    let gate = fixture.authority.exchange_gate.clone();
    gate.forget_permits(usize::MAX >> 3);
    let page = {
        let credentials = fixture.credentials.clone();
        tokio::spawn(async move { credentials.arrive(arrival).await })
    };
    until_phase(&fixture, &ordered, "exchanging").await;
    page.abort();
    assert!(page.await.expect_err("aborted").is_cancelled());
    gate.add_permits(1);
    fixture.credentials.ended().await;
    assert_eq!(fixture.read("me").await.state, CredentialState::Active);
    until_phase(&fixture, &ordered, "done").await;
}

#[tokio::test]
async fn who_waits_for_a_host_that_went_away_hears_of_it() {
    let fixture = Fixture::sqlite().await;
    let ordered = fixture.credentials.order(fixture.order("me")).await;
    let ordered = ordered.expect("ordered");
    let arrival = fixture.visit(&ordered).await;
    fixture
        .authority
        .exchange_gate
        .forget_permits(usize::MAX >> 3);
    let credentials = fixture.credentials.clone();
    let page = tokio::spawn(async move { credentials.arrive(arrival).await });
    until_phase(&fixture, &ordered, "exchanging").await;
    fixture.advance(121);
    let (workspace, token) = (&fixture.workspace, &fixture.token);
    let patience = std::time::Duration::from_secs(60);
    let wait = fixture
        .credentials
        .wait(workspace, token, &ordered.id, patience);
    let Some(Waiting::Failed(reason)) = wait.await.expect("read") else {
        panic!("nobody will end it");
    };
    assert!(reason.contains("went away"), "{reason}");
    page.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_when_the_service_answers_loses_no_account() {
    let cluster = Cluster::own();
    let fixture = Fixture::within(&cluster).await;
    let ordered = fixture.credentials.order(fixture.order("me")).await;
    let ordered = ordered.expect("ordered");
    let arrival = fixture.visit(&ordered).await;
    let gate = fixture.authority.exchange_gate.clone();
    gate.forget_permits(usize::MAX >> 3);
    let credentials = fixture.credentials.clone();
    let arriving = tokio::spawn(async move { credentials.arrive(arrival).await });
    // What is read before the service is asked was read by then.
    while fixture.authority.book().asked == 0 {
        tokio::task::yield_now().await;
    }
    cluster.stop();
    gate.add_permits(1);
    while fixture.authority.book().exchanges == 0 {
        tokio::task::yield_now().await;
    }
    cluster.resume();
    let connected = arriving.await.expect("no panic").expect("connected");
    assert_eq!(connected.account_name.as_deref(), Some("ada"));
    assert_eq!(fixture.read("me").await.state, CredentialState::Active);
    until_phase(&fixture, &ordered, "done").await;
}

async fn until_phase(fixture: &Fixture, ordered: &triggerd::credentials::Ordered, phase: &str) {
    let (store, workspace) = (&fixture.store, &fixture.workspace);
    loop {
        let found = store.connect(workspace, &ordered.id).await.expect("read");
        if found.expect("it is there").phase.as_str() == phase {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_browsers_that_come_back_at_once_make_one_credential() {
    let fixture = Fixture::sqlite().await;
    let gate = fixture.authority.exchange_gate.clone();
    gate.forget_permits(usize::MAX >> 3);
    let mut pages = Vec::new();
    for _ in 0..4 {
        let ordered = fixture.credentials.order(fixture.order("me")).await;
        let ordered = ordered.expect("ordered");
        let arrival = fixture.visit(&ordered).await;
        let credentials = fixture.credentials.clone();
        pages.push(tokio::spawn(
            async move { credentials.arrive(arrival).await },
        ));
        until_phase(&fixture, &ordered, "exchanging").await;
    }
    gate.add_permits(4);
    for page in pages {
        page.await.expect("no panic").expect("connected");
    }
    let kept = fixture.read("me").await;
    assert_eq!(fixture.call(&fixture.credentials, &kept.id).await, 200);
}

#[tokio::test]
async fn an_account_is_connected_anew_by_what_it_was_and_not_at_another_server() {
    let fixture = Fixture::sqlite().await;
    fixture.connected("me").await;
    fixture.integrate("other", "http://127.0.0.1:1").await;
    let new = fixture.credentials.order(fixture.order("new")).await;
    assert!(
        matches!(&new, Err(ConnectError::Wrong { field: "integration", allowed, .. }) if allowed.len() == 2),
        "{new:?}"
    );
    let again = fixture.credentials.order(fixture.order("me")).await;
    fixture
        .browse(&again.expect("by the integration that it came from"))
        .await
        .expect("connected");
    let mut elsewhere = fixture.order("me");
    elsewhere.integration = Some("other".to_owned());
    let refused = fixture.credentials.order(elsewhere).await;
    let refused = refused.expect_err("the same id at another server is another account");
    assert!(
        refused.to_string().contains("http://127.0.0.1:1"),
        "{refused}"
    );
}

#[tokio::test]
async fn tokens_that_another_credential_needs_are_not_given_back() {
    let fixture = Fixture::sqlite().await;
    let (one, two) = (
        fixture.connected("one").await,
        fixture.connected("two").await,
    );
    let given = fixture.credentials.give_back(&one.id).await;
    assert_eq!(given.expect("asked"), GivenBack::Shared);
    assert_eq!(fixture.authority.book().revoked.len(), 0);
    let gone = triggerd::model::Change::DeleteCredential(one.id);
    fixture.apply(gone).await;
    let given = fixture.credentials.give_back(&two.id).await;
    assert_eq!(given.expect("asked"), GivenBack::Done);
}

#[tokio::test]
async fn no_secret_goes_to_an_address_that_nobody_opened() {
    let fixture = Fixture::sqlite().await;
    for (name, base_url, says) in [
        ("private", "http://10.1.2.3", "10.1.2.3"),
        ("metadata", "http://169.254.169.254", "169.254.169.254"),
        ("clear", "http://cloud.acme.example", "without TLS"),
        ("public", "http://8.8.8.8", "without TLS"),
    ] {
        fixture.integrate(name, base_url).await;
        let mut order = fixture.order("me");
        order.integration = Some(name.to_owned());
        let refused = match fixture.credentials.order(order).await {
            Err(error) => error,
            Ok(ordered) => {
                let departure = fixture.credentials.depart(&Fixture::ticket(&ordered)).await;
                let departure = departure.expect("browsers may go anywhere");
                let mut pairs = departure.location.query_pairs();
                let state = pairs.find(|(name, _)| name == "state").expect("a state").1;
                let arrival = Arrival {
                    state: Some(Secret::new(state.into_owned())),
                    code: Some(Secret::new("code".to_owned())),
                    cookies: vec![(departure.cookie.name, departure.cookie_value)],
                    ..Arrival::default()
                };
                let ended = fixture.credentials.arrive(arrival).await;
                ended.expect_err("the host does not go there")
            }
        };
        assert!(refused.to_string().contains(says), "{name}: {refused}");
    }
}

#[tokio::test]
async fn what_a_service_repeats_of_a_token_is_kept_nowhere() {
    let fixture = Fixture::sqlite().await;
    let kept = fixture.connected("me").await;
    fixture.authority.book().revoke_all();
    let checked = fixture.credentials.check_kept(&kept.id).await;
    let said = checked.expect_err("revoked").to_string();
    assert!(said.contains("a dead token: Bearer [secret]"), "{said}");
    let now = fixture.read("me").await;
    let reason = now.state_reason.expect("a reason");
    assert!(!reason.contains("canary"), "{reason}");
}

#[tokio::test]
async fn who_has_no_client_yet_is_told_how_to_make_one_known() {
    let fixture = Fixture::sqlite().await;
    let gone = triggerd::model::Change::DeleteIntegration(fixture.integration.clone());
    fixture.apply(gone).await;
    let ordered = fixture.credentials.order(fixture.order("me")).await;
    let told = ordered.expect_err("nothing to connect by").to_string();
    for part in [
        "https://hooks.example.org/oauth/callback",
        "integrations: [{",
        "base_url",
    ] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
}
