//! What the provider makes, changes, checks and deletes at a server.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

mod support;

use expect_test::expect;
use serde_json::{Value, json};
use support::server::{KEY, Server, change, held, map, new};
use support::{SECRET, URL, on_event, provider, subscription};
use trigger_plugin_api::prelude::*;
use trigger_plugin_api::testkit::block_on;

const CREATED: &str = "OCP\\Files\\Events\\Node\\NodeCreatedEvent";

#[test]
fn every_event_gets_a_hook_with_our_secret_which_is_read_back() {
    let server = Server::new();
    let created = server
        .create(&new(json!({"events": ["file_created", "tag_assigned"]})))
        .unwrap();
    expect![[r#"
        GET /webhooks?uri=https%3A%2F%2Ftriggers.acme.test%2Fwebhooks%2Fnextcloud%2Fep_1
        POST /webhooks
        GET /webhooks/1
        POST /webhooks
        GET /webhooks/2
    "#]]
    .assert_eq(&server.transcript());
    let sent: Value = serde_json::from_slice(&server.host.requests()[1].body).unwrap();
    assert_eq!(
        sent,
        json!({
            "httpMethod": "POST",
            "uri": URL,
            "event": CREATED,
            "eventFilter": null,
            "userIdFilter": null,
            "headers": {"X-Trigger-Secret": SECRET, "X-Trigger-Registration": KEY},
            "authMethod": "none",
            "authData": null,
            "tokenNeeded": null,
        })
    );
    assert_eq!(created.external_id, "1,2");
    assert_eq!(
        created.properties["hooks"],
        json!({"file_created": 1, "tag_assigned": 2})
    );
    assert_eq!(created.secrets["webhook_secret"], SECRET);
    assert_eq!(created.expires_at_ms, None);
    server.assert_no_violations();
}

#[test]
fn what_the_server_then_sends_is_accepted_and_fires() {
    let server = Server::new();
    server
        .create(&new(json!({"events": ["file_created"]})))
        .unwrap();
    let sent =
        server.happen(json!({"class": "NodeCreatedEvent", "path": "/alice/files/inbox/a.pdf"}));
    let [request] = sent.as_slice() else {
        panic!("{sent:?}")
    };
    let dispatched = provider()
        .dispatch(&subscription(), &request.as_request())
        .unwrap();
    assert_eq!(dispatched.events[0].name, "file_created");
    let outcome = on_event(
        "file_created",
        json!({"folders": ["/inbox"]}),
        &request.body,
    )
    .unwrap();
    assert!(matches!(outcome, Outcome::Fires(_)));
    assert_eq!(server.happen(json!({"class": "NodeDeletedEvent"})), []);
    server.assert_no_violations();
}

#[test]
fn without_chosen_events_the_hooks_are_for_what_triggers_wait_for() {
    let server = Server::new();
    let mut waiting = new(json!({"events": []}));
    waiting.events = vec!["file_deleted".to_owned(), "file_deleted".to_owned()];
    assert_eq!(
        server.create(&waiting).unwrap().properties["hooks"],
        json!({"file_deleted": 1})
    );

    let nothing = server.create(&new(json!({}))).unwrap_err();
    assert_eq!(nothing.code, ErrorCode::InvalidInput);
    assert!(nothing.message.contains("parameters.events"), "{nothing}");
    server.assert_no_violations();
}

#[test]
fn an_event_of_another_app_is_named_by_its_class() {
    let server = Server::new();
    let class = "OCA\\Forms\\Events\\FormSubmittedEvent";
    let created = server
        .create(&new(json!({"events": [format!("\\{class}")]})))
        .unwrap();
    assert_eq!(created.properties["hooks"], json!({class: 1}));
    let sent = server.happen(json!({"class": class}));
    let dispatched = provider()
        .dispatch(&subscription(), &sent[0].as_request())
        .unwrap();
    assert_eq!(dispatched.events[0].name, class);
    for wrong in ["file_exploded", "OCA\\", "Class Name", "file created"] {
        let error = server.create(&new(json!({"events": [wrong]}))).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidInput);
        assert!(error.message.contains("file_created"), "{error}");
    }
}

#[test]
fn of_several_hooks_all_are_made_or_none() {
    let server = Server::new();
    let parameters =
        json!({"events": ["file_created", "OCA\\Tables\\Event\\RowAddedEvent", "file_deleted"]});
    let error = server.create(&new(parameters)).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidInput);
    assert!(
        error
            .message
            .contains("RowAddedEvent is not an event class"),
        "{error}"
    );
    assert_eq!(server.hooks(), Vec::<Value>::new());
    server.assert_no_violations();
}

#[test]
fn hooks_of_a_create_whose_answer_was_lost_are_taken_over() {
    let server = Server::new();
    let new = new(json!({"events": ["file_created", "file_deleted"]}));
    let first = server.create(&new).unwrap();
    let again = server.create(&new).unwrap();
    assert_eq!(again, first);
    assert_eq!(server.hooks().len(), 2);
    server.assert_no_violations();
}

#[test]
fn hooks_of_another_making_at_the_same_address_are_left_alone() {
    let server = Server::new();
    let old = new(json!({"events": ["file_created"]}));
    let made = server.create(&old).unwrap();
    let fresh = NewSubscription {
        key: "reg_2".to_owned(),
        ..old.clone()
    };
    assert_eq!(server.create(&fresh).unwrap().external_id, "2");
    // Nobody knows what became of the first: it is found by its key, and the second stays.
    let lost = ExistingSubscription {
        external_id: String::new(),
        ..held(&old, &made)
    };
    server.delete(&lost).unwrap();
    let ids: Vec<Value> = server
        .hooks()
        .iter()
        .map(|hook| hook["id"].clone())
        .collect();
    assert_eq!(ids, [json!(2)]);
    server.delete(&lost).unwrap();
    server.assert_no_violations();
}

#[test]
fn a_host_that_gave_no_secret_gets_a_random_one() {
    let server = Server::new();
    let mut new = new(json!({"events": ["file_created"]}));
    new.secrets.clear();
    let created = server.create(&new).unwrap();
    let secret = &created.secrets["webhook_secret"];
    assert_eq!(secret.len(), 64);
    assert_eq!(
        server.hooks()[0]["headers"]["X-Trigger-Secret"],
        secret.as_str()
    );
}

#[test]
fn an_update_changes_hooks_in_place_makes_new_ones_and_deletes_the_rest() {
    let server = Server::new();
    let new = new(json!({"events": ["file_created", "file_deleted"]}));
    let before = held(&new, &server.create(&new).unwrap());
    let mut change = change(
        &before,
        json!({"events": ["file_created", "tag_assigned"], "users": ["alice"]}),
    );
    change.endpoint_url = "https://triggers.acme.test/webhooks/nextcloud/ep_2".to_owned();
    let updated = server.update(&change).unwrap();
    assert_eq!(updated.external_id, "1,3");
    assert_eq!(
        updated.properties["hooks"],
        json!({"file_created": 1, "tag_assigned": 3})
    );
    assert_eq!(updated.secrets["webhook_secret"], SECRET);
    let hooks = server.hooks();
    assert_eq!(hooks.len(), 2);
    for hook in hooks {
        assert_eq!(hook["uri"], change.endpoint_url.as_str());
        assert_eq!(hook["eventFilter"], json!({"user.uid": "alice"}));
        assert_eq!(hook["headers"]["X-Trigger-Secret"], SECRET);
    }
    server.assert_no_violations();
}

#[test]
fn an_update_of_a_vanished_hook_is_not_taken_for_done() {
    let server = Server::new();
    let new = new(json!({"events": ["file_created", "file_deleted"]}));
    let before = held(&new, &server.create(&new).unwrap());
    server.control("vanish_hook", json!({"id": 2}));
    let error = server
        .update(&change(
            &before,
            json!({"events": ["file_created"], "users": ["bob"]}),
        ))
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(
        server.hooks()[0]["eventFilter"],
        json!([]),
        "nothing was changed before"
    );
}

#[test]
fn an_update_that_fails_leaves_no_hook_that_nobody_knows() {
    let server = Server::new();
    let new = new(json!({"events": ["file_created"]}));
    let before = held(&new, &server.create(&new).unwrap());
    let parameters =
        json!({"events": ["file_created", "file_deleted", "OCA\\Tables\\Event\\RowAddedEvent"]});
    let error = server.update(&change(&before, parameters)).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidInput);
    assert_eq!(server.hooks().len(), 1);
}

#[test]
fn a_deletion_may_be_repeated() {
    let server = Server::new();
    let new = new(json!({"events": ["file_created", "file_deleted"]}));
    let held = held(&new, &server.create(&new).unwrap());
    server.control("vanish_hook", json!({"id": 1}));
    for _ in 0..2 {
        server.delete(&held).unwrap();
        assert_eq!(server.hooks(), Vec::<Value>::new());
    }
    server.assert_no_violations();
}

#[test]
fn a_check_finds_what_is_missing() {
    let server = Server::new();
    let new = new(json!({"events": ["file_created", "file_deleted"], "folders": ["/inbox"]}));
    let held = held(&new, &server.create(&new).unwrap());
    assert_eq!(server.check(&held).unwrap(), CheckReport::ok());
    server.control("vanish_hook", json!({"id": 2}));
    let report = server.check(&held).unwrap();
    assert_eq!(report.state, CheckState::Missing);
    assert_eq!(report.findings, ["Nextcloud has no hook 2 any more"]);
    server.assert_no_violations();
}

#[test]
fn a_check_shows_what_was_altered_and_an_update_repairs_it() {
    for (set, field, ours, theirs) in [
        (
            json!({"uri": "https://elsewhere.test/"}),
            "uri",
            json!(URL),
            json!("https://elsewhere.test/"),
        ),
        (
            json!({"event": "OCP\\Files\\Events\\Node\\NodeDeletedEvent"}),
            "event",
            json!(CREATED),
            json!("OCP\\Files\\Events\\Node\\NodeDeletedEvent"),
        ),
        (
            json!({"eventFilter": {"user.uid": "bob"}}),
            "eventFilter",
            json!({}),
            json!({"user.uid": "bob"}),
        ),
        (
            json!({"httpMethod": "PUT"}),
            "httpMethod",
            json!("POST"),
            json!("PUT"),
        ),
        (
            json!({"authMethod": "header"}),
            "authMethod",
            json!("none"),
            json!("header"),
        ),
        (
            json!({"userIdFilter": "alice"}),
            "userIdFilter",
            json!(""),
            json!("alice"),
        ),
        (
            json!({"tokenNeeded": {"user_roles": ["owner"]}}),
            "tokenNeeded",
            json!({}),
            json!({"user_roles": ["owner"]}),
        ),
        (
            json!({"headers": {"X-Trigger-Secret": "an0ther", "X-Trigger-Registration": KEY}}),
            "headers",
            json!({"X-Trigger-Secret": "ours"}),
            json!({"X-Trigger-Secret": "another"}),
        ),
    ] {
        let server = Server::new();
        let new = new(json!({"events": ["file_created"]}));
        let held = held(&new, &server.create(&new).unwrap());
        server.control("alter_hook", json!({"id": 1, "set": set}));
        let report = server.check(&held).unwrap();
        assert_eq!(report.state, CheckState::Drifted, "{field}");
        let drift = Drift {
            field: field.to_owned(),
            ours,
            theirs,
        };
        assert_eq!(report.drift, [drift]);
        let shown = serde_json::to_string(&report).unwrap();
        assert!(
            !shown.contains(SECRET) && !shown.contains("an0ther"),
            "{shown}"
        );

        server
            .update(&change(&held, json!({"events": ["file_created"]})))
            .unwrap();
        assert_eq!(server.check(&held).unwrap(), CheckReport::ok(), "{field}");
        server.assert_no_violations();
    }
}

#[test]
fn of_several_hooks_the_drift_names_the_event() {
    let server = Server::new();
    let new = new(json!({"events": ["file_created", "file_deleted"]}));
    let held = held(&new, &server.create(&new).unwrap());
    server.control(
        "alter_hook",
        json!({"id": 2, "set": {"httpMethod": "PUT", "headers": null}}),
    );
    let report = server.check(&held).unwrap();
    let fields: Vec<&str> = report
        .drift
        .iter()
        .map(|drift| drift.field.as_str())
        .collect();
    assert_eq!(
        fields,
        [
            "file_deleted.httpMethod",
            "file_deleted.headers",
            "file_deleted.headers"
        ]
    );
    assert_eq!(report.adopt, Map::new());
}

#[test]
fn events_and_a_filter_that_were_altered_can_be_adopted() {
    let server = Server::new();
    let parameters = json!({"events": ["file_created"], "folders": ["/inbox"]});
    let new = new(parameters.clone());
    let held = held(&new, &server.create(&new).unwrap());
    let set = json!({"event": "OCP\\Files\\Events\\Node\\NodeDeletedEvent", "eventFilter": {"user.uid": "bob"}});
    server.control("alter_hook", json!({ "set": set }));
    let adopt = server.check(&held).unwrap().adopt;
    assert_eq!(adopt["events"], json!(["file_deleted"]));
    assert_eq!(adopt["event_filter"], json!({"user.uid": "bob"}));
    assert_eq!(adopt["folders"], Value::Null);
    let mut adopted = map(parameters);
    adopted.extend(adopt);
    let updated = server
        .update(&change(&held, Value::Object(adopted.clone())))
        .unwrap();
    let held = ExistingSubscription {
        parameters: adopted,
        properties: updated.properties,
        external_id: updated.external_id,
        ..held
    };
    assert_eq!(server.check(&held).unwrap(), CheckReport::ok());

    // A filter that loses events, or an address elsewhere, is nothing to be adopted.
    for set in [
        json!({"eventFilter": {"user.uid": {"$like": "b"}}}),
        json!({"uri": "https://elsewhere.test"}),
    ] {
        server.control("alter_hook", json!({ "set": set }));
        assert_eq!(server.check(&held).unwrap().adopt, Map::new());
    }
}

#[test]
fn a_list_has_the_hooks_of_one_making_together() {
    let server = Server::new();
    server
        .create(&new(json!({"events": ["file_created", "file_deleted"]})))
        .unwrap();
    let other = NewSubscription {
        key: "reg_2".to_owned(),
        endpoint_url: "https://elsewhere.test/".to_owned(),
        ..new(json!({"events": ["tag_assigned"]}))
    };
    server.create(&other).unwrap();
    server.control("alter_hook", json!({"id": 3, "set": {"headers": null}}));
    let listed = server.list().unwrap();
    let lines: Vec<String> = listed
        .iter()
        .map(|held| {
            format!(
                "{} {} {} {}",
                held.external_id,
                held.endpoint_url,
                held.events.join("+"),
                held.active
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            format!("1,2 {URL} file_created+file_deleted true"),
            "3 https://elsewhere.test/ tag_assigned false".to_owned(),
        ]
    );
    assert_eq!(listed[0].properties["key"], KEY);
    assert!(!serde_json::to_string(&listed).unwrap().contains(SECRET));
}

#[test]
fn a_credential_is_good_if_it_may_make_hooks() {
    let server = Server::new();
    let account = server.validate().unwrap();
    assert_eq!(
        (account.id.as_str(), account.name.as_str()),
        ("admin", "admin")
    );
    assert_eq!(account.scopes, ["admin"]);

    server.attach("alice");
    let error = server.validate().unwrap_err();
    assert_eq!(error.code, ErrorCode::Credentials);
    assert!(
        error.message.contains("alice") && error.message.contains("administrator"),
        "{error}"
    );

    server.control("account", json!({"user": "alice", "delegated": true}));
    assert_eq!(server.validate().unwrap().name, "Alice Ünïcode");

    server.control("revoke_tokens", json!({"user": "alice"}));
    assert_eq!(server.validate().unwrap_err().code, ErrorCode::Credentials);
    server.assert_no_violations();
}

#[test]
fn an_account_that_is_good_is_good_before_the_app_is_enabled() {
    let server = Server::new();
    server.control("app", json!({"enabled": false}));
    assert_eq!(server.validate().unwrap().id, "admin");
}

#[test]
fn the_server_cannot_be_asked_for_a_test_delivery() {
    let server = Server::new();
    let (host, held) = (server.host.host(), ExistingSubscription::default());
    let error = block_on(provider().test(&host, &held)).unwrap_err();
    assert_eq!(error.code, ErrorCode::Unsupported);
}
