//! What a provider makes of a request is checked before it is kept: what came from outside went
//! through its hands, and a row that the database refuses would be sent again and again.

use sha2::{Digest as _, Sha256};
use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::{CallError, Dispatched};

/// The longest name of an event, in bytes.
const NAME_MAX: usize = 255;
/// One request tells of no more: all of them are one commit, behind which others wait.
const EVENTS_MAX: usize = 10_000;
/// Longer delivery ids are remembered by their hash: PostgreSQL has no index over long texts.
const DELIVERY_ID_MAX: usize = 255;

/// The reading as it may be kept, or that the request cannot be read.
pub(super) fn checked(mut dispatched: Dispatched) -> Result<Dispatched, CallError> {
    let count = dispatched.events.len();
    if count > EVENTS_MAX {
        return Err(unreadable(format!(
            "{count} events in one request: expected at most {EVENTS_MAX}"
        )));
    }
    for event in &dispatched.events {
        if !is_printable(&event.name) || event.name.len() > NAME_MAX {
            let shown: String = event.name.escape_debug().take(80).collect();
            return Err(unreadable(format!(
                "`{shown}` is no name of an event: expected printable text, at most {NAME_MAX} bytes"
            )));
        }
    }
    if let Some(id) = dispatched.delivery_id.take() {
        if !is_printable(&id) {
            return Err(unreadable(
                "what marks the delivery is not printable text".to_owned(),
            ));
        }
        dispatched.delivery_id = Some(match id.len() > DELIVERY_ID_MAX {
            true => format!("sha256:{}", hex::encode(Sha256::digest(&id))),
            false => id,
        });
    }
    Ok(dispatched)
}

fn is_printable(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_control)
}

fn unreadable(message: String) -> CallError {
    CallError {
        code: codes::INVALID_INPUT,
        message,
        detail: None,
        retry_after_ms: None,
    }
}

#[cfg(test)]
mod tests {
    use trigger_plugin_abi::host::DispatchedEvent;

    use super::*;

    fn reading(name: &str, delivery_id: Option<&str>) -> Dispatched {
        Dispatched {
            events: vec![DispatchedEvent {
                name: name.to_owned(),
                payload: None,
                occurred_at_ms: None,
            }],
            reply: None,
            delivery_id: delivery_id.map(str::to_owned),
            delivery_window_ms: None,
            wake: false,
        }
    }

    #[test]
    fn what_no_database_should_be_asked_to_keep_is_refused() {
        for name in ["", "a\0b", "a\nb", &"x".repeat(256)] {
            let error = checked(reading(name, None)).expect_err("refused");
            assert_eq!(error.code, codes::INVALID_INPUT);
            assert!(!error.message.contains(char::is_control), "{name:?}");
        }
        for id in ["", "a\0b", "a\tb"] {
            assert!(checked(reading("push", Some(id))).is_err(), "{id:?}");
        }
        let good = reading("überraschung", Some("d 1"));
        assert_eq!(checked(good.clone()).expect("good"), good);
    }

    #[test]
    fn a_request_tells_of_so_many_events_and_no_more() {
        let of = |count: usize| {
            let mut reading = reading("push", None);
            reading.events = vec![reading.events[0].clone(); count];
            checked(reading)
        };
        assert!(of(EVENTS_MAX).is_ok());
        let error = of(EVENTS_MAX + 1).expect_err("refused");
        assert_eq!(error.code, codes::INVALID_INPUT);
    }

    #[test]
    fn a_long_delivery_id_still_tells_repetitions() {
        let kept = |id: &str| {
            let checked = checked(reading("push", Some(id))).expect("good");
            checked.delivery_id.expect("an id")
        };
        let long = "x".repeat(10_000);
        assert_eq!(kept(&long), kept(&long));
        assert_ne!(kept(&long), kept(&format!("{long}x")));
        assert!(kept(&long).len() <= DELIVERY_ID_MAX);
    }
}
