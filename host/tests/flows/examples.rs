//! The documents that a user copies work as they stand.

use serde_json::json;

use super::harness::{Host, root};
use super::{begin, call, ended, start, step_in, steps};

/// With the programs that lie beside it.
fn apply_example(host: &Host, name: &str) {
    let folder = root().join("examples/flows");
    for file in std::fs::read_dir(&folder).expect("the examples") {
        let file = file.expect("a file").path();
        if file.extension().is_some_and(|extension| extension == "sh") {
            let name = file.file_name().expect("a name").to_str().expect("text");
            let text = std::fs::read_to_string(&file).expect("a program");
            host.script(name, &text);
        }
    }
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path).expect("the example");
    host.apply(&text);
    let checked = host.cli_ok(&["check", path.to_str().expect("a path")]);
    assert!(checked.contains("ok       document"), "{checked}");
}

#[tokio::test]
async fn the_sequential_example_runs() {
    let host = start().await;
    apply_example(&host, "sequential.yaml");
    let (status, body) = call(&host, "f/shop/order", &json!({"order": 7})).await;
    assert_eq!(status, 200);
    let bill = json!({"order": 7, "total": 238, "to": "the shop", "copies": 2});
    assert_eq!(body, json!({"total": 238, "bill": bill}));
    // The same again changes nothing.
    let path = host.path("document.yaml");
    let again = host.cli_ok(&["apply", "-f", path.to_str().expect("a path")]);
    assert!(again.contains("3 unchanged"), "{again}");

    let job = begin(&host, "f/shop/order", &json!({"order": 8, "to": "ada"})).await;
    let shown = ended(&host, &job).await;
    assert_eq!(shown["result"]["bill"]["to"], "ada");
    let steps = steps(&host, &job);
    let told: Vec<String> = steps
        .iter()
        .map(|step| {
            let text = |key: &str| step[key].as_str().expect("text").to_owned();
            format!(
                "{} {} {} {}",
                text("step"),
                text("runnable"),
                text("state"),
                text("cause")
            )
        })
        .collect();
    assert_eq!(
        told,
        ["price f/shop/price done flow", "bill f/shop/bill done flow"]
    );
    assert_eq!(steps[0]["attempts_max"], 3, "the step's own policy");
    let printed = host.cli_ok(&["jobs", "show", &job]);
    for word in ["STEP", "price", "f/shop/bill", "done", "238"] {
        assert!(printed.contains(word), "{word} in {printed}");
    }
}

#[tokio::test]
async fn the_example_with_branch_and_loop_runs() {
    let host = start().await;
    apply_example(&host, "branch-and-loop.yaml");
    let lines = json!([{"article": "a", "count": 1}, {"article": "b", "count": 200}]);
    let (status, body) = call(&host, "f/stock/deliver", &json!({"lines": lines})).await;
    assert_eq!(status, 200, "{body}");
    let parcels = json!([
        {"number": 0, "article": "a", "count": 1},
        {"number": 1, "article": "b", "count": 200},
    ]);
    assert_eq!(body, json!({"approved_by": "ada", "parcels": parcels}));

    let small: Vec<_> = (0..7).map(|n| json!({"article": n, "count": n})).collect();
    let job = begin(&host, "f/stock/deliver", &json!({"lines": small})).await;
    let shown = ended(&host, &job).await;
    assert_eq!(shown["result"]["approved_by"], json!(null));
    assert_eq!(shown["result"]["parcels"].as_array().map(Vec::len), Some(7));
    let mut made: Vec<String> = steps(&host, &job)
        .iter()
        .map(|step| step["step"].as_str().expect("a step").to_owned())
        .collect();
    made.sort();
    let mut expected: Vec<String> = (0..7).map(|n| format!("shipped[{n}].ship")).collect();
    expected.insert(0, "preprocessor".to_owned());
    assert_eq!(made, expected);
}

#[tokio::test]
async fn the_example_with_early_return_and_error_handlers_runs() {
    let host = start().await;
    apply_example(&host, "early-return.yaml");
    host.script(
        "file.sh",
        "for i in $(seq 1200); do [ -e go ] && break; sleep 0.05; done; cat; [ ! -e bad ]",
    );
    let (status, body) = call(&host, "f/desk/ticket", &json!({})).await;
    assert_eq!((status.as_u16(), body), (200, json!({"ticket": 41})));
    let job = host
        .item("jobs?runnable=f/desk/ticket", |job| {
            job["cause"] == "webhook"
        })
        .await;
    let job = job["id"].as_str().expect("an id").to_owned();
    // It goes on after the answer.
    step_in(&host, &job, "file", "running").await;
    let (status, maybe) = super::called(&host, "run/f/f/desk/ticket", &json!({})).await;
    assert_eq!(status, 201, "{maybe}");
    std::fs::write(host.path("commands/go"), "").expect("a file");
    let shown = ended(&host, &job).await;
    let notes = &shown["result"]["notes"];
    assert_eq!(notes["ticket"], 41);
    let why = notes["why"].as_str().expect("words");
    assert!(why.contains("no oracle"), "{why}");
    let enrich = step_in(&host, &job, "enrich", "dead").await;
    assert_eq!(enrich["attempts"], 2, "it was tried again first");

    // The whole flow is given up: its own handler is told, once.
    std::fs::write(host.path("commands/bad"), "").expect("a file");
    let job = begin(&host, "f/desk/ticket", &json!({"a": 1})).await;
    assert_eq!(ended(&host, &job).await["state"], "dead");
    let alarm = host
        .item("jobs?cause=error&state=done", |told| {
            told["origin_job_id"] == job.as_str()
        })
        .await;
    let told = &alarm["result"];
    assert_eq!(
        (&told["path"], &told["job_id"], &told["arguments"]),
        (&json!("f/desk/ticket"), &json!(job), &json!({"a": 1}))
    );
    let error = told["error"].as_str().expect("words");
    assert!(error.starts_with("step `file`: "), "{error}");
}
