//! A host that remembers what providers ask of it, and the least executor that polls them.

use std::future::{Future, ready};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{Thread, current, park};

use trigger_plugin_abi::host::{CallError, HostServices, Level, Library, Provider, codes};

use super::fixture_library;

/// Remembers lines of log, panics in drops and the operations asked for.
#[derive(Default)]
pub struct Recorder {
    pub lines: Mutex<Vec<(Level, String, String)>>,
    pub panics: Mutex<Vec<String>>,
    pub ops: Mutex<Vec<String>>,
}

impl Recorder {
    pub fn messages(&self) -> Vec<String> {
        let lines = self
            .lines
            .lock()
            .expect("no test panics while it holds this");
        lines
            .iter()
            .map(|(level, _, message)| format!("{level}: {message}"))
            .collect()
    }

    pub fn panics(&self) -> Vec<String> {
        self.panics
            .lock()
            .expect("no test panics while it holds this")
            .clone()
    }
}

impl HostServices for Recorder {
    fn log(&self, level: Level, target: &str, message: &str) {
        let line = (level, target.to_owned(), message.to_owned());
        self.lines
            .lock()
            .expect("no test panics while it holds this")
            .push(line);
    }

    fn panicked(&self, message: &str) {
        let mut panics = self
            .panics
            .lock()
            .expect("no test panics while it holds this");
        panics.push(message.to_owned());
    }

    fn now_ms(&self) -> i64 {
        1_234
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(4);
    }

    fn call(
        &self,
        op: &str,
        json: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, CallError>> + Send>> {
        let asked = format!("{op} {}", String::from_utf8_lossy(&json));
        self.ops
            .lock()
            .expect("no test panics while it holds this")
            .push(asked);
        match op {
            "sleep" => Box::pin(async {
                yield_once().await;
                Ok(b"null".to_vec())
            }),
            "http" => Box::pin(ready(Ok(br#"{"status":201}"#.to_vec()))),
            _ => Box::pin(ready(Err(CallError::new(
                codes::UNSUPPORTED,
                format!("no {op} here"),
            )))),
        }
    }
}

/// The fixture plugin, opened with this configuration.
pub fn open_fixture(config: &str) -> (Provider, Arc<Recorder>) {
    let library = Library::open(&fixture_library()).expect("the fixture can be opened");
    let (provider, recorder) = open_with(&library, config);
    (
        provider.expect("the fixture accepts its configuration"),
        recorder,
    )
}

/// A provider of an open library.
pub fn open_with(library: &Library, config: &str) -> (Result<Provider, CallError>, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let setup = format!(r#"{{"config":{config}}}"#);
    (library.create(recorder.clone(), &setup), recorder)
}

/// Polls until it is ready.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => park(),
        }
    }
}

/// Polls once.
pub fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
