//! Running a program once.

use std::collections::HashSet;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::{ChildStdin, Command};

use crate::model::AttemptOutcome;
use crate::runnables::environment;
use crate::runnables::group::Group;
use crate::runnables::job::JobContext;
use crate::runnables::output::Kept;
use crate::runnables::programs::{CommandDirs, ProgramError};
use crate::runnables::report::AttemptReport;
use crate::runnables::secrets::RunnableSecrets;
use crate::runnables::spec::{CommandSpec, Stdin};
use crate::runnables::strays;

/// How long pipes are read after the program and its group have ended: what they still hold is read
/// at once; a process that left the group and keeps a pipe open is not waited for.
const DRAIN_GRACE: Duration = Duration::from_millis(500);
/// How long a killed program is waited for; only one that hangs in the kernel takes longer.
const COLLECT_GRACE: Duration = Duration::from_secs(5);
/// A program that is being replaced at this moment cannot be started for an instant.
const BUSY_TRIES: u32 = 5;
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// Where a command's program is and where it starts.
struct Place {
    program: PathBuf,
    cwd: PathBuf,
}

/// Finds a command's program and folder under the allowed folders.
fn locate(spec: &CommandSpec, dirs: &CommandDirs) -> Result<Place, ProgramError> {
    let program = dirs.program(&spec.argv[0])?;
    let cwd = match &spec.cwd {
        Some(cwd) => dirs.folder(cwd)?,
        None => program.parent().unwrap_or(Path::new("/")).to_owned(),
    };
    Ok(Place { program, cwd })
}

/// Runs it to its end or its deadline.
pub(super) async fn run(
    spec: &CommandSpec,
    secrets: &RunnableSecrets,
    dirs: &CommandDirs,
    job: &JobContext,
) -> AttemptReport {
    let place = match locate(spec, dirs) {
        Ok(place) => place,
        Err(error) => return AttemptReport::not_ok(AttemptOutcome::Refused, error.to_string()),
    };
    let mut group = match start(spec, secrets, &place, job).await {
        Ok(child) => Group::of(child),
        Err(error) => {
            let error = format!("`{}` cannot be started: {error}", spec.argv[0]);
            return AttemptReport::not_ok(AttemptOutcome::Failed, error);
        }
    };
    let mut stdout = Kept::up_to(spec.stdout_max);
    let mut stderr = Kept::up_to(spec.stderr_max);
    let (in_time, status) = attend(spec, &mut group, job, &mut stdout, &mut stderr).await;
    if !in_time {
        strays::end(HashSet::from([(job.job_id.clone(), job.attempt)])).await;
    }
    let report = match (in_time, status) {
        (false, _) => AttemptReport::not_ok(
            AttemptOutcome::Timeout,
            format!(
                "no end within {} ms; its process group was killed",
                spec.timeout.as_millis()
            ),
        ),
        (true, Ok(status)) => of_status(status, &stdout, &stderr),
        (true, Err(error)) => AttemptReport::not_ok(
            AttemptOutcome::Failed,
            format!("its end is not known: {error}"),
        ),
    };
    AttemptReport {
        stdout: stdout.into_bytes(),
        stderr: stderr.into_bytes(),
        ..report
    }
}

async fn start(
    spec: &CommandSpec,
    secrets: &RunnableSecrets,
    place: &Place,
    job: &JobContext,
) -> io::Result<tokio::process::Child> {
    let clear = spec
        .env
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let sealed = secrets
        .env
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose().as_str()));
    let mut command = Command::new(&place.program);
    command
        .args(&spec.argv[1..])
        .current_dir(&place.cwd)
        .env_clear()
        .envs(environment::build(job, &place.cwd, clear.chain(sealed)))
        .stdin(match spec.stdin {
            Stdin::Arguments => Stdio::piped(),
            Stdin::None => Stdio::null(),
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    for _ in 1..BUSY_TRIES {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            started => return started,
        }
    }
    command.spawn()
}

/// Feeds and drains the program until it ends or its time is up, then ends its group. Tells
/// whether it ended in time, and how.
async fn attend(
    spec: &CommandSpec,
    group: &mut Group,
    job: &JobContext,
    stdout: &mut Kept,
    stderr: &mut Kept,
) -> (bool, io::Result<ExitStatus>) {
    let child = group.child();
    let (stdin, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut pipes = pin!(async {
        tokio::join!(
            feed(stdin, &job.arguments),
            stdout.drain(out),
            stderr.drain(err)
        )
    });
    let mut is_drained = false;
    let in_time = tokio::time::timeout(spec.timeout, async {
        let mut exit = pin!(group.leader_exit());
        loop {
            tokio::select! {
                () = &mut exit => break,
                _ = &mut pipes, if !is_drained => is_drained = true,
            }
        }
    })
    .await
    .is_ok();
    group.kill();
    let status = tokio::time::timeout(COLLECT_GRACE, group.collect())
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    if !is_drained {
        // Its end changes nothing: what was read until then is kept.
        let _ = tokio::time::timeout(DRAIN_GRACE, pipes).await;
    }
    (in_time, status)
}

/// Writes the arguments. A program that does not read them is in its right.
async fn feed(stdin: Option<ChildStdin>, arguments: &[u8]) {
    let Some(mut stdin) = stdin else { return };
    let written = stdin.write_all(arguments).await;
    if let Err(error) = written.and(stdin.shutdown().await) {
        tracing::trace!(%error, "a program did not read all of its arguments");
    }
}

fn of_status(status: ExitStatus, stdout: &Kept, stderr: &Kept) -> AttemptReport {
    if status.success() {
        return AttemptReport {
            exit_code: Some(0),
            ..AttemptReport::ok_saying(stdout.bytes(), stdout.is_whole(), "stdout_max")
        };
    }
    let mut error = match (status.signal(), status.code()) {
        (Some(signal), _) => format!("ended by signal {signal}"),
        (None, Some(code)) => format!("ended with status {code}"),
        (None, None) => "ended without a status".to_owned(),
    };
    if let Some(line) = stderr.last_line() {
        error.push_str(": ");
        error.push_str(&line);
    }
    AttemptReport {
        exit_code: status.code(),
        signal: status.signal(),
        ..AttemptReport::not_ok(AttemptOutcome::Failed, error)
    }
}
