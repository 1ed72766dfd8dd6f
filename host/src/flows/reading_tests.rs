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
        expect![[r#"
            /more: `more` is not known here [preprocessor, steps, early_return, result]
            /steps/0/run: `run`: expected the path of a runnable, like f/ops/deploy []
            /steps/0/inputs/x: the expression is refused at its line 1, column 6: Syntax error: no viable alternative at input '.' []
            /steps/0/inputs/y: the expression is refused at its line 1, column 8: `b` is no step before this one (there is none before) []
            /steps/1/id: `a` names two steps []
            /steps/1/timeout: `timeout` is not known here [id, run, inputs, retry, on_error]
            /steps/1/inputs/z/0: the expression is refused at its line 1, column 1: there is no `nobody` here (there are: args, trigger, job, results) []
            /steps/2/id: `id`: expected letters, digits and `_`, a letter first, at most 60 long, and neither `preprocessor` nor a word of the language of expressions []
            /steps/3: `id` is missing: the name of the step []
            /steps/3: `run`, `if` stand together, expected one of them [run, if, for_each]
            /steps/4: what the step does is missing [run, if, for_each]
            /steps/5: expected a step: a map of fields []
            /early_return: `early_return`: expected the id of a step outside of loops [a, e]
            /result: the expression is refused at its line 1, column 8: `q` is no step before this one (there are: a, e) []"#]],
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
        expect![[r#"
            /steps/1/inputs/c: the expression is refused at its line 1, column 8: `c` is no step before this one (there are: each) []
            /steps/1/inputs/i: the expression is refused at its line 1, column 1: there is no `item` here (there are: args, trigger, job, results) []
            /steps/1/inputs/e: the expression is refused at its line 1, column 1: there is no `error` here (there are: args, trigger, job, results) []
            /early_return: `early_return`: expected the id of a step outside of loops [each, d]"#]],
    );
    check(
        json!({"preprocessor": {"run": "f/x/a", "inputs": "results"}, "steps": [run("a")]}),
        expect![
            "/preprocessor/inputs: the expression is refused at its line 1, column 1: there is no `results` here (there are: args, trigger, job) []"
        ],
    );
}

#[test]
fn a_flow_is_bounded() {
    let many: Vec<Value> = (0..101).map(|n| run(&format!("s{n}"))).collect();
    check(
        json!({"steps": many}),
        expect!["/steps/100: a flow has at most 100 steps; make a flow of some []"],
    );
    let mut nested = json!([run("a")]);
    for depth in 0..9 {
        nested = json!([{"id": format!("n{depth}"), "if": "true", "then": nested}]);
    }
    check(
        json!({"steps": nested}),
        expect![
            "/steps/0/then/0/then/0/then/0/then/0/then/0/then/0/then/0/then: branches and loops may be nested 8 deep []"
        ],
    );
    check(
        json!({"steps": [{"id": "a", "for_each": "args", "steps": [
            {"id": "b", "for_each": "item", "steps": [run("c")]}]}]}),
        expect![
            "/steps/0/steps/0/for_each: a loop in a loop: make a flow of the inner one, and run that []"
        ],
    );
    check(
        json!({"steps": [{"id": "a", "for_each": "args", "concurrency": 1000, "steps": [run("b")]}]}),
        expect!["/steps/0/concurrency: `concurrency`: expected a whole number from 1 to 100 []"],
    );
    let inputs = (0..9).fold(json!("args"), |inner, _| json!([inner]));
    check(
        json!({"steps": [{"id": "a", "run": "f/x/a", "inputs": inputs}]}),
        expect![
            "/steps/0/inputs/0/0/0/0/0/0/0/0: inputs may be nested 8 deep; make an expression of it []"
        ],
    );
    let inputs = vec!["1"; 201];
    check(
        json!({"steps": [{"id": "a", "run": "f/x/a", "inputs": inputs}]}),
        expect!["/steps/0/inputs/200: a flow has at most 200 expressions []"],
    );
    check(
        json!({"steps": []}),
        expect!["/steps: `steps`: expected at least one step []"],
    );
    check(json!({}), expect![": `steps`: expected a list of steps []"]);
    check(json!([]), expect![": expected a map of fields []"]);
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
        expect![[r#"
            /steps/2/on_error: `run` is missing: the runnable that is told of the error, or `then: go_on` []
            /steps/3/on_error/then: `then`: expected what follows the handler [fail, go_on]"#]],
    );
}

#[test]
fn a_step_is_not_named_by_a_word_of_the_language() {
    for id in ["in", "if", "true", "preprocessor", "1a", "a-b", ""] {
        let flow = json!({"steps": [run(id)]});
        let mistakes = FlowSpec::parse(&flow).expect_err("no name");
        assert_eq!(mistakes[0].pointer, "/steps/0/id", "{id}");
    }
}

#[test]
fn a_retry_is_checked() {
    check(
        json!({"steps": [{"id": "a", "run": "f/x/a", "retry": {"attempts_max": 0}}]}),
        expect!["/steps/0/retry: attempts_max: found 0, expected 1 to 1000 []"],
    );
}
