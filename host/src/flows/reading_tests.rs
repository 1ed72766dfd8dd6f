//! What is refused in a flow, and where.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::flows::FlowSpec;

#[track_caller]
fn check(flow: Value, expected: Expect) {
    let told = match FlowSpec::parse(&flow) {
        Ok(_) => "in order".to_owned(),
        Err(mistakes) => {
            let lines: Vec<String> = mistakes
                .iter()
                .map(|mistake| {
                    let allowed = mistake.allowed.join(", ");
                    format!("{}: {} [{allowed}]", mistake.pointer, mistake.message)
                })
                .collect();
            lines.join("\n")
        }
    };
    expected.assert_eq(&told);
}

fn run(id: &str) -> Value {
    json!({"id": id, "run": "f/x/a"})
}

#[test]
fn all_mistakes_are_told_at_once_with_their_places() {
    check(
        json!({"steps": [
            {"id": "a", "run": "nothing", "inputs": {"x": "args.", "y": "results.b"}},
            {"id": "a", "run": "f/x/a", "inputs": {"z": ["nobody"]}, "timeout": 3},
            {"id": "c-d", "run": "f/x/a"},
            {"run": "f/x/a", "if": "true"},
            {"id": "e"},
            7,
        ], "early_return": "zzz", "result": "results.q", "more": 1}),
        expect![[r#""#]],
    );
}

#[test]
fn steps_see_what_was_before_them() {
    check(
        json!({"steps": [
            {"id": "way", "if": "args.x", "then": [run("a")], "else": [run("b")]},
            {"id": "each", "for_each": "[results.a, results.b, results.way]", "steps": [
                {"id": "c", "run": "f/x/a", "inputs": {"i": "item", "n": "index"}},
                {"id": "d", "run": "f/x/a", "inputs": {"c": "results.c"}},
            ]},
        ], "result": "results.each", "early_return": "b"}),
        expect!["in order"],
    );
    check(
        json!({"steps": [
            {"id": "each", "for_each": "args.x", "steps": [run("c")]},
            {"id": "d", "run": "f/x/a", "inputs": {"c": "results.c", "i": "item", "e": "error"}},
        ], "early_return": "c"}),
        expect![[r#""#]],
    );
    check(
        json!({"preprocessor": {"run": "f/x/a", "inputs": "results"}, "steps": [run("a")]}),
        expect![[r#""#]],
    );
}

#[test]
fn a_flow_is_bounded() {
    let many: Vec<Value> = (0..101).map(|n| run(&format!("s{n}"))).collect();
    check(json!({"steps": many}), expect![[r#""#]]);
    let mut nested = json!([run("a")]);
    for depth in 0..9 {
        nested = json!([{"id": format!("n{depth}"), "if": "true", "then": nested}]);
    }
    check(json!({"steps": nested}), expect![[r#""#]]);
    check(
        json!({"steps": [{"id": "a", "for_each": "args", "steps": [
            {"id": "b", "for_each": "item", "steps": [run("c")]}]}]}),
        expect![[r#""#]],
    );
    check(
        json!({"steps": [{"id": "a", "for_each": "args", "concurrency": 1000, "steps": [run("b")]}]}),
        expect![[r#""#]],
    );
    let inputs = (0..9).fold(json!("args"), |inner, _| json!([inner]));
    check(json!({"steps": [{"id": "a", "run": "f/x/a", "inputs": inputs}]}), expect![[r#""#]]);
    check(json!({"steps": []}), expect![[r#""#]]);
    check(json!({}), expect![[r#""#]]);
    check(json!([]), expect![[r#""#]]);
}

#[test]
fn a_handler_says_what_follows() {
    check(
        json!({"steps": [
            {"id": "a", "run": "f/x/a", "on_error": {"run": "f/x/b", "inputs": {"m": "error.message"}}},
            {"id": "b", "run": "f/x/a", "on_error": {"then": "go_on"}},
            {"id": "c", "run": "f/x/a", "on_error": {}},
            {"id": "d", "run": "f/x/a", "on_error": {"run": "f/x/b", "then": "stop"}},
        ]}),
        expect![[r#""#]],
    );
}

#[test]
fn a_retry_is_checked() {
    check(
        json!({"steps": [{"id": "a", "run": "f/x/a", "retry": {"attempts_max": 0}}]}),
        expect![[r#""#]],
    );
}
