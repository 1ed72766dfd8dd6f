//! What operators ask of subscriptions, on the command line: values, pings, orphans, ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use triggerd_fakes::{Fault, Moment};

use crate::harness::text;
use crate::world::{World, control, path_of};

const DOCUMENT: &str = "
workspace: default
credentials: [{name: token, provider: github, integration: my-github, values: {access_token: ghp_demo}}]
subscriptions: [{name: pushes, provider: github, credential: token, events: [push], parameters: {repository: octocat/hello-world}}]
";

async fn one_hook() -> World {
    let world = World::start().await;
    world.host.apply(DOCUMENT);
    world.until_state("pushes", "active").await;
    world
}

fn hooks(world: &World) -> Vec<Value> {
    let hooks = control(&world.github, "hooks", json!({}));
    hooks.as_array().expect("a list").clone()
}

fn answer_of(world: &World, arguments: &[&str]) -> Value {
    let printed = world.host.cli_ok(arguments);
    serde_json::from_str(&printed).expect("one document")
}

fn refusal(world: &World, arguments: &[&str]) -> String {
    let refused = world.host.cli(arguments);
    assert!(!refused.status.success(), "{}", text(&refused.stdout));
    text(&refused.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_a_parameter_are_searched_and_paged_at_the_service() {
    let world = one_hook().await;
    let many = json!({"owner": "octocat", "count": 250});
    control(&world.github, "repositories", many);
    let of_it = ["subscriptions", "options", "pushes", "--parameter"];
    let found = world.host.cli_ok(&[&of_it[..], &["repository"]].concat());
    assert!(found.contains("octocat/hello-world"), "{found}");
    let found = world
        .host
        .cli_ok(&[&of_it[..], &["repository", "--search", "repository-0249"]].concat());
    assert!(found.contains("octocat/repository-0249"), "{found}");
    assert!(!found.contains("octocat/hello-world"), "{found}");

    // Before there is a subscription, and to the last page.
    let mut values = Vec::new();
    let mut cursor = String::new();
    loop {
        let asked = [
            "subscriptions",
            "options",
            "--provider",
            "github",
            "--credential",
            "token",
            "--parameter",
            "repository",
            "--json",
        ];
        let mut asked = asked.to_vec();
        if !cursor.is_empty() {
            asked.extend(["--cursor", &cursor]);
        }
        let page = answer_of(&world, &asked);
        let items = page["items"].as_array().expect("a list");
        values.extend(items.iter().map(|one| one["value"].to_string()));
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    values.sort();
    let all = values.len();
    values.dedup();
    assert_eq!(values.len(), all, "each once");
    assert!(all > 250, "{all} of them");
    let told = refusal(&world, &[&of_it[..], &["branch"]].concat());
    assert!(told.contains("`repository`"), "{told}");
    world.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_can_is_asked_for_a_ping() {
    let world = one_hook().await;
    let before = world.host.items("requests").await.len();
    world.host.cli_ok(&["subscriptions", "test", "pushes"]);
    let asked = async || {
        let requests = world.host.items("requests").await;
        let newest = (requests.len() > before).then(|| requests[0].clone());
        newest.filter(|request| request["status"] == 200)
    };
    world.host.until("the ping", asked).await;
    world.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_found_and_ended_and_nothing_else_is() {
    let world = one_hook().await;
    let ours = world.host.endpoint("pushes").await;
    let (address, _) = ours.rsplit_once('/').expect("a path");
    let before = hooks(&world).len();
    let orphan = format!("{address}/ep_00000000000000000000000000");
    let foreign = "https://other.example/webhooks/github/ep_00000000000000000000000000";
    for url in [orphan.as_str(), foreign] {
        let added = json!({"repository": "octocat/hello-world", "url": url});
        control(&world.github, "add_hook", added);
    }
    // The only account of the provider is meant where none is named.
    let found = answer_of(&world, &["subscriptions", "orphans", "github", "--json"]);
    let items = found["items"].as_array().expect("a list");
    assert_eq!(items.len(), 1, "{found}");
    assert_eq!(items[0]["endpoint_url"], orphan);
    assert_eq!(hooks(&world).len(), before + 2, "looking ends nothing");

    let asked = [
        "subscriptions",
        "orphans",
        "github",
        "--credential",
        "token",
        "--delete",
    ];
    let ended = world.host.cli_ok(&asked);
    assert!(ended.contains("deleted"), "{ended}");
    let left: Vec<Value> = hooks(&world)
        .iter()
        .map(|hook| hook["url"].clone())
        .collect();
    assert_eq!(left.len(), before + 1, "{left:?}");
    assert!(
        left.contains(&json!(ours)) && left.contains(&json!(foreign)),
        "{left:?}"
    );
    let none = world.host.cli_ok(&["subscriptions", "orphans", "github"]);
    assert!(none.contains("no orphans"), "{none}");

    let second = DOCUMENT.replace("name: token", "name: second");
    let (second, _) = second.split_once("subscriptions:").expect("it has some");
    world.host.apply(second);
    let told = refusal(&world, &["subscriptions", "orphans", "github"]);
    assert!(
        told.contains("`token`") && told.contains("`second`"),
        "{told}"
    );
    world.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_end_keeps_the_subscription_and_force_lets_go_of_it() {
    let world = one_hook().await;
    let fault = json!({"path": "/", "method": "DELETE", "status": 500});
    let fault: Fault = serde_json::from_value(fault).expect("a fault");
    world.github.fault(fault);
    let told = refusal(&world, &["subscriptions", "delete", "pushes"]);
    assert!(told.contains("is kept"), "{told}");
    let kept = world.host.get(&path_of("pushes")).await;
    assert_eq!(kept["state"], "deleting", "{kept}");
    let reason = kept["state_reason"].as_str().unwrap_or_default();
    assert!(
        reason.contains("cannot be ended at the service"),
        "{reason}"
    );
    let pushed = json!({"repository": "octocat/hello-world"});
    control(&world.github, "push", pushed);
    let noted = async || {
        let requests = world.host.items("requests").await;
        let silent = |row: &&Value| row["reason"] == "the subscription is being deleted";
        requests.iter().find(silent).cloned()
    };
    let noted = world.host.until("what is sent meanwhile", noted).await;
    assert_eq!(noted["outcome"], "answered", "{noted}");
    assert!(world.host.items("events").await.is_empty());
    let before = hooks(&world).len();

    world
        .host
        .cli_ok(&["subscriptions", "delete", "pushes", "--force"]);
    assert!(world.host.items("subscriptions").await.is_empty());
    assert_eq!(hooks(&world).len(), before, "it is left there");
    world.github.heal();
    let repository = "repository=octocat/hello-world";
    let asked = [
        "subscriptions",
        "orphans",
        "github",
        "--with",
        repository,
        "--delete",
    ];
    let ended = world.host.cli_ok(&asked);
    assert!(ended.contains("deleted"), "{ended}");
    assert_eq!(hooks(&world).len(), before - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_401_is_mended_by_one_renewal_and_a_403_asks_for_none() {
    let world = World::start().await;
    control(&world.github, "expiring_tokens", json!({"seconds": 28_800}));
    let connected = world.connect("github", "my-github", "octocat").await;
    assert_eq!(connected["phase"], "done", "{connected}");
    let (_, subscription) = DOCUMENT.split_once("subscriptions:").expect("it has one");
    let subscription = subscription.replace("credential: token", "credential: octocat");
    world
        .host
        .apply(&format!("workspace: default\nsubscriptions:{subscription}"));
    world.until_state("pushes", "active").await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    world.github.intercept(move |at, exchange| {
        if at == Moment::Before && exchange.path.ends_with("/access_token") {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        true
    });

    control(&world.github, "revoke_tokens", json!({"refresh": false}));
    let checked = world.host.cli_ok(&["subscriptions", "check", "pushes"]);
    assert!(checked.contains("it is active"), "{checked}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);

    let fault = json!({"path": "/", "method": "GET", "status": 403, "body": "{\"message\": \"Resource not accessible\"}"});
    let fault: Fault = serde_json::from_value(fault).expect("a fault");
    world.github.fault(fault);
    world.host.cli_ok(&["subscriptions", "check", "pushes"]);
    assert_eq!(
        asked.load(Ordering::SeqCst),
        1,
        "a 403 is no reason to renew"
    );
}
