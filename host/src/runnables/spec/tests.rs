//! What a spec takes and what it refuses, by field.

use serde_json::json;

use super::*;

fn command(spec: Value) -> Result<RunnableSpec, String> {
    RunnableSpec::parse(RunnableKind::Command, &spec).map_err(|error| error.to_string())
}

fn http(spec: Value) -> Result<RunnableSpec, String> {
    RunnableSpec::parse(RunnableKind::Http, &spec).map_err(|error| error.to_string())
}

#[test]
fn a_command_gets_its_defaults() {
    let spec = command(json!({"argv": ["./record.sh"]})).expect("a spec");
    let Target::Command(command) = &spec.target else {
        panic!("not a command");
    };
    assert_eq!(command.timeout, Duration::from_secs(30));
    assert_eq!(command.stdout_max, 256 << 10);
    assert_eq!(command.stdin, Stdin::Arguments);
    let expected = RunPolicy {
        delete_after_use: false,
        retry: RetryPolicy::default(),
        concurrency: 8,
    };
    assert_eq!(spec.policy(), &expected);
}

#[test]
fn an_http_target_reads_every_field() {
    let spec = http(json!({
        "url": "http://127.0.0.1:9000/hook", "method": "PUT", "headers": {"X-Team": "ops"},
        "timeout_ms": 500, "allow": ["127.0.0.0/8"], "cloudevents": "binary", "response_max": 10,
        "retry": {"attempts_max": 3}, "concurrency": 1,
    }))
    .expect("a spec");
    let Target::Http(http) = &spec.target else {
        panic!("not an HTTP target");
    };
    assert_eq!(http.method, Method::PUT);
    assert_eq!(http.headers["x-team"], "ops");
    assert_eq!(http.cloudevents, CloudEvents::Binary);
    let retry = spec.policy().retry;
    assert_eq!((retry.attempts_max, retry.first_ms), (3, 1_000));
}

#[test]
fn a_mistake_names_its_field() {
    let program = json!(["./x"]);
    let cases = [
        (command(json!({})), "argv: "),
        (command(json!({"argv": []})), "argv: "),
        (command(json!({"argv": "./x"})), "argv: "),
        (command(json!({"argv": ["./x", "a\nb"]})), "argv[1]: "),
        (command(json!({"argv": ["./x\u{0}"]})), "argv[0]: "),
        (
            command(json!({"argv": program, "timeout_ms": 0})),
            "timeout_ms: ",
        ),
        (
            command(json!({"argv": program, "timeout_ms": "1s"})),
            "timeout_ms: ",
        ),
        (
            command(json!({"argv": program, "shell": true})),
            "shell: found an unknown field",
        ),
        (
            command(json!({"argv": program, "env": {"A B": "c"}})),
            "env.A B: ",
        ),
        (
            command(json!({"argv": program, "env": {"A\n": "c"}})),
            "env.A\\n: ",
        ),
        (
            command(json!({"argv": program, "env": {"LD_PRELOAD": "c"}})),
            "env.LD_PRELOAD: ",
        ),
        (
            command(json!({"argv": program, "env": {"BASH_ENV": "c"}})),
            "env.BASH_ENV: ",
        ),
        (
            command(json!({"argv": program, "env": {"TRIGGERD_JOB_ID": "c"}})),
            "env.TRIGGERD_JOB_ID: ",
        ),
        (
            command(json!({"argv": program, "env": {"A": "b\u{0}"}})),
            "env.A: ",
        ),
        (
            command(json!({"argv": program, "stdin": "file"})),
            "stdin: ",
        ),
        (
            command(json!({"argv": program, "stdout_max": 1u64 << 40})),
            "stdout_max: ",
        ),
        (
            command(json!({"argv": program, "retry": {"attempts_max": 0}})),
            "retry.attempts_max: ",
        ),
        (
            command(json!({"argv": program, "retry": {"tries": 1}})),
            "retry: ",
        ),
        (
            command(json!({"argv": program, "concurrency": 0})),
            "concurrency: ",
        ),
        (command(json!([])), "spec: "),
        (http(json!({"url": "nonsense"})), "url: "),
        (http(json!({"url": "ftp://example.com"})), "url: "),
        (
            http(json!({"url": "http://user:pass@example.com"})),
            "url: ",
        ),
        (http(json!({"url": "http://127.0.0.1/"})), "url: "),
        (
            http(json!({"url": "http://169.254.169.254/", "allow": ["0.0.0.0/0"]})),
            "url: ",
        ),
        (
            http(json!({"url": "http://example.com", "method": "TRACE"})),
            "method: ",
        ),
        (
            http(json!({"url": "http://example.com", "allow": ["10/8"]})),
            "allow: ",
        ),
        (
            http(json!({"url": "http://example.com", "headers": {"Host": "x"}})),
            "headers.Host: ",
        ),
        (
            http(json!({"url": "http://example.com", "headers": {"A": "b\r\nC: d"}})),
            "headers.A: ",
        ),
        (
            http(json!({"url": "http://example.com", "headers": {"webhook-id": "x"}})),
            "headers.webhook-id: ",
        ),
        (
            http(json!({"url": "http://example.com", "argv": []})),
            "argv: found an unknown field",
        ),
    ];
    for (read, expected) in cases {
        let mistake = read.expect_err(expected);
        assert!(
            mistake.starts_with(expected),
            "{mistake} does not start with {expected}"
        );
    }
}

#[test]
fn a_mistaken_url_is_not_repeated() {
    let mistake = http(json!({"url": "http://user:hunter2@:x"})).expect_err("not a URL");
    assert!(!mistake.contains("hunter2"), "{mistake}");
}
