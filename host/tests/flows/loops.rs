//! Loops over many items: what ended is not read again, whoever goes on with them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::harness::{Host, Options};
use super::postgres_harness::Cluster;
use super::{begin, call, ended, start};

const DOCUMENT: &str = "
workspace: default
runnables:
- {path: f/t/echo, command: {argv: [./echo.sh]}, concurrency: 8}
- path: f/t/loop
  flow:
    steps:
    - {id: base, run: f/t/echo, inputs: args.base}
    - id: each
      for_each: args.items
      concurrency: 4
      steps:
      - {id: sum, run: f/t/echo, inputs: item + results.base}
      - {id: odd, if: item % 2 == 1, then: [{id: told, run: f/t/echo, inputs: '[item, results.sum]'}]}
    result: results.each
";

/// The arguments of a loop, and what it gives.
fn loop_over(items: u64) -> (Value, Value) {
    let item = |n: u64| match n % 2 {
        1 => json!([n, n + 7]),
        _ => Value::Null,
    };
    let results: Vec<Value> = (0..items).map(item).collect();
    let items: Vec<u64> = (0..items).collect();
    (json!({"base": 7, "items": items}), json!(results))
}

#[tokio::test]
async fn a_loop_reads_what_its_steps_came_to_and_not_all_of_them_each_time() {
    let host = start().await;
    host.script("echo.sh", "cat");
    host.apply(DOCUMENT);
    let (arguments, expected) = loop_over(120);
    let answer = call(&host, "f/t/loop", &arguments).await;
    assert_eq!(answer, (reqwest::StatusCode::OK, expected));
    let steps = 1.0 + 120.0 + 60.0;
    let read = host.metric("triggerd_flow_steps_read_total").await;
    // Each once, and the first few anew until they are worth remembering.
    assert!(
        (steps..=steps + 200.0).contains(&read),
        "{read} of {steps} steps"
    );
}

#[tokio::test]
async fn hosts_that_take_turns_at_a_loop_and_die_in_it_leave_nothing_out_and_do_nothing_twice() {
    let database = Cluster::shared().database().await;
    let options = || Options {
        variables: vec![("TRIGGERD_DATABASE".to_owned(), database.clone())],
        no_plugins: true,
        ..Options::default()
    };
    let mut first = Host::start_with(options()).await;
    let second = Host::start_like(&first, options()).await;
    for host in [&first, &second] {
        host.script("echo.sh", "cat");
    }
    first.apply(DOCUMENT);
    let (arguments, expected) = loop_over(60);
    let jobs = [
        begin(&first, "f/t/loop", &arguments).await,
        begin(&second, "f/t/loop", &arguments).await,
    ];
    second
        .until("the middle of the loop", async || {
            let done = format!("jobs?flow={}&state=done&limit=500", jobs[0]);
            (second.items(&done).await.len() > 30).then_some(())
        })
        .await;
    first.kill();
    first.resume().await;
    for job in &jobs {
        assert_eq!(ended(&second, job).await["result"], expected);
        let mut made: BTreeMap<String, usize> = BTreeMap::new();
        for step in second.items(&format!("jobs?flow={job}&limit=500")).await {
            assert_eq!(step["state"], "done", "{step}");
            let key = step["step"].as_str().expect("a step").to_owned();
            *made.entry(key).or_default() += 1;
        }
        assert_eq!(made.len(), 1 + 60 + 30);
        assert!(made.values().all(|times| *times == 1), "{made:?}");
    }
}
