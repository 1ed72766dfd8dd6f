//! The log: lines for people or JSON, on standard error; panics too. Where it leads may be full or
//! gone; lines are lost then, and nothing else is.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};
use crate::panics;

/// Starts it; a filter that cannot be read is an error with the place in it.
pub fn start(log: &Log) -> Result<(), String> {
    let filter = EnvFilter::try_new(&log.filter)
        .map_err(|error| format!("log.filter `{}`: {error}", log.filter))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .log_internal_errors(false)
        .with_writer(|| Lossy(io::stderr()));
    let started = match log.format {
        LogFormat::Text => builder
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    // A second start in one process (a test) keeps the first.
    drop(started);
    panics::log_panics();
    Ok(())
}

/// Takes everything and fails at nothing.
struct Lossy<W>(W);

impl<W: Write> Write for Lossy<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

/// Writes lines for whoever started the host, if there is anybody.
pub fn greet(lines: &str) {
    let _ = io::stdout().lock().write_all(lines.as_bytes());
}
