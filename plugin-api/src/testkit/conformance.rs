//! The suite that every provider must pass, one function for each fact, and the macro that runs it.

use crate::ErrorCode;
use crate::messages::{EventCall, Map, Outcome, OwnedRequest, Payload, Variables};
use crate::provider::{Dispatch, Event};
use crate::rules::fields::check_json;
use crate::rules::vocabulary::IgnoreRule;
use crate::testkit::subject::{Subject, Whose};

/// Runs the suite over a provider, one test for each fact. For a crate whose `build.rs` calls
/// `trigger_plugin_build::declare()`; see [`crate::testkit`].
#[macro_export]
macro_rules! conformance {
    ($provider:ty) => {
        $crate::conformance!($provider, $crate::testkit::no_config());
    };
    ($provider:ty, $config:expr) => {
        $crate::conformance!(@bundle $provider, $config, include_bytes!(concat!(env!("OUT_DIR"), "/declaration.bundle")));
    };
    (@bundle $provider:ty, $config:expr, $bundle:expr) => {
        mod conformance {
            #[allow(unused_imports)]
            use super::*;

            fn subject() -> $crate::testkit::Subject<$provider> {
                $crate::testkit::Subject::open($bundle, $config)
            }

            $crate::conformance!(@tests
                declaration_is_complete
                genuine_samples_are_accepted
                samples_yield_variables
                dispatch_is_repeatable
                forgeries_are_refused
                header_names_are_of_any_case
                rotated_secrets_are_accepted
                secrets_are_required
                timestamps_hold_up_to_the_edge
                poison_payloads_are_survived
            );
        }
    };
    (@tests $($fact:ident)*) => {
        $(
            #[test]
            fn $fact() {
                $crate::testkit::$fact(&subject());
            }
        )*
    };
}

/// Every event has a name for people and a description, and the declaration gives no cause for warnings.
pub fn declaration_is_complete<P: Dispatch + Event>(subject: &Subject<P>) {
    let warnings: Vec<String> = subject
        .declared
        .warnings()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        warnings.is_empty(),
        "the declaration gives cause for warnings:\n{}",
        warnings.join("\n")
    );
    let declaration = subject.declared.declaration();
    assert!(
        !declaration.events.is_empty(),
        "a provider declares at least one event"
    );
    for event in &declaration.events {
        let name = &event.identity.name;
        assert!(
            !event.description.english().trim().is_empty(),
            "the event `{name}` has no description in English"
        );
        assert!(
            !event.identity.label.english().trim().is_empty(),
            "the event `{name}` has no label in English"
        );
    }
}

/// Every sample, signed by the declared rule, is accepted and is (among others) its event.
pub fn genuine_samples_are_accepted<P: Dispatch + Event>(subject: &Subject<P>) {
    let ours = subject.subscription(&subject.spec(Whose::Ours));
    for (sample, request) in subject.signed_samples() {
        let dispatched = subject
            .dispatch(&ours, &request)
            .unwrap_or_else(|error| panic!("{} is refused: {error}", sample.file));
        let names: Vec<&str> = dispatched
            .events
            .iter()
            .map(|event| event.name.as_str())
            .collect();
        match is_ignored(subject, &sample.event) {
            true => assert!(
                names.is_empty(),
                "{} is of an event that fires nothing, and is {names:?}",
                sample.file
            ),
            false => assert!(
                names.contains(&sample.event.as_str()),
                "{} is {names:?}, not `{}`",
                sample.file,
                sample.event
            ),
        }
        if subject.declared.declaration().rules.delivery_id.is_some() {
            assert_eq!(
                dispatched.delivery_id.as_deref(),
                Some("delivery-1"),
                "{}: delivery id",
                sample.file
            );
        }
    }
}

/// A trigger without parameters fires for every sample of its event, and its variables are JSON.
/// Events with a parameter that is required are left to the provider's own tests.
pub fn samples_yield_variables<P: Dispatch + Event>(subject: &Subject<P>) {
    let ours = subject.subscription(&subject.spec(Whose::Ours));
    for (sample, request) in subject.signed_samples() {
        let parameters = &subject.event(&sample.event).parameters;
        if is_ignored(subject, &sample.event)
            || parameters
                .iter()
                .any(|field| field.required && field.default.is_none())
        {
            continue;
        }
        let trigger = subject.declared.open_trigger(&sample.event, Map::new());
        let trigger = trigger.unwrap_or_else(|error| {
            panic!("a trigger on `{}` does not open: {error}", sample.event)
        });
        let dispatched = subject
            .dispatch(&ours, &request)
            .unwrap_or_else(|error| panic!("{} is refused: {error}", sample.file));
        for event in dispatched
            .events
            .iter()
            .filter(|event| event.name == sample.event)
        {
            let payload = payload(&request, &event.payload);
            let call = EventCall {
                event: &event.name,
                payload,
                occurred_at_ms: event.occurred_at_ms,
            };
            let outcome = subject.provider.on_event(&trigger, &call);
            let outcome =
                outcome.unwrap_or_else(|error| panic!("{}: on_event fails: {error}", sample.file));
            let defaults = parameters.iter().any(|field| field.default.is_some());
            match &outcome {
                Outcome::Fires(Variables::Payload) => {
                    check_json(payload).unwrap_or_else(|error| panic!("{}: {error}", sample.file))
                }
                Outcome::Fires(Variables::Json(json)) => {
                    check_json(json)
                        .unwrap_or_else(|error| panic!("{}: the variables: {error}", sample.file));
                }
                // A default may be a filter that this sample does not pass.
                Outcome::NotForThisTrigger => assert!(
                    defaults,
                    "{}: a trigger without parameters does not fire",
                    sample.file
                ),
            }
        }
    }
}

/// The same request is read in the same way twice: dispatch is pure.
pub fn dispatch_is_repeatable<P: Dispatch + Event>(subject: &Subject<P>) {
    let ours = subject.subscription(&subject.spec(Whose::Ours));
    for (sample, request) in subject.signed_samples() {
        assert_eq!(
            subject.dispatch(&ours, &request),
            subject.dispatch(&ours, &request),
            "{}",
            sample.file
        );
    }
}

/// Genuinely signed nonsense is refused or read, but harms nobody.
pub fn poison_payloads_are_survived<P: Dispatch + Event>(subject: &Subject<P>) {
    let deep = "[".repeat(100_000);
    let closed = format!("{deep}{}", "]".repeat(100_000));
    let poison: [&[u8]; 10] = [
        b"",
        b"\0",
        b"\xff\xfe\xfd",
        b"null",
        b"[]",
        br#"{"a":"\ud800","\udfff":1}"#,
        br#"{"a":1e999999,"b":-0,"c":123456789012345678901234567890}"#,
        br#"{"a":1,"a":{"a":[]},"a":null}"#,
        deep.as_bytes(),
        closed.as_bytes(),
    ];
    let ours = subject.subscription(&subject.spec(Whose::Ours));
    let samples = subject.signed_samples();
    let (sample, genuine) = &samples[0];
    for body in poison {
        // A time that the service puts into the body cannot be put into these.
        let request = subject.with_body(genuine, body);
        if let Ok(dispatched) = subject.dispatch(&ours, &request) {
            assert!(
                dispatched.events.len() <= 100,
                "nonsense became {} events",
                dispatched.events.len()
            );
        }
        let Ok(trigger) = subject.declared.open_trigger(&sample.event, Map::new()) else {
            continue;
        };
        let call = EventCall {
            event: &sample.event,
            payload: body,
            occurred_at_ms: None,
        };
        match subject.provider.on_event(&trigger, &call) {
            Ok(_) => check_json(body)
                .unwrap_or_else(|error| panic!("on_event took for JSON what is none: {error}")),
            Err(error) => assert_eq!(error.code, ErrorCode::InvalidInput, "{error}"),
        }
    }
}

fn is_ignored<P: Dispatch + Event>(subject: &Subject<P>, event: &str) -> bool {
    let declaration = subject.declared.declaration();
    let rules = declaration.event(event).map(|event| &event.rules);
    rules.is_some_and(|rules| {
        matches!(rules.ignore, IgnoreRule::Always)
            || rules
                .when
                .names
                .iter()
                .any(|name| declaration.rules.ignore.contains(name))
    })
}

fn payload<'p>(request: &'p OwnedRequest, payload: &'p Payload) -> &'p [u8] {
    match payload {
        Payload::Body => &request.body,
        Payload::Bytes(bytes) => bytes,
    }
}
