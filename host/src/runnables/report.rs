//! What one attempt tells: how it ended, what it printed, and what is to become of its job.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::json;
use crate::model::AttemptOutcome;

/// The end of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptReport {
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The program's exit status.
    pub exit_code: Option<i32>,
    /// The signal that ended the program.
    pub signal: Option<i32>,
    /// The target's status.
    pub http_status: Option<u16>,
    /// What the program printed, or the body of an HTTP answer that was not a success.
    pub stdout: Option<Bytes>,
    /// What the program printed to standard error.
    pub stderr: Option<Bytes>,
    /// JSON. Text that is not JSON stands here as a JSON string.
    pub result: Option<Bytes>,
    /// Why it did not work, or what is wrong with its result, for a reader.
    pub error: Option<String>,
    /// What is to become of the job if it did not work.
    pub retry: Retry,
    /// The target works and did not want this one job, where no status or exit code says so.
    pub is_of_this_job: bool,
}

/// What is to become of a job whose attempt did not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It is given up: another attempt cannot end differently.
    Never,
    /// As the runnable's policy says.
    Policy,
    /// Not before this time has passed: the target asked for it.
    After(Duration),
    /// Its target is gone: the runnable is disabled and the job waits for an operator.
    DisableTarget,
}

impl AttemptReport {
    /// An attempt that worked.
    pub fn ok(result: Option<Bytes>) -> AttemptReport {
        AttemptReport {
            outcome: AttemptOutcome::Ok,
            exit_code: None,
            signal: None,
            http_status: None,
            stdout: None,
            stderr: None,
            result,
            error: None,
            retry: Retry::Never,
            is_of_this_job: false,
        }
    }

    /// An attempt that worked, with the result in what its target said. If that is not whole, it says
    /// so: `setting` is what bounds it.
    pub(super) fn ok_saying(said: &[u8], is_whole: bool, setting: &str) -> AttemptReport {
        let cut =
            || format!("it said more than its `{setting}`: the result is the beginning, as a text");
        AttemptReport {
            error: (!is_whole).then(cut),
            ..AttemptReport::ok(result_of(said, is_whole))
        }
    }

    /// An attempt that did not, to be repeated by the policy.
    pub fn not_ok(outcome: AttemptOutcome, error: impl Into<String>) -> AttemptReport {
        AttemptReport {
            outcome,
            error: Some(error.into()),
            retry: Retry::Policy,
            ..AttemptReport::ok(None)
        }
    }

    /// Whether the target itself is in trouble, so that its other jobs would fare no better: it
    /// cannot be reached or started, does not end, or says that it is overloaded or broken. A
    /// program that ran and said no, or an answer about this one request, is not of that kind.
    pub fn is_targets_trouble(&self) -> bool {
        match self.outcome {
            AttemptOutcome::Ok | AttemptOutcome::Lost | AttemptOutcome::Cancelled => false,
            AttemptOutcome::Timeout | AttemptOutcome::Refused => true,
            AttemptOutcome::Failed => match self.http_status {
                Some(status) => status >= 500 || status == 429,
                None => self.exit_code.is_none() && self.signal.is_none() && !self.is_of_this_job,
            },
        }
    }

    /// Whether it worked.
    pub fn is_ok(&self) -> bool {
        self.outcome == AttemptOutcome::Ok
    }
}

/// The result in what a target said: its JSON as it stands, other text as a JSON string, nothing
/// as nothing. What is not whole is text: half a number would read as another number.
fn result_of(said: &[u8], is_whole: bool) -> Option<Bytes> {
    let trimmed = said.trim_ascii();
    if trimmed.is_empty() {
        return None;
    }
    if is_whole && json::check(trimmed).is_ok() {
        return Some(Bytes::copy_from_slice(trimmed));
    }
    let text = String::from_utf8_lossy(trimmed).into_owned();
    Some(Bytes::from(Value::String(text).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(said: &[u8], expected: Option<&str>) {
        let result = result_of(said, true);
        assert_eq!(result.as_deref(), expected.map(str::as_bytes), "{said:?}");
    }

    #[test]
    fn json_is_kept_as_it_stands_and_text_becomes_a_string() {
        check(b"", None);
        check(b" \n", None);
        check(b" {\"b\": 1,\"a\":2}\n", Some("{\"b\": 1,\"a\":2}"));
        check(b"42", Some("42"));
        check(b"done\n", Some("\"done\""));
        check(b"{\"half\":", Some("\"{\\\"half\\\":\""));
        check(b"\xff", Some("\"\u{fffd}\""));
    }

    #[test]
    fn what_was_cut_off_is_text_and_says_so() {
        let report = AttemptReport::ok_saying(b"123", false, "stdout_max");
        assert!(report.is_ok());
        assert_eq!(report.result.as_deref(), Some(&b"\"123\""[..]));
        assert!(
            report
                .error
                .is_some_and(|error| error.contains("`stdout_max`"))
        );
        assert_eq!(
            AttemptReport::ok_saying(b"123", true, "stdout_max").error,
            None
        );
    }

    #[test]
    fn json_that_others_could_not_read_becomes_text() {
        check(br#""\ud800""#, Some(r#""\"\\ud800\"""#));
        check(b"1e999", Some("\"1e999\""));
        check(
            br#"{"$serde_json::private::RawValue":"1"}"#,
            Some(r#""{\"$serde_json::private::RawValue\":\"1\"}""#),
        );
        let deep = "[".repeat(10_000);
        check(deep.as_bytes(), Some(&format!("\"{deep}\"")));
    }
}
