//! What is refused when a flow is saved, and where it says so.

use expect_test::{Expect, expect};

use super::harness::{Host, text};
use super::start;

const RUNNABLES: &str = "workspace: default
runnables:
- {path: f/t/echo, command: {argv: [./echo.sh]}}
- path: f/t/flow
";

/// What the client says of a document, without its folder.
fn refused(host: &Host, flow: &str, command: &[&str]) -> String {
    let path = host.path("flow.yaml");
    std::fs::write(&path, format!("{RUNNABLES}{flow}")).expect("a document");
    let path = path.to_str().expect("a path");
    let output = host.cli(&[command, &[path]].concat());
    assert!(!output.status.success(), "{flow}");
    let folder = format!("{}/", host.folder.path().display());
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    said.replace(&folder, "")
}

fn check(host: &Host, flow: &str, expected: Expect) {
    expected.assert_eq(&refused(host, flow, &["apply", "-f"]));
}

#[tokio::test]
async fn mistakes_name_their_line_and_what_is_allowed() {
    let host = start().await;
    host.script("echo.sh", "cat");
    check(
        &host,
        "  flow:
    steps:
    - id: a
      run: f/t/nobody
      inputs: {x: args.x}
    - id: b
      run: f/t/echo
      inputs:
        y: >-
          results.a +
          results.c
      timeout: 3s
    - id: c
      if: size(
      then: []
    early_return: z
",
        expect![[r#"
            triggerd: nothing was changed:
            flow.yaml:14:11: the expression is refused at its line 1, column 20: `c` is no step before this one (there are: a)
            flow.yaml:16:7: `timeout` is not known here; allowed: id, run, inputs, retry, on_error
            flow.yaml:18:11: the expression is refused at its line 1, column 6: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', ')', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}
            flow.yaml:19:13: `then`: expected at least one step
            flow.yaml:20:19: `early_return`: expected the id of a step outside of loops; allowed: a, b, c
        "#]],
    );
    check(
        &host,
        "  retry: {attempts_max: 3}
  flow:
    steps:
    - {id: a, run: f/t/nobody, retry: {first: soon}}
",
        expect![[r#"
            triggerd: nothing was changed:
            flow.yaml:5:10: `retry` is nothing for a flow: its steps are tried again each by itself: put it at the step
            flow.yaml:8:47: `first`: found a text, expected a duration like 500ms, 30s, 5m, 2h or 7d, at most a day
        "#]],
    );
    check(
        &host,
        "  flow: {steps: [{id: a, run: f/t/nobody}]}
",
        expect![[r#"
            triggerd: nothing was changed:
            flow.yaml:5:31: there is no runnable `f/t/nobody` in the document or stored; allowed: f/t/echo, f/t/flow
        "#]],
    );
    check(
        &host,
        "  on_error: f/t/nobody
  flow: {steps: [{id: a, run: f/t/echo}]}
",
        expect![[r#"
            triggerd: nothing was changed:
            flow.yaml:5:13: there is no runnable `f/t/nobody` in the document or stored; allowed: f/t/echo, f/t/flow
        "#]],
    );
}

#[tokio::test]
async fn expressions_that_are_too_big_or_too_slow_are_refused_when_saved() {
    let host = start().await;
    host.script("echo.sh", "cat");
    let with = |expression: &str| {
        format!(
            "  flow:\n    steps:\n    - {{id: a, run: f/t/echo, inputs: {{x: \"{expression}\"}}}}\n"
        )
    };
    check(
        &host,
        &with(&"1 + ".repeat(300)),
        expect![[r#"
        triggerd: nothing was changed:
        flow.yaml:7:42: the expression is refused at its line 1, column 1: it is too big: it has 1200 bytes, at most 1000 are allowed
    "#]],
    );
    check(
        &host,
        &with(&"(".repeat(990)),
        expect![[r#"
        triggerd: nothing was changed:
        flow.yaml:7:42: the expression is refused at its line 1, column 62: it is too big: it is nested too deeply
    "#]],
    );
    let nested = format!("{}1{}", "[".repeat(400), "]".repeat(400));
    check(
        &host,
        &with(&nested),
        expect![[r#"
        triggerd: nothing was changed:
        flow.yaml:7:42: the expression is refused at its line 1, column 62: it is too big: it is nested too deeply
    "#]],
    );
    let slow = "[1].map(a, [1].map(b, [1].all(c, true)))";
    check(
        &host,
        &with(slow),
        expect![[r#"
        triggerd: nothing was changed:
        flow.yaml:7:42: the expression is refused at its line 1, column 30: it is too slow: loops (`map`, `filter`, `all`, `exists`) may be nested 2 deep
    "#]],
    );
    // The server is none the worse for it.
    host.apply(&format!("{RUNNABLES}{}", with("args.x")));
}

#[tokio::test]
async fn expressions_are_checked_offline_too() {
    let host = start().await;
    let flow = "  flow: {steps: [{id: a, run: f/t/echo, inputs: {x: args.x +}}]}\n";
    let said = refused(&host, flow, &["check"]);
    assert!(said.contains("flow.yaml:5:"), "{said}");
    assert!(said.contains("the expression is refused"), "{said}");
}
