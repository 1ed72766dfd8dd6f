//! What leaves this host and what it runs, against real sockets and real processes.

mod host;
#[allow(dead_code, reason = "each test file uses its own part of the harness")]
#[path = "../harness/postgres.rs"]
mod postgres_harness;
mod target;

mod command;
mod down;
mod hosts;
mod http;
mod jobs;
mod outbound;

use bytes::Bytes;
use triggerd::clock::{Clock, Millis};
use triggerd::id::{EventId, JobId};
use triggerd::outbound::{Outbound, OutboundConfig};
use triggerd::runnables::{CommandDirs, EventContext, JobContext, Runner};

/// A job with an event, as the executor would hand it over.
fn job(arguments: impl Into<Bytes>) -> JobContext {
    JobContext {
        job_id: JobId::generate(Millis(1)),
        attempt: 2,
        workspace: "default".into(),
        runnable: "f/demo/record".into(),
        trigger: Some("on-main".into()),
        event: Some(EventContext {
            id: EventId::generate(Millis(1)),
            name: "push".into(),
            provider: "acme".into(),
            subscription: "my-repo".into(),
            at: Millis(1_700_000_000_000),
        }),
        arguments: arguments.into(),
    }
}

fn outbound_client() -> Outbound {
    Outbound::open(&OutboundConfig::default()).expect("a client")
}

fn runner(dirs: CommandDirs) -> Runner {
    Runner::new(dirs, outbound_client(), Clock::system())
}
