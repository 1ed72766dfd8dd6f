//! A killed host goes on at the step where it was.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::harness::Host;
use super::{begin, ended, start_with, step_in};

const DOCUMENT: &str = "
workspace: default
runnables:
- {path: f/t/note, command: {argv: [./note.sh]}, concurrency: 4, retry: {attempts_max: 50, first: 50ms}}
- {path: f/t/hold, command: {argv: [./hold.sh]}, retry: {first: 50ms}}
- path: f/t/three
  flow:
    steps:
    - {id: one, run: f/t/note, inputs: {name: \"'one'\"}}
    - {id: two, run: f/t/hold, inputs: {name: \"'two'\"}}
    - {id: three, run: f/t/note, inputs: {name: \"'three'\", before: results.one}}
- path: f/t/many
  flow:
    steps:
    - {id: one, run: f/t/note, inputs: {name: \"args.name + '.one'\"}}
    - id: each
      for_each: '[1, 2, 3]'
      concurrency: 2
      steps:
      - {id: a, run: f/t/note, inputs: {name: \"args.name + '.a' + string(item)\"}}
      - {id: b, run: f/t/note, inputs: {name: \"args.name + '.b' + string(item)\"}}
    - {id: last, run: f/t/note, inputs: {name: \"args.name + '.last'\"}}
    result: size(results.each)
";

/// Writes down each run by the name it is given, in one write.
const NOTE: &str =
    r#"name=$(sed -E 's/.*"name":"([^"]*)".*/\1/'); echo "$name" >>runs; echo "\"$name\"""#;

fn runs(host: &Host) -> BTreeMap<String, usize> {
    let text = std::fs::read_to_string(host.path("commands/runs")).unwrap_or_default();
    let mut runs = BTreeMap::new();
    for line in text.lines() {
        *runs.entry(line.to_owned()).or_default() += 1;
    }
    runs
}

#[tokio::test]
async fn a_killed_host_goes_on_at_the_step_where_it_was() {
    let mut host = start_with(&[]).await;
    host.script("note.sh", NOTE);
    host.script(
        "hold.sh",
        "echo two >>runs; for i in $(seq 1200); do [ -e go ] && break; sleep 0.05; done; echo 2",
    );
    host.apply(DOCUMENT);
    let job = begin(&host, "f/t/three", &json!({})).await;
    step_in(&host, &job, "two", "running").await;
    host.until("the second step's first run", async || {
        runs(&host).contains_key("two").then_some(())
    })
    .await;
    host.kill();
    host.resume().await;
    host.until("the second step's second run", async || {
        (runs(&host)["two"] == 2).then_some(())
    })
    .await;
    std::fs::write(host.path("commands/go"), "").expect("a file");
    let shown = ended(&host, &job).await;
    assert_eq!(
        (&shown["state"], &shown["result"]),
        (&json!("done"), &json!("three"))
    );
    let expected = [("one", 1), ("three", 1), ("two", 2)];
    let expected = expected.map(|(name, times)| (name.to_owned(), times));
    assert_eq!(runs(&host), BTreeMap::from(expected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flows_come_to_their_end_through_many_kills() {
    let mut host = start_with(&[]).await;
    host.script("note.sh", NOTE);
    host.script("hold.sh", "true");
    host.apply(DOCUMENT);
    let mut jobs = Vec::new();
    for round in 0..6u64 {
        for number in 0..3 {
            let name = format!("r{round}n{number}");
            jobs.push((begin(&host, "f/t/many", &json!({"name": name})).await, name));
        }
        let mut bytes = [0; 8];
        triggerd::clock::random(&mut bytes);
        let pause = 50 + u64::from_le_bytes(bytes) % 400;
        tokio::time::sleep(Duration::from_millis(pause)).await;
        host.kill();
        host.resume().await;
    }
    for (job, _) in &jobs {
        let shown = ended(&host, job).await;
        assert_eq!(
            (&shown["state"], &shown["result"]),
            (&json!("done"), &json!(3)),
            "{shown}"
        );
    }
    let runs = runs(&host);
    for (job, name) in &jobs {
        let steps = host.items(&format!("jobs?flow={job}&limit=100")).await;
        assert_eq!(steps.len(), 8, "each step is one job");
        for step in steps {
            let id = step["id"].as_str().expect("an id");
            let attempts = host.items(&format!("jobs/{id}/attempts")).await;
            let worked = attempts.iter().filter(|one| one["outcome"] == "ok").count();
            assert_eq!(worked, 1, "{step}");
            let ran = runs[step["result"].as_str().expect("a name")];
            assert!(
                (1..=attempts.len()).contains(&ran),
                "{name}: {ran} of {attempts:?}"
            );
        }
    }
}
