//! Around everything of the author's that runs: panics become errors, log lines find the host.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::ptr;
use std::sync::Once;

use super::Services;
use crate::{CallError, Level, codes};

thread_local! {
    /// The services of the provider that runs on this thread now; null outside of one.
    static CURRENT: Cell<*const Services> = const { Cell::new(ptr::null()) };
    /// What the hook saw of the panic that is unwinding.
    static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

struct Seen {
    message: String,
    place: Option<String>,
}

/// Writes one line of log to the host, if a provider runs on this thread and the host wants to
/// hear the level.
pub fn log(level: Level, target: &str, message: fmt::Arguments<'_>) {
    if let Some(services) = current().filter(|services| services.wants(level)) {
        match message.as_str() {
            Some(message) => services.log(level, target, message),
            None => services.log(level, target, &message.to_string()),
        }
    }
}

/// Whether a line of this level would be heard.
#[must_use]
pub fn enabled(level: Level) -> bool {
    current().is_some_and(|services| services.wants(level))
}

fn current() -> Option<Services> {
    // SAFETY: `guard` sets the pointer to a reference that lives until it has set it back, and
    // nothing else sets it. The clone keeps the services for as long as they are used here.
    CURRENT.with(|current| unsafe { current.get().as_ref() }.cloned())
}

/// Runs what an author wrote. A panic becomes an error of code `PANIC`, with its message and, as
/// detail, its place.
pub(super) fn guard<T>(
    services: &Services,
    run: impl FnOnce() -> Result<T, CallError>,
) -> Result<T, CallError> {
    let _entered = Entered::by(services);
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| Err(panic_error(payload)))
}

/// Drops what an author made. Nobody waits for it, so a panic is told to the host by its services.
pub(super) fn guard_drop<T>(services: &Services, value: T) {
    let dropped = guard(services, || {
        drop(value);
        Ok(())
    });
    if let Err(error) = dropped {
        services.panicked(&error.to_string());
    }
}

/// Keeps panics of guarded code from being printed; all others go on to the hook before.
pub(super) fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            let guarded = CURRENT.try_with(|current| !current.get().is_null());
            match guarded.unwrap_or(false) {
                true => remember(info),
                false => before(info),
            }
        }));
    });
}

fn remember(info: &PanicHookInfo<'_>) {
    let seen = Seen {
        message: payload_text(info.payload()),
        place: info.location().map(ToString::to_string),
    };
    // While one panic is being remembered there cannot be another on the same thread.
    let _ = SEEN.try_with(|slot| slot.try_borrow_mut().map(|mut slot| *slot = Some(seen)));
}

fn panic_error(payload: Box<dyn Any + Send>) -> CallError {
    let seen = SEEN
        .try_with(|slot| slot.borrow_mut().take())
        .ok()
        .flatten();
    let message = payload_text(payload.as_ref());
    // A payload may panic when it is dropped, and so may the payload of that: the second is leaked.
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
    let (message, place) = match seen {
        Some(seen) => (seen.message, seen.place),
        None => (message, None),
    };
    CallError {
        detail: place,
        ..CallError::new(codes::PANIC, message)
    }
}

fn payload_text(payload: &dyn Any) -> String {
    match (
        payload.downcast_ref::<&str>(),
        payload.downcast_ref::<String>(),
    ) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => "a panic without a message".to_owned(),
    }
}

/// Sets the current services back when a call ends, so that calls may nest.
struct Entered {
    before: *const Services,
}

impl Entered {
    fn by(services: &Services) -> Self {
        Self {
            before: CURRENT.with(|current| current.replace(services)),
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.with(|current| current.set(self.before));
    }
}
