//! What the demo shows: subscriptions at four services, made, heard, checked, paused and ended.

use serde_json::{Value, json};

use crate::world::{World, control, path_of};

async fn demo() -> World {
    let world = World::start().await;
    world.connect_all().await;
    world.apply_triggers();
    for name in ["pushes", "cloud-files", "drive", "calendar"] {
        world.until_state(name, "active").await;
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_at_each_service_becomes_a_finished_job() {
    let world = demo().await;
    control(
        &world.github,
        "push",
        json!({"repository": "octocat/hello-world"}),
    );
    let created = "OCP\\Files\\Events\\Node\\NodeCreatedEvent";
    control(&world.nextcloud, "happen", json!({"class": created}));
    // What is there when a subscription begins is no news: the first pull comes before it.
    for name in ["drive", "calendar"] {
        let pulled = format!("the first pull of {name}");
        world
            .host
            .until(&pulled, async || {
                let found = world.host.get(&path_of(name)).await;
                (!found["pulled_at"].is_null()).then_some(())
            })
            .await;
    }
    control(&world.google, "create_file", json!({"name": "report.pdf"}));
    let meeting = json!({"summary": "Standup", "start": {"dateTime": "2096-10-02T07:00:00Z"}, "end": {"dateTime": "2096-10-02T07:15:00Z"}});
    control(&world.google, "create_event", meeting);
    for trigger in ["on-push", "on-file", "on-drive-file", "on-meeting"] {
        let job = world.until_job(trigger).await;
        assert_eq!(job["cause"], "event", "{job}");
    }
    world.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_for_what_the_host_made_are_signed_with_what_it_told_the_service() {
    let world = demo().await;
    for (provider, event, name) in [
        ("github", "push", "pushes"),
        ("nextcloud", "file_created", "cloud-files"),
    ] {
        let sent = world.host.cli_ok(&["send", provider, event, "--to", name]);
        assert!(sent.contains("1 accepted"), "{name}: {sent}");
    }
    world.until_job("on-push").await;
    world.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_somebody_deleted_or_changed_is_put_right_by_a_check() {
    let world = demo().await;
    control(
        &world.github,
        "alter_hook",
        json!({"url": "https://evil.example/x"}),
    );
    world.host.cli_ok(&["subscriptions", "check", "pushes"]);
    let url = world.host.endpoint("pushes").await;
    world
        .host
        .until("the hook's address to be ours again", async || {
            let hooks = control(&world.github, "hooks", json!({}));
            (hooks[0]["url"] == url).then_some(())
        })
        .await;
    let id = control(&world.github, "hooks", json!({}))[0]["id"].clone();
    control(&world.github, "vanish_hook", json!({"id": id}));
    world.host.cli_ok(&["subscriptions", "check", "pushes"]);
    world
        .host
        .until("another hook", async || {
            let hooks = control(&world.github, "hooks", json!({}));
            let ours = ours(&hooks, &url);
            (ours.len() == 1 && ours[0]["id"] != id).then_some(())
        })
        .await;
    world.until_state("pushes", "active").await;
    world.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_subscription_is_logged_and_runs_nothing_until_it_is_resumed() {
    let world = demo().await;
    world.host.cli_ok(&["subscriptions", "pause", "pushes"]);
    world.until_state("pushes", "paused").await;
    let before = world.host.items("requests").await.len();
    control(
        &world.github,
        "push",
        json!({"repository": "octocat/hello-world"}),
    );
    world
        .host
        .until("the request of a paused subscription", async || {
            (world.host.items("requests").await.len() > before).then_some(())
        })
        .await;
    world.host.cli_ok(&["subscriptions", "resume", "pushes"]);
    world.until_state("pushes", "active").await;
    let sent = control(
        &world.github,
        "push",
        json!({"repository": "octocat/hello-world"}),
    );
    assert_eq!(sent["hooks"], 1);
    world.until_job("on-push").await;
    let jobs = world.host.items("jobs").await;
    let of_push = jobs.iter().filter(|job| job["trigger"] == "on-push");
    assert_eq!(of_push.count(), 1, "the push during the pause ran nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_ends_everything_at_the_services() {
    let world = demo().await;
    let empty = json!({"workspace": "default"}).to_string();
    let path = world.host.path("empty.yaml");
    std::fs::write(&path, empty).expect("a document");
    let path = path.to_str().expect("a path");
    world.host.cli_ok(&["apply", "-f", path, "--prune"]);
    world
        .host
        .until("the end of all subscriptions", async || {
            world
                .host
                .items("subscriptions")
                .await
                .is_empty()
                .then_some(())
        })
        .await;
    assert_eq!(
        control(&world.github, "hooks", json!({}))
            .as_array()
            .map(|hooks| ours(&json!(hooks), &world.host.url).len()),
        Some(0)
    );
    assert_eq!(control(&world.nextcloud, "hooks", json!({})), json!([]));
    assert_eq!(control(&world.google, "channels", json!({})), json!([]));
    world.assert_no_violations();
}

/// The hooks that lead here.
pub fn ours(hooks: &Value, url: &str) -> Vec<Value> {
    let hooks = hooks.as_array().cloned().unwrap_or_default();
    let leads_here = |hook: &Value| hook["url"].as_str().is_some_and(|to| to.starts_with(url));
    hooks.into_iter().filter(leads_here).collect()
}
