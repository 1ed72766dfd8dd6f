//! Accounts, connected as people do it, and what becomes of a token that is taken away.

use serde_json::json;

use crate::world::{World, app_password, control, path_of};

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_each_service_is_connected_and_named() {
    let world = World::start().await;
    for (provider, integration, name, account) in [
        ("github", "my-github", "octocat", "octocat"),
        ("nextcloud", "my-cloud", "cloud-admin", "admin"),
        ("google", "my-google", "ada", "ada@acme.test"),
    ] {
        let connected = world.connect(provider, integration, name).await;
        assert_eq!(connected["phase"], "done", "{connected}");
        let shown = connected["credential"].to_string();
        assert!(shown.contains(account), "{shown}");
    }
    let listed = world.host.cli_ok(&["credentials"]);
    for name in ["octocat", "cloud-admin", "ada"] {
        assert!(listed.contains(name), "{listed}");
    }
    world.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_of_the_document_is_tried_at_the_service_and_never_shown() {
    let password = app_password("admin");
    let world = World::start().await;
    let document = json!({
        "workspace": "default",
        "credentials": [
            {"name": "by-token", "provider": "github", "integration": "my-github",
             "values": {"access_token": "ghp_demo"}},
            {"name": "by-password", "provider": "nextcloud", "integration": "my-cloud",
             "values": {"username": "admin", "app_password": password}},
        ],
    });
    let applied = world.host.apply(&document.to_string()).to_string();
    let listed = world.host.cli_ok(&["credentials", "--json"]);
    for text in [&applied, &listed, &world.host.log()] {
        assert!(
            !text.contains("ghp_demo") && !text.contains(&password),
            "{text}"
        );
    }
    assert!(listed.contains("octocat"), "{listed}");
    world.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_said_with_what_hangs_on_it_and_connecting_again_heals() {
    let world = World::start().await;
    world.connect_all().await;
    world.apply_triggers();
    world.until_state("drive", "active").await;
    control(&world.google, "revoke_tokens", json!({}));
    world.host.cli(&["subscriptions", "check", "drive"]);
    let degraded = world.until_state("drive", "degraded").await;
    let reason = degraded["state_reason"].as_str().unwrap_or_default();
    assert!(
        reason.contains("reconnect") || reason.contains("connect"),
        "{degraded}"
    );
    let credentials = world
        .host
        .get("/api/v1/workspaces/default/credentials/ada")
        .await;
    assert_eq!(credentials["state"], "needs_reconnect", "{credentials}");
    let connected = world.connect("google", "my-google", "ada").await;
    assert_eq!(connected["phase"], "done", "{connected}");
    world.until_state("drive", "active").await;
    let healed = world.host.get(&path_of("drive")).await;
    assert_eq!(healed["state"], "active");
}
