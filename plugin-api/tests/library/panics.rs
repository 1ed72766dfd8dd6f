//! A panic of an author's is an error of his: in calls, in polls, in drops, in the constructor. One
//! of the host's own services stays on the host's side.

use std::future::{pending, poll_fn, ready};
use std::process::Command;
use std::sync::Arc;

use trigger_plugin_abi::host::{
    Answer, CallError, EventCall, HostServices, Level, Library, Provider, codes,
};

use crate::support::{
    NO_SUBSCRIPTION, block_on, fixture_library, open_fixture, open_with, poll_once, request,
};

#[test]
fn a_panic_in_dispatch_is_an_error_with_message_and_place() {
    let (provider, _) = open_fixture("{}");
    let subscription = provider
        .open_subscription(NO_SUBSCRIPTION)
        .expect("it is one");
    let error = subscription
        .dispatch(&request("/panic"))
        .expect_err("it panics");
    check_panic(&error, "dispatch was told to panic by POST");
    assert!(
        subscription.dispatch(&request("/")).is_ok(),
        "the provider goes on"
    );
}

#[test]
fn a_panic_whose_payload_panics_is_an_error_all_the_same() {
    let (provider, _) = open_fixture("{}");
    let subscription = provider
        .open_subscription(NO_SUBSCRIPTION)
        .expect("it is one");
    let error = subscription
        .dispatch(&request("/panic/payload"))
        .expect_err("it panics");
    check_panic(&error, "a panic without a message");
    assert!(
        subscription.dispatch(&request("/")).is_ok(),
        "the provider goes on"
    );
}

#[test]
fn a_panic_in_on_event_is_an_error() {
    let (provider, _) = open_fixture("{}");
    let trigger = provider.open_trigger("thing", "{}").expect("it is one");
    let call = EventCall {
        event: "panic",
        payload: b"{}",
        occurred_at_ms: None,
    };
    check_panic(
        &trigger.on_event(&call).expect_err("it panics"),
        "the event was told to panic",
    );
}

#[test]
fn a_panic_in_the_first_poll_or_a_later_one_is_an_error() {
    let (provider, _) = open_fixture("{}");
    let error = block_on(provider.call("create", create("panic"))).expect_err("it panics");
    check_panic(&error, "create was told to panic at once");
    let error = block_on(provider.call("create", create("panic_after_await")));
    check_panic(
        &error.expect_err("it panics"),
        "create was told to panic in a later poll",
    );
}

#[test]
fn a_panic_in_the_drop_of_a_finished_call_is_reported_and_the_result_kept_or_replaced() {
    let (provider, recorder) = open_fixture("{}");
    // The future drops its locals inside its last poll: the panic is that of a poll.
    let error = block_on(provider.call("create", create("panic_in_drop"))).expect_err("it panics");
    check_panic(&error, "the future panics when it is dropped");
    assert_eq!(recorder.panics(), [""; 0]);
}

#[test]
fn a_call_given_up_that_panics_in_its_drop_is_told_to_the_host() {
    let (provider, recorder) = open_fixture("{}");
    let mut call = Box::pin(provider.call("create", create("pend_and_panic_in_drop")));
    assert!(poll_once(&mut call).is_pending());
    drop(call);
    let panics = recorder.panics();
    assert_eq!(panics.len(), 1, "{panics:?}");
    assert!(
        panics[0].contains("the future panics when it is dropped"),
        "{panics:?}"
    );
}

#[test]
fn a_call_that_never_ends_can_be_given_up() {
    let (provider, recorder) = open_fixture("{}");
    let mut call = Box::pin(provider.call("create", create("pend")));
    assert!(poll_once(&mut call).is_pending());
    drop((call, provider));
    assert_eq!(
        std::sync::Arc::strong_count(&recorder),
        1,
        "nothing of the provider is left"
    );
}

#[test]
fn a_constructor_that_panics_or_refuses_is_an_error_and_releases_the_host() {
    let library = Library::open(&fixture_library()).expect("the fixture can be opened");
    let (panicked, recorder) = open_with(&library, r#"{"panic":true}"#);
    check_panic(
        &panicked.err().expect("it panics"),
        "the constructor was told to panic",
    );
    assert_eq!(
        std::sync::Arc::strong_count(&recorder),
        1,
        "the library released its services"
    );

    let (refused, _) = open_with(&library, r#"{"refuse":true}"#);
    let refused = refused.err().expect("it refuses");
    assert_eq!(
        (refused.code, refused.detail.as_deref()),
        (codes::INVALID_INPUT, Some("config.refuse"))
    );
}

#[test]
fn a_provider_that_panics_when_it_is_let_go_is_told_to_the_host() {
    let (provider, recorder) = open_fixture(r#"{"panic_in_drop":true}"#);
    drop(provider);
    let panics = recorder.panics();
    assert_eq!(panics.len(), 1, "{panics:?}");
    assert!(
        panics[0].contains("the provider panics when it is dropped"),
        "{panics:?}"
    );
}

#[test]
fn nonsense_comes_back_as_it_is_for_the_host_to_judge() {
    let (provider, _) = open_fixture("{}");
    let subscription = provider
        .open_subscription(NO_SUBSCRIPTION)
        .expect("it is one");
    let dispatched = subscription
        .dispatch(&request("/nonsense"))
        .expect("it answers");
    assert_eq!(dispatched.reply.expect("it replies").status, 9999);
}

/// Where the host's services panic.
#[derive(Clone, Copy)]
enum At {
    Log,
    Call,
    Poll,
    Drop,
}

struct Panicking(At);

impl HostServices for Panicking {
    fn log(&self, _: Level, _: &str, _: &str) {
        assert!(!matches!(self.0, At::Log), "the host's log panics");
    }

    fn panicked(&self, _: &str) {
        panic!("the host's note of a panic panics");
    }

    fn now_ms(&self) -> i64 {
        1
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(4);
    }

    fn call(&self, _: &str, _: Vec<u8>) -> Answer {
        struct InDrop;
        impl Drop for InDrop {
            fn drop(&mut self) {
                panic!("the host's operation panics when it is dropped");
            }
        }
        match self.0 {
            At::Log => Box::pin(ready(Ok(br#"{"status":201}"#.to_vec()))),
            At::Call => panic!("the host's operation panics at once"),
            At::Poll => Box::pin(poll_fn(|_| {
                panic!("the host's operation panics in its poll")
            })),
            At::Drop => {
                let held = InDrop;
                Box::pin(async move {
                    let _held = held;
                    pending().await
                })
            }
        }
    }
}

fn open_over(at: At, config: &str) -> Provider {
    let library = Library::open(&fixture_library()).expect("the fixture can be opened");
    let setup = format!(r#"{{"config":{config}}}"#);
    let provider = library.create(Arc::new(Panicking(at)), &setup);
    provider.expect("the fixture accepts its configuration")
}

#[test]
fn a_panic_of_the_hosts_operation_is_an_error_of_the_host_to_the_library() {
    for at in [At::Call, At::Poll] {
        let provider = open_over(at, "{}");
        let error = block_on(provider.call("create", create("make"))).expect_err("it panics");
        assert_eq!(
            (error.code, error.message.as_str()),
            (codes::HOST, "the host's service panicked")
        );
    }
}

#[test]
fn a_panic_of_the_hosts_operation_in_its_drop_ends_there() {
    let provider = open_over(At::Drop, "{}");
    let mut call = Box::pin(provider.call("create", create("make")));
    assert!(poll_once(&mut call).is_pending());
    drop(call);
    drop(provider);
}

#[test]
fn a_panic_of_the_hosts_log_loses_the_line_and_nothing_else() {
    // It logs when it is opened, and again when it is told to.
    let provider = open_over(At::Log, "{}");
    let subscription = provider
        .open_subscription(NO_SUBSCRIPTION)
        .expect("it is one");
    assert!(subscription.dispatch(&request("/log")).is_ok());
    assert!(block_on(provider.call("create", create("make"))).is_ok());
}

#[test]
fn a_panic_while_a_panic_is_told_to_the_host_ends_there() {
    drop(open_over(At::Log, r#"{"panic_in_drop":true}"#));
}

#[test]
fn guarded_panics_print_nothing() {
    const CHILD: &str = "TRIGGER_TEST_GUARDED_PANICS";
    if std::env::var_os(CHILD).is_some() {
        let (provider, _) = open_fixture(r#"{"panic_in_drop":true}"#);
        let subscription = provider
            .open_subscription(NO_SUBSCRIPTION)
            .expect("it is one");
        assert!(subscription.dispatch(&request("/panic")).is_err());
        assert!(block_on(provider.call("create", create("panic"))).is_err());
        return;
    }
    fixture_library();
    let test = std::env::current_exe().expect("this test has a path");
    let child = Command::new(test)
        .args([
            "--exact",
            "panics::guarded_panics_print_nothing",
            "--nocapture",
        ])
        .env(CHILD, "1")
        .output()
        .expect("this test can be run again");
    assert!(child.status.success(), "{child:?}");
    assert_eq!(String::from_utf8_lossy(&child.stderr), "");
}

fn create(what: &str) -> String {
    format!(r#"{{"id":"sub_1","endpoint_url":"","parameters":{{"do":"{what}"}}}}"#)
}

fn check_panic(error: &CallError, message: &str) {
    assert_eq!(
        (error.code, error.message.as_str()),
        (codes::PANIC, message)
    );
    let place = error.detail.as_deref().expect("a panic has a place");
    assert!(place.contains("src/lib.rs:"), "{place}");
}
