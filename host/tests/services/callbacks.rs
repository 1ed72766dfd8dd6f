//! What services send while something is being made, and while two of it are there.

use serde_json::{Value, json};
use triggerd_fakes::Fault;

use crate::world::{World, control};

async fn statuses(world: &World) -> Vec<Value> {
    let requests = world.host.all_items("requests").await;
    let of = |one: Value| json!([one["subscription"], one["status"]]);
    requests.into_iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_sends_before_its_own_answer_is_accepted() {
    let world = World::start().await;
    world.connect_all().await;
    control(&world.github, "ping_before_answer", json!({"on": true}));
    control(&world.google, "sync_before_answer", json!({"on": true}));
    world.apply_triggers();
    for name in ["pushes", "drive", "calendar"] {
        world.until_state(name, "active").await;
    }
    let came = statuses(&world).await;
    for name in ["pushes", "drive", "calendar"] {
        assert!(came.contains(&json!([name, 200])), "{name}: {came:?}");
    }
    assert!(came.iter().all(|one| one[1] == 200), "{came:?}");
    world.assert_no_violations();
}

const DOCUMENT: &str = "
workspace: default
subscriptions: [{name: drive, provider: google, credential: ada, events: [drive.file_created], parameters: {watch: everything}}]
";

#[tokio::test(flavor = "multi_thread")]
async fn while_a_channel_has_a_successor_both_are_accepted() {
    let world = World::start().await;
    world.connect("google", "my-google", "ada").await;
    world.host.apply(DOCUMENT);
    world.until_state("drive", "active").await;
    let channels = || control(&world.google, "channels", json!({}));
    let count = |list: Value| list.as_array().map_or(0, Vec::len);
    assert_eq!(count(channels()), 1);
    // The old one cannot be stopped for now.
    let fault = json!({"path": "/drive/v3/channels/stop", "status": 503});
    let fault: Fault = serde_json::from_value(fault).expect("a fault");
    world.google.fault(fault);
    let folder = "{watch: folder, folder: root}";
    world
        .host
        .apply(&DOCUMENT.replace("{watch: everything}", folder));
    let two = async || (count(channels()) == 2).then_some(());
    world.host.until("the second channel", two).await;
    let before = statuses(&world).await.len();
    control(&world.google, "create_file", json!({"name": "report.pdf"}));
    let both = async || {
        let came = statuses(&world).await;
        (came.len() >= before + 2).then_some(came)
    };
    let came = world.host.until("what both channels send", both).await;
    assert!(came.iter().all(|one| one[1] == 200), "{came:?}");

    world.google.heal();
    world.host.cli_ok(&["subscriptions", "sync", "drive"]);
    let one = async || (count(channels()) == 1).then_some(());
    world.host.until("the end of the old channel", one).await;
    world.until_state("drive", "active").await;
    world.assert_no_violations();
}
