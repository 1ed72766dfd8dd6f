//! Programs: what they are told, what they print, and how each way of failing is shown.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use triggerd::model::{AttemptOutcome, RunnableKind};
use triggerd::runnables::{
    AttemptReport, CommandDirs, JobContext, Retry, RunnableSecrets, RunnableSpec,
};
use triggerd::secret::Secret;

use crate::{job, runner};

/// A folder of programs.
struct Programs {
    folder: tempfile::TempDir,
}

impl Programs {
    fn new() -> Programs {
        Programs {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    /// With one shell script, `run`.
    fn script(lines: &str) -> Programs {
        let programs = Programs::new();
        programs.add("run", &format!("#!/bin/sh\n{lines}\n"), 0o755);
        programs
    }

    fn add(&self, name: &str, content: &str, mode: u32) {
        let path = self.path(name);
        fs::write(&path, content).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn dirs(&self) -> CommandDirs {
        CommandDirs::new([self.folder.path().to_owned()])
    }

    async fn run(&self, spec: Value, job: &JobContext) -> AttemptReport {
        let spec = RunnableSpec::parse(RunnableKind::Command, &spec).expect("a spec");
        let runner = runner(self.dirs());
        runner.run(&spec, &RunnableSecrets::default(), job).await
    }
}

async fn run_script(lines: &str) -> AttemptReport {
    Programs::script(lines)
        .run(json!({"argv": ["run"]}), &job("{}"))
        .await
}

fn text(bytes: &Option<Bytes>) -> String {
    String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned()
}

/// Whether a process is there and is not a zombie.
fn is_alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with('Z'))
    })
}

/// Waits until a process is gone; the kernel ends it on its own time.
async fn is_gone(pid: &str) -> bool {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    for _ in 0..1000 {
        if !is_alive(pid) {
            return true;
        }
        ticks.tick().await;
    }
    false
}

#[tokio::test]
async fn arguments_come_on_stdin_and_the_result_is_the_json_on_stdout() {
    let programs = Programs::script("cat");
    let report = programs
        .run(json!({"argv": ["run"]}), &job(r#"{"a": [1]}"#))
        .await;
    assert_eq!(
        (report.outcome, report.exit_code),
        (AttemptOutcome::Ok, Some(0))
    );
    assert_eq!(text(&report.result), r#"{"a": [1]}"#);
    assert_eq!(text(&report.stdout), r#"{"a": [1]}"#);
}

#[tokio::test]
async fn other_output_is_a_result_of_text() {
    assert_eq!(text(&run_script("echo done").await.result), r#""done""#);
}

#[tokio::test]
async fn arguments_are_not_read_by_a_shell() {
    let programs = Programs::script(r#"printf '%s|' "$@""#);
    let spec = json!({"argv": ["run", "$(id)", "a b", "*", ";", "-n"]});
    let report = programs.run(spec, &job("{}")).await;
    assert_eq!(text(&report.stdout), "$(id)|a b|*|;|-n|");
}

#[tokio::test]
async fn the_environment_is_clean_but_for_the_job_and_what_is_declared() {
    let programs = Programs::script("env | grep -v -e ^_= -e ^PWD= -e ^SHLVL= -e ^OLDPWD= | sort");
    let job = job("{}");
    let spec = json!({"argv": ["run"], "env": {"COLOUR": "red"}});
    let spec = RunnableSpec::parse(RunnableKind::Command, &spec).expect("a spec");
    let secrets = Secret::new(r#"{"env": {"TOKEN": "s3cret"}}"#.to_owned());
    let secrets = RunnableSecrets::parse(&secrets).expect("secrets");
    let report = runner(programs.dirs()).run(&spec, &secrets, &job).await;
    let home = fs::canonicalize(programs.folder.path()).expect("a folder");
    let event = job.event.as_ref().expect("an event");
    let expected = [
        "COLOUR=red".to_owned(),
        format!("HOME={}", home.display()),
        "LANG=C.UTF-8".to_owned(),
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        "TOKEN=s3cret".to_owned(),
        "TRIGGERD_ATTEMPT=2".to_owned(),
        "TRIGGERD_EVENT=push".to_owned(),
        format!("TRIGGERD_EVENT_ID={}", event.id),
        format!("TRIGGERD_JOB_ID={}", job.job_id),
        "TRIGGERD_PROVIDER=acme".to_owned(),
        "TRIGGERD_RUNNABLE=f/demo/record".to_owned(),
        "TRIGGERD_SUBSCRIPTION=my-repo".to_owned(),
        "TRIGGERD_TRIGGER=on-main".to_owned(),
        "TRIGGERD_WORKSPACE=default".to_owned(),
    ];
    let stdout = text(&report.stdout);
    assert_eq!(stdout.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn it_starts_in_the_folder_of_its_program_or_a_declared_one() {
    let programs = Programs::script("pwd");
    fs::create_dir(programs.path("sub")).expect("a folder");
    let home = fs::canonicalize(programs.folder.path()).expect("a folder");
    let report = programs.run(json!({"argv": ["run"]}), &job("{}")).await;
    assert_eq!(text(&report.stdout).trim(), home.to_str().expect("text"));
    let report = programs
        .run(json!({"argv": ["./run"], "cwd": "sub"}), &job("{}"))
        .await;
    assert_eq!(
        text(&report.stdout).trim(),
        home.join("sub").to_str().expect("text")
    );
    let report = programs
        .run(json!({"argv": ["run"], "cwd": "/tmp"}), &job("{}"))
        .await;
    assert_eq!(report.outcome, AttemptOutcome::Refused);
}

#[tokio::test]
async fn a_program_outside_the_allowed_folders_is_refused_when_saved_and_when_run() {
    let programs = Programs::script("echo good");
    symlink("/bin/sh", programs.path("shell")).expect("a link");
    for program in ["shell", "/bin/sh", "../../bin/sh", "absent"] {
        let json = json!({"argv": [program]});
        let spec = RunnableSpec::parse(RunnableKind::Command, &json).expect("a spec");
        let mistake = runner(programs.dirs()).check(&spec).expect_err(program);
        assert_eq!(mistake.field, "argv", "{program}");
        let report = programs.run(json, &job("{}")).await;
        assert_eq!(report.outcome, AttemptOutcome::Refused, "{program}");
        assert!(report.error.expect("an error").contains(program));
    }
    // Checked again at each run: what was good when it was saved is not trusted.
    let json = json!({"argv": ["run"]});
    let spec = RunnableSpec::parse(RunnableKind::Command, &json).expect("a spec");
    assert_eq!(runner(programs.dirs()).check(&spec), Ok(()));
    fs::remove_file(programs.path("run")).expect("removed");
    symlink("/bin/true", programs.path("run")).expect("a link");
    assert_eq!(
        programs.run(json, &job("{}")).await.outcome,
        AttemptOutcome::Refused
    );
}

#[tokio::test]
async fn a_failure_says_its_status_and_the_last_words() {
    let report = run_script("echo first >&2; echo no such branch >&2; exit 3").await;
    assert_eq!(
        (report.outcome, report.exit_code),
        (AttemptOutcome::Failed, Some(3))
    );
    assert_eq!(
        report.error.as_deref(),
        Some("ended with status 3: no such branch")
    );
    assert_eq!(
        (text(&report.stderr).as_str(), report.result),
        ("first\nno such branch\n", None)
    );
    assert_eq!(report.retry, Retry::Policy);
}

#[tokio::test]
async fn a_signal_is_shown() {
    let report = run_script("kill -SEGV $$").await;
    assert_eq!(
        (report.outcome, report.exit_code),
        (AttemptOutcome::Failed, None)
    );
    assert_eq!(
        (report.signal, report.error.as_deref()),
        (Some(11), Some("ended by signal 11"))
    );
}

#[tokio::test]
async fn what_cannot_be_started_is_an_attempt_that_says_so() {
    let programs = Programs::new();
    programs.add("plain", "echo no\n", 0o644);
    programs.add("orphan", "#!/no/such/interpreter\n", 0o755);
    programs.add("garbage", "\x7fELF nonsense", 0o755);
    let plain = programs.run(json!({"argv": ["plain"]}), &job("{}")).await;
    assert_eq!(plain.outcome, AttemptOutcome::Refused);
    assert!(plain.error.expect("an error").contains("chmod +x"));
    for program in ["orphan", "garbage"] {
        let report = programs.run(json!({"argv": [program]}), &job("{}")).await;
        assert_eq!(report.outcome, AttemptOutcome::Failed, "{program}");
        assert!(
            report
                .error
                .expect("an error")
                .contains("cannot be started"),
            "{program}"
        );
    }
}

#[tokio::test]
async fn a_hanging_program_is_killed_with_all_its_children() {
    let programs = Programs::script("trap '' TERM INT HUP\nsleep 600 &\necho $!\nsleep 600");
    let begun = Instant::now();
    let spec = json!({"argv": ["run"], "timeout_ms": 500});
    let report = programs.run(spec, &job("{}")).await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(
        (report.outcome, report.retry),
        (AttemptOutcome::Timeout, Retry::Policy)
    );
    assert!(
        report
            .error
            .as_deref()
            .is_some_and(|error| error.contains("500 ms"))
    );
    let child = text(&report.stdout).trim().to_owned();
    assert!(
        !child.is_empty() && is_gone(&child).await,
        "the child {child} is still there"
    );
}

#[tokio::test]
async fn what_left_the_group_of_a_hanging_program_is_killed_too() {
    let programs =
        Programs::script("setsid sh -c 'echo $$; sleep 600 & echo $!; wait' &\nsleep 600");
    let spec = json!({"argv": ["run"], "timeout_ms": 700});
    let report = programs.run(spec, &job("{}")).await;
    assert_eq!(report.outcome, AttemptOutcome::Timeout);
    let said = text(&report.stdout);
    assert_eq!(said.lines().count(), 2, "{said}");
    for stray in said.lines() {
        assert!(is_gone(stray).await, "{stray} is still there");
    }
}

#[tokio::test]
async fn children_left_behind_by_a_program_that_ended_are_killed() {
    let begun = Instant::now();
    let report = run_script("sleep 600 &\necho $!").await;
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "its open pipe is not waited for"
    );
    assert_eq!(report.outcome, AttemptOutcome::Ok);
    let child = text(&report.stdout).trim().to_owned();
    assert!(is_gone(&child).await, "the child {child} is still there");
}

#[tokio::test]
async fn a_process_that_left_the_group_does_not_hold_up_the_attempt() {
    let begun = Instant::now();
    let report = run_script("setsid sleep 20 &\necho started").await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(
        (report.outcome, text(&report.stdout).as_str()),
        (AttemptOutcome::Ok, "started\n")
    );
}

#[tokio::test]
async fn megabytes_of_output_neither_block_nor_are_kept() {
    let lines = "head -c 30000000 /dev/zero | tr '\\0' x\nhead -c 30000000 /dev/zero >&2";
    let programs = Programs::script(lines);
    let spec = json!({"argv": ["run"], "stdout_max": 1000, "stderr_max": 10});
    let report = programs.run(spec, &job("{}")).await;
    assert_eq!(report.outcome, AttemptOutcome::Ok, "{:?}", report.error);
    let stdout = text(&report.stdout);
    assert!(
        stdout.len() < 1100 && stdout.contains("29999000 more bytes"),
        "{stdout}"
    );
    assert!(text(&report.stderr).contains("29999990 more bytes"));
}

#[tokio::test]
async fn arguments_that_nobody_reads_are_no_failure() {
    let programs = Programs::script("exec <&-; echo ok");
    let job = job(vec![b'7'; 8 << 20]);
    let report = programs.run(json!({"argv": ["run"]}), &job).await;
    assert_eq!(
        (report.outcome, text(&report.stdout).as_str()),
        (AttemptOutcome::Ok, "ok\n")
    );
}

#[tokio::test]
async fn large_arguments_arrive_whole_while_output_flows() {
    let programs = Programs::script("cat | tee /dev/stderr | wc -c");
    let job = job(vec![b'7'; 8 << 20]);
    let report = programs.run(json!({"argv": ["run"]}), &job).await;
    assert_eq!(text(&report.stdout).trim(), (8 << 20).to_string());
}

#[tokio::test]
async fn a_program_may_get_nothing_on_stdin() {
    let programs = Programs::script("wc -c");
    let report = programs
        .run(json!({"argv": ["run"], "stdin": "none"}), &job("{}"))
        .await;
    assert_eq!(text(&report.stdout).trim(), "0");
}

#[tokio::test]
async fn dropping_a_run_ends_its_processes() {
    let programs = Programs::script("sleep 600 &\necho $! > child\nmv child started\nwait");
    let started = programs.path("started");
    let job = job("{}");
    let run = programs.run(json!({"argv": ["run"]}), &job);
    let watch = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        loop {
            if let Ok(pid) = fs::read_to_string(&started) {
                return pid.trim().to_owned();
            }
            ticks.tick().await;
        }
    };
    let child = tokio::select! {
        _ = run => panic!("it ended by itself"),
        child = watch => child,
    };
    assert!(is_gone(&child).await, "the child {child} is still there");
}

#[tokio::test]
async fn a_spec_is_checked_against_this_host_field_by_field() {
    let programs = Programs::script("true");
    fs::create_dir(programs.path("sub")).expect("a folder");
    let runner = runner(programs.dirs());
    let field = |spec: Value| {
        let spec = RunnableSpec::parse(RunnableKind::Command, &spec).expect("a spec");
        runner.check(&spec).err().map(|error| error.field)
    };
    assert_eq!(field(json!({"argv": ["run"], "cwd": "sub"})), None);
    let gone = json!({"argv": ["gone"], "cwd": "sub"});
    assert_eq!(field(gone).as_deref(), Some("argv"));
    let nowhere = json!({"argv": ["run"], "cwd": "nowhere"});
    assert_eq!(field(nowhere).as_deref(), Some("cwd"));
}
