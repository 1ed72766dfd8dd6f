//! Expressions: what they give, what is refused and where, and that a hostile one ends.

use std::time::Instant;

use expect_test::{Expect, expect};
use serde_json::json;

use super::*;
use crate::flows::own_stack::run_on_own_stack;

fn scope() -> Scope {
    Scope {
        variables: vec!["args", "results", "item"],
        steps: vec!["fetch".to_owned()],
    }
}

fn evaluated(text: &str, args: Value) -> Result<Value, String> {
    run_on_own_stack(|| {
        let expression = Expression::compile(text, &scope()).map_err(|mistake| {
            format!("{}:{}: {}", mistake.line, mistake.column, mistake.message)
        })?;
        let mut variables = Variables::default();
        variables.named.insert("args", Given::of(args));
        let fetched = Given::of(json!({"total": 12, "lines": [{"n": 1}, {"n": 2}]}));
        variables.results.insert("fetch".to_owned(), fetched);
        expression
            .evaluate(&variables)
            .map_err(|error| error.to_string())
    })
    .expect("no panic")
}

#[track_caller]
fn check(text: &str, expected: Value) {
    assert_eq!(
        evaluated(text, json!({"n": 3, "a": "x"})),
        Ok(expected),
        "{text}"
    );
}

#[track_caller]
fn check_mistake(text: &str, expected: Expect) {
    let mistake = evaluated(text, json!({"list": [1, 2]})).expect_err("a mistake");
    expected.assert_eq(&mistake);
}

#[test]
fn an_expression_gives_json() {
    check("args.n + 1", json!(4));
    check("args", json!({"n": 3, "a": "x"}));
    check("'go ' + args.a", json!("go x"));
    check("results.fetch.total > 10 && args.n == 3", json!(true));
    check("results.fetch.lines.map(line, line.n * 2)", json!([2, 4]));
    check("results.fetch.lines.filter(l, l.n > 1)", json!([{"n": 2}]));
    check("results.fetch.lines.exists(l, l.n == 2)", json!(true));
    check("results.fetch.lines.all(l, l.n == 2)", json!(false));
    check("results.fetch.lines.exists_one(l, l.n == 2)", json!(true));
    check("has(args.b) ? args.b : 'none'", json!("none"));
    check(
        "{'b': 1, 'a': [args.n, null]}",
        json!({"a": [3, null], "b": 1}),
    );
    check("results['fetch'].total", json!(12));
    check("size(args.a) + int('4')", json!(5));
    check("args.a.startsWith('x')", json!(true));
    check(
        "[1, 2].map(a, [3, 4].map(b, a * b))",
        json!([[3, 4], [6, 8]]),
    );
}

#[test]
fn every_function_that_is_let_through_is_there() {
    let samples = [
        ("size", "size('abc') == 3"),
        ("contains", "'abc'.contains('b')"),
        ("startsWith", "'abc'.startsWith('a')"),
        ("endsWith", "'abc'.endsWith('c')"),
        ("string", "string(1) == '1'"),
        ("int", "int('1') == 1"),
        ("uint", "uint(1) == 1u"),
        ("double", "double(1) == 1.0"),
        ("bool", "bool('true')"),
        ("type", "type(1) == int"),
        ("dyn", "dyn(1) == 1"),
        ("bytes", "bytes('x') == b'x'"),
    ];
    assert_eq!(
        samples.map(|(name, _)| name),
        crate::flows::check::FUNCTIONS
    );
    for (_, sample) in samples {
        check(sample, json!(true));
    }
}

#[test]
fn a_wrong_expression_is_refused_with_its_place() {
    check_mistake(
        "args.",
        expect!["1:6: Syntax error: no viable alternative at input '.'"],
    );
    check_mistake(
        "1 +\n  nothing.a",
        expect!["2:3: there is no `nothing` here (there are: args, results, item)"],
    );
    check_mistake(
        "results.ship",
        expect!["1:8: `ship` is no step before this one (there are: fetch)"],
    );
    check_mistake(
        "args.a.matches('x')",
        expect![
            "1:15: there is no function `matches` (there are: size, contains, startsWith, endsWith, string, int, uint, double, bool, type, dyn, bytes, has, all, exists, exists_one, map, filter)"
        ],
    );
    check_mistake("Point{x: 1}", expect!["1:6: there is no type `Point`"]);
    check_mistake(" ", expect!["1:1: it is empty"]);
}

#[test]
fn an_expression_that_fails_says_why() {
    check_mistake("args.nothing", expect!["No such key: nothing"]);
    check_mistake("args.list[7]", expect!["Index out of bounds: Int(7)"]);
    check_mistake(
        "args.list + 1",
        expect!["Unsupported binary operator 'add': List([Int(1), Int(2)]), Int(1)"],
    );
    check_mistake("1 / 0", expect!["Division by zero of Int(1)"]);
    check_mistake("b'x'", expect!["it gives bytes, which JSON cannot hold"]);
}

#[test]
fn an_expression_that_is_too_big_is_refused() {
    let long = format!("'{}'", "x".repeat(TEXT_MAX));
    check_mistake(
        &long,
        expect!["1:1: it is too big: it has 1002 bytes, at most 1000 are allowed"],
    );
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{'a':", "}"),
        ("-(", ")"),
        ("!(", ")"),
    ] {
        let times = (TEXT_MAX - 1) / (open.len() + close.len());
        let nested = format!("{}1{}", open.repeat(times), close.repeat(times));
        assert!(evaluated(&nested, json!({})).is_err(), "{open}");
    }
    for piece in [
        "args.n?", "-", "!", "[", "(", "{", "a.", "args.b.", "1+", "true?1:", "a[", "x(",
    ] {
        let hostile = piece.repeat(TEXT_MAX / piece.len());
        assert!(evaluated(&hostile, json!({})).is_err(), "{piece}");
        let hostile = format!("{}1", piece.repeat((TEXT_MAX - 1) / piece.len()));
        // What is no mistake has at least a value within the bounds.
        let _ = evaluated(&hostile, json!({}));
    }
}

#[test]
fn an_expression_is_nested_no_deeper_than_it_may_be() {
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    assert!(evaluated(&nested(40), json!({})).is_ok());
    check_mistake(
        &nested(41),
        expect!["1:42: it is nested deeper than 40 levels"],
    );
}

#[test]
fn what_is_said_of_a_failure_is_short() {
    let list: Vec<u32> = (0..100).collect();
    let said = evaluated("args + 1", json!(list)).expect_err("a mistake");
    assert!(said.starts_with("Unsupported binary operator"), "{said}");
    assert_eq!(said.chars().count(), MESSAGE_MAX + 1, "{said}");
}

#[test]
fn loops_may_not_be_nested_deeply() {
    let text = "[1].map(a, [2].map(b, [3].map(c, a)))";
    check_mistake(
        text,
        expect![
            "1:30: it is too slow: loops (`map`, `filter`, `all`, `exists`) may be nested 2 deep"
        ],
    );
}

#[test]
fn a_slow_expression_ends_and_says_so() {
    let numbers: Vec<u32> = (0..2_000).collect();
    let args = json!({ "list": numbers, "text": "x".repeat(100_000) });
    let slow = [
        "args.list.map(a, args.list.map(b, a * b))",
        "args.list.all(a, args.list.all(b, a >= 0))",
        "args.list.exists(a, args.list.exists(b, a < 0)) || true",
        "args.list.filter(a, args.list.exists_one(b, b == a)) == [] || true",
        "args.list.map(a, args.text)",
        "args.list.map(a, args.text + args.text).size()",
        "args.list.map(a, [args.text, args.text]) == [] || true",
        "args.list.map(a, {'a': args.text}).size() > 0 || true",
    ];
    for text in slow {
        let started = Instant::now();
        let error = evaluated(text, args.clone()).expect_err("too slow");
        assert!(error.starts_with("it is too slow"), "{text}: {error}");
        assert!(started.elapsed().as_secs() < 20, "{text}");
    }
}

#[test]
fn an_expression_is_given_a_bounded_amount() {
    let args = json!("x".repeat(GIVEN_MAX + 1));
    let error = evaluated("size(args)", args).expect_err("too much");
    assert!(error.starts_with("it is given"), "{error}");
}
