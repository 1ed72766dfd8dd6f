//! A host that is killed in the middle of an exchange with a service: no orphan, no double, no gap.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use serde_json::json;
use triggerd_fakes::Moment;

use crate::life::ours;
use crate::world::{World, control};

/// So many exchanges and moments are tried; making and ending need fewer.
const KILLS: usize = 6;

/// Kills the process at the so-many-th moment from now (before and after each exchange).
fn kill_at(world: &World, moment: usize) -> Arc<AtomicUsize> {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let pid = AtomicI32::new(i32::try_from(world.host.pid()).expect("a process id"));
    world.github.intercept(move |at, _| {
        if counted.fetch_add(1, Ordering::SeqCst) != moment {
            return true;
        }
        let pid = rustix::process::Pid::from_raw(pid.load(Ordering::SeqCst)).expect("not zero");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
        // Before: the service never sees the request. After: its answer is lost.
        at == Moment::After
    });
    seen
}

const DOCUMENT: &str = "
workspace: default
runnables: [{path: f/demo/record, command: {argv: [./record.sh]}}]
credentials: [{name: token, provider: github, integration: my-github, values: {access_token: ghp_demo}}]
subscriptions: [{name: pushes, provider: github, credential: token, parameters: {repository: octocat/hello-world}}]
triggers: [{name: on-push, subscription: pushes, event: push, runnable: f/demo/record}]
";

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_while_it_makes_a_hook_leaves_exactly_one_that_works() {
    let mut world = World::start().await;
    let mut killed = 0;
    for moment in 0..KILLS {
        // The credential first, so that what is cut off is the making.
        let account = DOCUMENT.replace("subscriptions:", "# subscriptions:");
        world
            .host
            .apply(&account.replace("triggers:", "# triggers:"));
        let seen = kill_at(&world, moment);
        let path = world.host.path("document.yaml");
        std::fs::write(&path, DOCUMENT).expect("a document");
        world
            .host
            .cli(&["apply", "-f", path.to_str().expect("a path")]);
        let made = async || {
            let hooks = control(&world.github, "hooks", json!({}));
            let is_dead = seen.load(Ordering::SeqCst) > moment;
            (is_dead || ours(&hooks, &world.host.url).len() == 1).then_some(is_dead)
        };
        if world.host.until("the kill, or the hook", made).await {
            killed += 1;
        }
        world.github.intercept(|_, _| true);
        world.host.kill();
        world.host.resume().await;
        world.host.apply(DOCUMENT);
        world.until_state("pushes", "active").await;
        let hooks = control(&world.github, "hooks", json!({}));
        let leading_here = hooks.as_array().expect("a list").iter();
        let leading_here = leading_here.filter(|hook| {
            hook["url"]
                .as_str()
                .is_some_and(|url| url.contains("/webhooks/"))
        });
        assert_eq!(
            leading_here.count(),
            1,
            "moment {moment}: {hooks}\n{}",
            world.host.log()
        );
        control(
            &world.github,
            "push",
            json!({"repository": "octocat/hello-world"}),
        );
        let worked = async || {
            let jobs = world.host.items("jobs").await;
            let done = jobs.iter().filter(|job| job["state"] == "done");
            (done.count() > moment).then_some(())
        };
        world.host.until("the job of a push", worked).await;
        remove_all(&world).await;
    }
    assert!(killed >= 2, "the host was killed {killed} times");
    world.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_died_with_their_host_are_said_to_be_lost_as_soon_as_it_starts_again() {
    let mut world = World::start().await;
    control(&world.github, "expiring_tokens", json!({"seconds": 28_800}));
    let connected = world.connect("github", "my-github", "octocat").await;
    assert_eq!(connected["phase"], "done", "{connected}");
    let account = "credentials: [{name: token, provider: github, integration: my-github, values: {access_token: ghp_demo}}]\n";
    let document = DOCUMENT.replace(account, "");
    let document = document.replace("credential: token", "credential: octocat");
    world.host.apply(&document);
    world.until_state("pushes", "active").await;

    // The service ends the tokens that are kept, and its answer with the new ones finds nobody.
    control(&world.github, "revoke_tokens", json!({"refresh": false}));
    let pid = i32::try_from(world.host.pid()).expect("a process id");
    let given = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&given);
    world.github.intercept(move |at, exchange| {
        if at == Moment::After && exchange.path.ends_with("/access_token") {
            counted.fetch_add(1, Ordering::SeqCst);
            let pid = rustix::process::Pid::from_raw(pid).expect("not zero");
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
        }
        true
    });
    let cut_off = world.host.cli(&["subscriptions", "check", "pushes"]);
    assert!(!cut_off.status.success());
    assert_eq!(given.load(Ordering::SeqCst), 1, "{}", world.host.log());
    world.github.intercept(|_, _| true);
    world.host.kill();
    world.host.resume().await;

    let refused = world.host.until("the loss to be said", async || {
        let path = "/api/v1/workspaces/default/credentials/octocat";
        let found = world.host.get(path).await;
        (found["state"] == "needs_reconnect").then_some(found)
    });
    let refused = refused.await;
    let reason = refused["state_reason"].as_str().unwrap_or_default();
    assert!(reason.contains("bad_refresh_token"), "{reason}");
    assert!(reason.contains("lost with it"), "{reason}");
    assert_eq!(refused["subscriptions"], json!(["pushes"]), "{refused}");
    let degraded = world.until_state("pushes", "degraded").await;
    assert!(
        degraded["state_reason"]
            .to_string()
            .contains("lost with it")
    );
    let listed = world.host.cli_ok(&["credentials", "show", "octocat"]);
    assert!(
        listed.contains("triggerd connect github --name octocat"),
        "{listed}"
    );

    let connected = world.connect("github", "my-github", "octocat").await;
    assert_eq!(connected["phase"], "done", "{connected}");
    world.until_state("pushes", "active").await;
}

async fn remove_all(world: &World) {
    let path = world.host.path("empty.yaml");
    std::fs::write(&path, "workspace: default\n").expect("a document");
    world
        .host
        .cli_ok(&["apply", "-f", path.to_str().expect("a path"), "--prune"]);
    let gone = async || {
        let hooks = control(&world.github, "hooks", json!({}));
        let is_empty = world.host.items("subscriptions").await.is_empty();
        (is_empty && !hooks.to_string().contains("/webhooks/")).then_some(())
    };
    world.host.until("nothing to be left", gone).await;
}
