//! What follows in a flow from what its steps did so far.

use expect_test::{Expect, expect};
use serde_json::json;

use super::*;
use crate::clock::Millis;
use crate::flows::own_stack::run_on_own_stack;
use crate::flows::spec::ITEMS_MAX;

fn fact(key: &str, outcome: Value) -> (String, StepFact) {
    let (state, result, error) = match outcome.as_str() {
        Some("running") => (JobState::Running, None, None),
        Some("dead") => (JobState::Dead, None, Some("no disk".to_owned())),
        Some("cancelled") => (JobState::Cancelled, None, None),
        _ => (JobState::Done, Some(outcome.to_string().into()), None),
    };
    let fact = StepFact {
        job_id: JobId::generate(Millis(1)),
        state,
        result,
        error,
    };
    (key.to_owned(), fact)
}

/// What is planned, a line each.
fn planned(flow: &Value, steps: Value) -> String {
    planned_by(flow, steps, plan)
}

fn planned_by(
    flow: &Value,
    steps: Value,
    by: fn(&FlowSpec, &Facts, &mut Memory) -> Plan,
) -> String {
    let Value::Object(steps) = steps else {
        panic!("a map")
    };
    let facts = Facts {
        arguments: json!({"n": 3, "list": [10, 20, 30]}).to_string().into(),
        trigger: json!({"name": "on-push"}),
        job: json!({"id": "job_1"}),
        steps: steps
            .into_iter()
            .map(|(key, outcome)| fact(&key, outcome))
            .collect(),
    };
    let flow = FlowSpec::parse(flow).expect("a flow");
    let plan = run_on_own_stack(|| by(&flow, &facts, &mut Memory::default())).expect("no panic");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut lines: Vec<String> = plan
        .starts
        .iter()
        .map(|start| {
            format!(
                "start {} {} {}",
                start.key,
                start.path,
                text(&start.arguments)
            )
        })
        .collect();
    lines.extend(
        plan.answer
            .map(|answer| format!("answer {}", text(&answer))),
    );
    lines.extend(plan.end.map(|end| match end {
        End::Done(result) => format!("done {}", text(&result)),
        End::Failed(error) => format!("failed {error}"),
    }));
    lines.join("\n")
}

#[track_caller]
fn check(flow: &Value, steps: Value, expected: Expect) {
    expected.assert_eq(&planned(flow, steps));
}

#[test]
fn steps_follow_each_other() {
    let flow = json!({"steps": [
        {"id": "a", "run": "f/x/a"},
        {"id": "b", "run": "f/x/b", "inputs": {"sum": "results.a + args.n", "as": ["'it'", 1, null]}},
    ]});
    check(
        &flow,
        json!({}),
        expect![[r#"start a f/x/a {"n":3,"list":[10,20,30]}"#]],
    );
    check(&flow, json!({"a": "running"}), expect![""]);
    check(
        &flow,
        json!({"a": 4}),
        expect![[r#"start b f/x/b {"sum":7,"as":["it",1,null]}"#]],
    );
    check(
        &flow,
        json!({"a": 4, "b": {"c": 1}}),
        expect![[r#"done {"c":1}"#]],
    );
    check(
        &flow,
        json!({"a": "dead"}),
        expect!["failed step `a`: no disk"],
    );
    check(
        &flow,
        json!({"a": "cancelled"}),
        expect!["failed step `a`: it was cancelled"],
    );
    check(
        &flow,
        json!({"a": "text"}),
        expect![[
            r#"failed step `b`: `inputs`.sum: Unsupported binary operator 'add': String("text"), Int(3)"#
        ]],
    );
}

#[test]
fn a_preprocessor_shapes_the_arguments() {
    let flow = json!({
        "preprocessor": {"run": "f/x/shape", "inputs": {"from": "trigger.name", "n": "args.n"}},
        "steps": [{"id": "a", "run": "f/x/a"}, {"id": "b", "run": "f/x/b", "inputs": {"m": "args.m"}}],
        "result": {"m": "args.m", "id": "job.id"},
    });
    check(
        &flow,
        json!({}),
        expect![[r#"start preprocessor f/x/shape {"from":"on-push","n":3}"#]],
    );
    check(
        &flow,
        json!({"preprocessor": {"m": 1}}),
        expect![[r#"start a f/x/a {"m":1}"#]],
    );
    check(
        &flow,
        json!({"preprocessor": {"m": 1}, "a": null}),
        expect![[r#"start b f/x/b {"m":1}"#]],
    );
    check(
        &flow,
        json!({"preprocessor": {"m": 1}, "a": null, "b": 2}),
        expect![[r#"done {"m":1,"id":"job_1"}"#]],
    );
}

#[test]
fn a_condition_decides_between_two_ways() {
    let flow = json!({"steps": [
        {"id": "a", "run": "f/x/a"},
        {"id": "way", "if": "results.a > 1",
            "then": [{"id": "b", "run": "f/x/b"}, {"id": "c", "run": "f/x/c"}],
            "else": [{"id": "d", "run": "f/x/d"}]},
        {"id": "e", "run": "f/x/e",
            "inputs": {"c": "has(results.c) ? results.c : 'none'", "way": "results.way"}},
    ]});
    check(
        &flow,
        json!({"a": 2, "b": 1}),
        expect![[r#"start c f/x/c {"n":3,"list":[10,20,30]}"#]],
    );
    check(
        &flow,
        json!({"a": 1}),
        expect![[r#"start d f/x/d {"n":3,"list":[10,20,30]}"#]],
    );
    check(
        &flow,
        json!({"a": 2, "b": 1, "c": 5}),
        expect![[r#"start e f/x/e {"c":5,"way":5}"#]],
    );
    check(
        &flow,
        json!({"a": 0, "d": "D"}),
        expect![[r#"start e f/x/e {"c":"none","way":"D"}"#]],
    );
    check(
        &flow,
        json!({"a": [1]}),
        expect![
            "failed step `way`: `if`: found no matching overload for '_>_' applied to '(list, int)'"
        ],
    );
}

#[test]
fn a_loop_works_on_so_many_items_at_once() {
    let flow = json!({"steps": [
        {"id": "each", "for_each": "args.list", "concurrency": 2, "steps": [
            {"id": "a", "run": "f/x/a", "inputs": {"item": "item", "index": "index"}},
            {"id": "b", "run": "f/x/b", "inputs": {"a": "results.a"}},
        ]},
        {"id": "last", "run": "f/x/last", "inputs": {"all": "results.each"}},
    ]});
    check(
        &flow,
        json!({}),
        expect![[r#"
        start each[0].a f/x/a {"item":10,"index":0}
        start each[1].a f/x/a {"item":20,"index":1}"#]],
    );
    check(
        &flow,
        json!({"each[0].a": 1, "each[1].a": "running"}),
        expect![[r#"start each[0].b f/x/b {"a":1}"#]],
    );
    check(
        &flow,
        json!({"each[0].a": 1, "each[0].b": "B0", "each[1].a": "running"}),
        expect![[r#"start each[2].a f/x/a {"item":30,"index":2}"#]],
    );
    check(
        &flow,
        json!({"each[0].a": 1, "each[0].b": "B0", "each[1].a": 1, "each[1].b": "B1",
            "each[2].a": 1, "each[2].b": "B2"}),
        expect![[r#"start last f/x/last {"all":["B0","B1","B2"]}"#]],
    );
    // What runs comes to its end before the flow does; nothing more begins.
    check(
        &flow,
        json!({"each[0].a": "dead", "each[1].a": "running"}),
        expect![""],
    );
    check(
        &flow,
        json!({"each[0].a": "dead", "each[1].a": 1, "each[1].b": 1}),
        expect!["failed step `each[0].a`: no disk"],
    );
}

#[test]
fn a_loop_over_nothing_gives_nothing_and_one_over_too_much_fails() {
    let flow = json!({"steps": [
        {"id": "a", "run": "f/x/a"},
        {"id": "each", "for_each": "results.a", "steps": [{"id": "b", "run": "f/x/b"}]},
    ]});
    check(&flow, json!({"a": []}), expect!["done []"]);
    check(
        &flow,
        json!({"a": 1}),
        expect!["failed step `each`: `for_each` gives no list"],
    );
    let many: Vec<usize> = (0..=ITEMS_MAX).collect();
    check(
        &flow,
        json!({"a": many}),
        expect!["failed step `each`: `for_each` gives 1001 items, more than 1000"],
    );
}

#[test]
fn a_step_that_is_given_up_is_handled() {
    let handled = |then: &str| {
        json!({"steps": [
            {"id": "a", "run": "f/x/a",
                "on_error": {"run": "f/x/tell", "then": then, "inputs": {"why": "error.message"}}},
            {"id": "b", "run": "f/x/b", "inputs": {"a": "results.a"}},
        ]})
    };
    let (on, fail) = (handled("go_on"), handled("fail"));
    check(
        &on,
        json!({"a": "dead"}),
        expect![[r#"start a!error f/x/tell {"why":"no disk"}"#]],
    );
    check(&on, json!({"a": "dead", "a!error": "running"}), expect![""]);
    check(
        &on,
        json!({"a": "dead", "a!error": 7}),
        expect![[r#"start b f/x/b {"a":7}"#]],
    );
    check(
        &fail,
        json!({"a": "dead", "a!error": 7}),
        expect!["failed step `a`: no disk"],
    );
    check(
        &fail,
        json!({"a": "dead", "a!error": "dead"}),
        expect!["failed step `a`: no disk; and its error handler: no disk"],
    );
    let alone = json!({"steps": [
        {"id": "a", "run": "f/x/a", "on_error": {"then": "go_on"}},
        {"id": "b", "run": "f/x/b", "inputs": {"why": "results.a.error.message"}},
    ]});
    check(
        &alone,
        json!({"a": "dead"}),
        expect![[r#"start b f/x/b {"why":"no disk"}"#]],
    );
}

#[test]
fn a_step_can_answer_before_the_end() {
    let flow = json!({"early_return": "a", "steps": [
        {"id": "a", "run": "f/x/a"},
        {"id": "b", "run": "f/x/b", "inputs": {}},
    ]});
    check(
        &flow,
        json!({"a": 1}),
        expect![[r#"
        start b f/x/b {}
        answer 1"#]],
    );
    check(
        &flow,
        json!({"a": 1, "b": 2}),
        expect![[r#"
        answer 1
        done 2"#]],
    );
}

#[test]
fn an_expression_that_fails_ends_the_flow_and_names_its_field() {
    let flow = json!({"steps": [
        {"id": "a", "run": "f/x/a", "inputs": {"deep": [{"x": "args.nothing"}]}},
    ]});
    check(
        &flow,
        json!({}),
        expect!["failed step `a`: `inputs`.deep.0.x: No such key: nothing"],
    );
}

#[test]
fn a_flow_is_bounded_in_its_jobs_its_result_and_its_time() {
    let loops: Vec<Value> = (0..10)
        .map(|n| json!({"id": format!("s{n}"), "run": "f/x/a"}))
        .collect();
    let flow = json!({"steps": [
        {"id": "all", "run": "f/x/a"},
        {"id": "each", "for_each": "results.all", "steps": loops},
        {"id": "last", "run": "f/x/a"},
    ]});
    let items: Vec<usize> = (0..ITEMS_MAX).collect();
    let mut steps = json!({ "all": items });
    for item in 0..ITEMS_MAX {
        for step in 0..10 {
            steps[format!("each[{item}].s{step}")] = json!(1);
        }
    }
    check(
        &flow,
        steps,
        expect!["failed its steps would become more than 10000 jobs"],
    );
    let flow = json!({"steps": [{"id": "a", "run": "f/x/a"}]});
    let just = "x".repeat(RESULT_MAX - 2);
    assert_eq!(
        planned(&flow, json!({ "a": just })),
        format!("done \"{just}\"")
    );
    check(
        &flow,
        json!({"a": format!("{just}x")}),
        expect!["failed its result has 4194305 bytes, more than 4194304"],
    );
    let late = |flow: &FlowSpec, facts: &Facts, memory: &mut Memory| {
        let until = Instant::now();
        while Instant::now() == until {}
        plan_until(flow, facts, memory, until)
    };
    expect!["failed step `a`: the flow's expressions take more than 10 s together"]
        .assert_eq(&planned_by(&flow, json!({}), late));
}

/// Goes through a flow whose steps end in some order, once with what is remembered and once without: both
/// plan the same. How many steps were looked at with it.
fn gone_through(
    flow: &Value,
    arguments: &Value,
    end_of: impl Fn(&str) -> Value,
) -> (usize, String) {
    let flow = FlowSpec::parse(flow).expect("a flow");
    let mut facts = Facts {
        arguments: arguments.to_string().into(),
        trigger: json!(null),
        job: json!({"id": "job_1"}),
        steps: HashMap::new(),
    };
    let (mut memory, mut looked_at, mut round) = (Memory::default(), 0, 0);
    loop {
        let (plan, anew) = run_on_own_stack(|| {
            let anew = plan(&flow, &facts, &mut Memory::default());
            (plan(&flow, &facts, &mut memory), anew)
        })
        .expect("no panic");
        assert_eq!(plan.starts, anew.starts);
        assert_eq!((&plan.end, &plan.answer), (&anew.end, &anew.answer));
        looked_at += plan.looked_at;
        if let Some(end) = plan.end {
            let end = match end {
                End::Done(result) => String::from_utf8_lossy(&result).into_owned(),
                End::Failed(error) => error,
            };
            return (looked_at, end);
        }
        for start in plan.starts {
            let (key, fact) = fact(&start.key, json!("running"));
            facts.steps.insert(key, fact);
        }
        let running = facts.steps.iter();
        let running = running.filter(|(_, fact)| fact.state == JobState::Running);
        let mut running: Vec<String> = running.map(|(key, _)| key.clone()).collect();
        assert!(!running.is_empty(), "it waits for something");
        running.sort();
        // Not always the first one.
        let ended = running.swap_remove(round * 7 % running.len());
        round += 1;
        let (key, fact) = fact(&ended, end_of(&ended));
        facts.steps.insert(key, fact);
    }
}

#[test]
fn what_is_remembered_changes_nothing_but_the_work() {
    let flow = json!({
        "preprocessor": {"run": "f/x/shape"},
        "early_return": "b",
        "steps": [
            {"id": "a", "run": "f/x/a", "inputs": "args"},
            {"id": "way", "if": "results.a > 3", "then": [{"id": "b", "run": "f/x/b"}],
                "else": [{"id": "c", "run": "f/x/c"}]},
            {"id": "each", "for_each": "[1, 2, 3, 4, 5, 6, 7]", "concurrency": 3, "steps": [
                {"id": "d", "run": "f/x/d", "inputs": {"item": "item", "a": "results.a"}},
                {"id": "odd", "if": "item % 2 == 1", "then": [
                    {"id": "e", "run": "f/x/e", "inputs": "results.d",
                        "on_error": {"run": "f/x/told", "then": "go_on"}},
                ]},
            ]},
            {"id": "f", "run": "f/x/f", "inputs": {"all": "results.each"}},
        ],
    });
    let end_of = |key: &str| match key {
        "preprocessor" => json!({"n": 1}),
        "each[4].e" => json!("dead"),
        other => json!(other.len()),
    };
    let (_, end) = gone_through(&flow, &json!({}), end_of);
    assert_eq!(end, "1");
    let dead = |key: &str| match key {
        "each[3].d" | "each[1].d" => json!("dead"),
        other => end_of(other),
    };
    let (_, end) = gone_through(&flow, &json!({}), dead);
    assert_eq!(end, "step `each[1].d`: no disk");
}

#[test]
fn a_loop_looks_at_each_item_a_few_times_and_not_at_all_of_them_each_time() {
    let flow = json!({"steps": [
        {"id": "each", "for_each": "args", "concurrency": 4, "steps": [
            {"id": "a", "run": "f/x/a", "inputs": "item"},
            {"id": "b", "run": "f/x/b", "inputs": "results.a"},
        ]},
    ]});
    let items = 200;
    let arguments: Vec<usize> = (0..items).collect();
    let (looked_at, _) = gone_through(&flow, &json!(arguments), |key| json!(key));
    // Two steps for each item; at the end of each, the four items that go on are looked at.
    let plans = 2 * items + 1;
    assert!(
        looked_at <= plans * (1 + 4 * 2),
        "{looked_at} steps were looked at"
    );
}
