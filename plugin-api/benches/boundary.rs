//! What the boundary costs: the same reading of a signed request, called directly and through a
//! loaded library. Fails when the ratio is over what the contract promises.

#[allow(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/library/support/build.rs"]
mod build;
#[path = "../tests/fixtures/plugin/src/signed.rs"]
mod signed;

use std::future::{Future, ready};
use std::hint::black_box;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use trigger_plugin_abi::bundle::Bundle;
use trigger_plugin_abi::host::{self, CallError, HostServices, Level, Library, codes};
use trigger_plugin_api::prelude::*;

const RATIO_MAX: f64 = 1.05;
const BATCHES: usize = 301;
const CALLS_A_BATCH: u32 = 500;
const SECRET: &str = "It's a Secret to Everybody";
const DECLARATION: [(&str, &str); 2] = [
    (
        "provider.yaml",
        include_str!("../tests/fixtures/plugin/provider.yaml"),
    ),
    (
        "events/thing.yaml",
        include_str!("../tests/fixtures/plugin/events/thing.yaml"),
    ),
];

fn main() -> ExitCode {
    let body = vec![b'x'; 10_000];
    let mut hmac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any key will do");
    hmac.update(&body);
    let signature = hmac.finalize().into_bytes();
    let names: Vec<String> = (0..19).map(|number| format!("x-header-{number}")).collect();
    let mut headers: Vec<(&str, &[u8])> = names
        .iter()
        .map(|name| (name.as_str(), b"a value of common length".as_slice()))
        .collect();
    headers.push(("x-signature", &signature));

    let spec = format!(r#"{{"secrets":{{"webhook_secret":"{SECRET}"}}}}"#);
    let files = DECLARATION.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
    let declared = Declared::from_bundle(&Bundle {
        files: files.into(),
    })
    .expect("the fixture's declaration");
    let spec_read = serde_json::from_str(&spec).expect("it is a subscription");
    let subscription = declared.open_subscription(spec_read).expect("it is one");
    let owned: Vec<(String, Vec<u8>)> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.to_vec()))
        .collect();
    let direct_request = Request {
        method: "POST",
        path: "/signed",
        query: "",
        headers: Headers::from(owned.as_slice()),
        body: &body,
        received_at_ms: 0,
    };

    let library = Library::open(&build::fixture_library()).expect("the fixture can be opened");
    let provider = library
        .create(Arc::new(Nothing), "{}")
        .expect("the fixture opens");
    let handle = provider.open_subscription(&spec).expect("it is one");
    let request = host::Request {
        method: "POST",
        path: "/signed",
        query: "",
        headers: &headers,
        body: &body,
        received_at_ms: 0,
    };

    let mut direct = || {
        let read = signed::read_signed(black_box(&subscription), black_box(&direct_request));
        assert_eq!(read.expect("it is genuine").events.len(), 1);
    };
    let mut across = || {
        let read = handle.dispatch(black_box(&request));
        assert_eq!(read.expect("it is genuine").events.len(), 1);
    };
    let (direct_ns, across_ns) = medians(&mut direct, &mut across);
    let ratio = across_ns / direct_ns;
    println!(
        "dispatch of 10 KB, 20 headers, HMAC-SHA256: {direct_ns:.0} ns directly, {across_ns:.0} ns across the boundary, ratio {ratio:.3}"
    );

    let plain = host::Request {
        path: "/",
        ..request
    };
    let mut plain_across = || drop(black_box(handle.dispatch(black_box(&plain))));
    let mut nothing = || drop(black_box(EventDispatch::body("fixture")));
    let (_, plain_ns) = medians(&mut nothing, &mut plain_across);
    println!("the same without HMAC: {plain_ns:.0} ns across the boundary");

    match ratio <= RATIO_MAX {
        true => ExitCode::SUCCESS,
        false => {
            eprintln!("the boundary costs too much: {ratio:.3}, expected at most {RATIO_MAX}");
            ExitCode::FAILURE
        }
    }
}

/// Nanoseconds a call, the median of many batches that take turns, so that both see the same
/// machine.
fn medians(one: &mut dyn FnMut(), other: &mut dyn FnMut()) -> (f64, f64) {
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for _ in 0..BATCHES {
        ones.push(batch_ns(one));
        others.push(batch_ns(other));
    }
    (median(ones), median(others))
}

#[allow(
    clippy::disallowed_methods,
    reason = "a measurement needs the real clock"
)]
fn batch_ns(call: &mut dyn FnMut()) -> f64 {
    let begun = Instant::now();
    for _ in 0..CALLS_A_BATCH {
        call();
    }
    begun.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS_A_BATCH)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

struct Nothing;

impl HostServices for Nothing {
    fn log(&self, _: Level, _: &str, _: &str) {}

    fn now_ms(&self) -> i64 {
        0
    }

    fn random(&self, _: &mut [u8]) {}

    fn call(
        &self,
        _: &str,
        _: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = std::result::Result<Vec<u8>, CallError>> + Send>> {
        Box::pin(ready(Err(CallError::new(
            codes::UNSUPPORTED,
            "nothing here",
        ))))
    }
}
