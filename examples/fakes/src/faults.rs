//! What goes wrong in front of a fake: throttling, errors, slowness, whole days of silence.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use crate::{Answer, Exchange};

/// One fault, as `POST /_fake/faults` takes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Requests whose path begins so; absent: all.
    #[serde(default)]
    pub path: String,
    /// Requests of this method; absent: all.
    #[serde(default)]
    pub method: String,
    /// So many requests; absent: until the faults are cleared.
    #[serde(default)]
    pub times: Option<u32>,
    /// Answered with this status; absent: the service answers.
    #[serde(default)]
    pub status: Option<u16>,
    /// `Retry-After`, in seconds.
    #[serde(default)]
    pub retry_after: Option<u32>,
    /// Further headers of the answer.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The answer's body.
    #[serde(default)]
    pub body: String,
    /// The answer comes so much later.
    #[serde(default)]
    pub slow_ms: u64,
    /// The service does what was asked before the fault: its answer is lost.
    #[serde(default)]
    pub after: bool,
    /// The connection ends without an answer.
    #[serde(default)]
    pub cut: bool,
}

/// What a fault does to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// Before anything else.
    pub wait: Duration,
    /// Whether the service gets to see the request.
    pub reaches_service: bool,
    /// Instead of the service's own answer.
    pub answer: Option<Answer>,
    /// No answer at all.
    pub cut: bool,
}

/// The faults in front of one service. The first that matches counts.
#[derive(Default)]
pub struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    /// Adds one behind those there are.
    pub fn add(&self, fault: Fault) {
        self.held().push(fault);
    }

    /// All is well again.
    pub fn clear(&self) {
        self.held().clear();
    }

    /// What happens to this request; counts it.
    pub fn effect_on(&self, request: &Exchange) -> Option<Effect> {
        let mut faults = self.held();
        let index = faults.iter().position(|fault| {
            request.path.starts_with(&fault.path)
                && (fault.method.is_empty() || fault.method == request.method)
                && fault.times != Some(0)
        })?;
        let fault = &mut faults[index];
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        Some(fault.effect())
    }

    fn held(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fault {
    fn effect(&self) -> Effect {
        let answer = self.status.map(|status| {
            let mut answer = Answer::text(status, "text/plain", self.body.clone());
            answer.headers.extend(self.headers.iter().cloned());
            match self.retry_after {
                Some(seconds) => answer.with("retry-after", seconds.to_string()),
                None => answer,
            }
        });
        Effect {
            wait: Duration::from_millis(self.slow_ms),
            reaches_service: self.after || (answer.is_none() && !self.cut),
            answer,
            cut: self.cut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Exchange {
        Exchange {
            method: "GET".to_owned(),
            path: path.to_owned(),
            ..Exchange::default()
        }
    }

    #[test]
    fn a_fault_hits_so_many_requests_of_its_path_and_then_no_more() {
        let faults = Faults::default();
        let fault = r#"{"path": "/api", "times": 2, "status": 429, "retry_after": 7}"#;
        faults.add(serde_json::from_str(fault).expect("a fault"));
        assert_eq!(faults.effect_on(&get("/other")), None);
        for _ in 0..2 {
            let effect = faults.effect_on(&get("/api/x")).expect("it is hit");
            let answer = effect.answer.expect("it is answered");
            assert_eq!((answer.status, effect.reaches_service), (429, false));
            assert!(
                answer
                    .headers
                    .contains(&("retry-after".to_owned(), "7".to_owned()))
            );
        }
        assert_eq!(faults.effect_on(&get("/api/x")), None);
    }

    #[test]
    fn a_lost_answer_is_one_that_the_service_gave() {
        let faults = Faults::default();
        let fault = r#"{"after": true, "cut": true}"#;
        faults.add(serde_json::from_str(fault).expect("a fault"));
        let effect = faults.effect_on(&get("/")).expect("it is hit");
        assert!(effect.reaches_service && effect.cut);
    }
}
