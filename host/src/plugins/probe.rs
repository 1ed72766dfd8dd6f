//! The probe: a library is opened in a child process first, so that one which crashes, exits or
//! hangs while it is loaded takes only the child along.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::process::{ChildStderr, ChildStdout};
use trigger_plugin_abi::host::{Library, Provider};

use super::services::SilentServices;

/// How long a library may take to load.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// As much of the child's words as a message can use.
const WORDS_MAX: u64 = 4096;

/// The hidden subcommand that the child is started with.
pub const PROBE_COMMAND: &str = "probe-library";

/// How children are started: this program again, or what a test puts in its place.
#[derive(Clone, Debug)]
pub struct Prober {
    program: PathBuf,
}

/// What the child met; the text says it for an operator.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The child could not be started: nothing is known of the library.
    #[error("the probe could not be started")]
    Start(#[source] std::io::Error),
    /// The library took the child along.
    #[error(
        "loading it ended the process ({0}): it was tried in a child process, the host is unharmed"
    )]
    Died(String),
    /// Somebody else ended the child.
    #[error(
        "it could not be tried: the process was killed (SIGKILL), as the system does when memory runs out"
    )]
    Killed,
    /// The library did not come back.
    #[error("loading it did not end within {} seconds", PROBE_TIMEOUT.as_secs())]
    Hung,
    /// The library was opened and refused.
    #[error("{0}")]
    Refused(String),
}

impl Prober {
    /// Starts children with the program that is running now.
    pub fn this_program() -> std::io::Result<Prober> {
        std::env::current_exe().map(|program| Prober { program })
    }

    /// Starts children with another build of the same program.
    pub fn program(program: impl Into<PathBuf>) -> Prober {
        Prober {
            program: program.into(),
        }
    }

    /// Opens `library` in a child and creates its provider there with `setup` (JSON).
    pub async fn probe(&self, library: &Path, setup: &str) -> Result<(), ProbeError> {
        let mut command = tokio::process::Command::new(&self.program);
        command
            .arg(PROBE_COMMAND)
            .arg(library)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(ProbeError::Start)?;
        let watched = async {
            if let Some(mut stdin) = child.stdin.take() {
                // The child may die before it reads: its status tells more than the broken pipe.
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stdin, setup.as_bytes()).await;
            }
            let (out, err) = (child.stdout.take(), child.stderr.take());
            let (last, words) = tokio::join!(last_of(out), first_of(err));
            (child.wait().await, last, words)
        };
        match tokio::time::timeout(PROBE_TIMEOUT, watched).await {
            Err(_) => {
                // What it started hangs with it; it was not waited for, so the number is its own.
                let leader = child.id().and_then(|id| i32::try_from(id).ok());
                if let Some(leader) = leader.and_then(Pid::from_raw) {
                    let _ = kill_process_group(leader, Signal::KILL);
                }
                Err(ProbeError::Hung)
            }
            Ok((Err(error), _, _)) => Err(ProbeError::Start(error)),
            Ok((Ok(status), last, words)) => judge(status, &last, &words),
        }
    }
}

/// The child's words, as many as a message can use.
async fn first_of(stderr: Option<ChildStderr>) -> Vec<u8> {
    let mut words = Vec::new();
    if let Some(mut stderr) = stderr {
        let _ = (&mut stderr).take(WORDS_MAX).read_to_end(&mut words).await;
        // Who goes on talking is listened to, or it would never end.
        let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    }
    words
}

/// The end of what was written there, where the probe says that it went well.
async fn last_of(stdout: Option<ChildStdout>) -> Vec<u8> {
    let (mut last, mut piece) = (Vec::new(), [0; 1024]);
    if let Some(mut stdout) = stdout {
        while let Ok(read @ 1..) = stdout.read(&mut piece).await {
            last.extend_from_slice(&piece[..read]);
            let surplus = last.len().saturating_sub(WENT_WELL.len());
            last.drain(..surplus);
        }
    }
    last
}

/// The child's part: opens the library, creates the provider, lets it go.
/// Returns the process's exit code; words go to standard error.
pub fn run_probe(library: &Path) -> u8 {
    let mut setup = String::new();
    if let Err(error) = std::io::Read::read_to_string(&mut std::io::stdin(), &mut setup) {
        eprintln!("the probe's input cannot be read: {error}");
        return REFUSED;
    }
    match open(library, &setup) {
        Ok(_) => {
            print!("{WENT_WELL}");
            let _ = std::io::Write::flush(&mut std::io::stdout());
            PASSED
        }
        Err(words) => {
            eprintln!("{words}");
            REFUSED
        }
    }
}

const PASSED: u8 = 71;
const REFUSED: u8 = 72;
/// A library may end the process with any code; it does not say this before.
const WENT_WELL: &str = "the library was opened and its provider created";

fn open(library: &Path, setup: &str) -> Result<Provider, String> {
    let library = Library::open(library).map_err(|error| error.to_string())?;
    library
        .create(Arc::new(SilentServices), setup)
        .map_err(|error| error.to_string())
}

/// What the probe itself says counts; any other end is the library's doing.
fn judge(status: ExitStatus, last: &[u8], words: &[u8]) -> Result<(), ProbeError> {
    let words = String::from_utf8_lossy(words).trim().to_owned();
    let went_well = last == WENT_WELL.as_bytes();
    if status.signal() == Some(Signal::KILL.as_raw()) {
        return Err(ProbeError::Killed);
    }
    match status.code() {
        Some(code) if code == i32::from(PASSED) && went_well => Ok(()),
        Some(code) if code == i32::from(REFUSED) => Err(ProbeError::Refused(words)),
        _ if words.is_empty() => Err(ProbeError::Died(status.to_string())),
        _ => Err(ProbeError::Died(format!("{status}; it said: {words}"))),
    }
}
