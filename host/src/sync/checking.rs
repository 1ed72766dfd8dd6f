//! Comparing what the service holds with what we hold, and what follows from the difference.

use serde_json::{Value, json};
use trigger_plugin_abi::codes;
use trigger_plugin_api::messages::{CheckReport, CheckState};

use super::calls::said;
use super::health::MISSING;
use super::run::{Run, StepError};
use super::times;
use crate::clock::random_fraction;
use crate::model::{
    Drift, OnDrift, OnMissing, Registration, RegistrationAnswer, RegistrationChange,
    RegistrationState,
};

/// More differences are not shown, nor longer ones as they are.
const DRIFT_MAX: usize = 50;
const FIELD_LEN_MAX: usize = 300;
const VALUE_LEN_MAX: usize = 4 << 10;

impl Run<'_> {
    pub(super) async fn check(&mut self) -> Result<(), StepError> {
        let Some(live) = self.view().live().cloned() else {
            self.upkeep.check_at = None;
            return Ok(());
        };
        let report = match self.calls().ask("check", &self.existing(&live)).await {
            Ok(report) => report,
            Err(error) if error.code == codes::NOT_FOUND => CheckReport::missing(said(&error)),
            Err(error) if error.code == codes::UNSUPPORTED => {
                self.upkeep.check_at = None;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let now = self.now();
        let every = self.service.facts().check_every;
        self.upkeep.checked_at = Some(now);
        self.upkeep.check_at = every.map(|every| times::next(now, every, random_fraction()));
        match report.state {
            CheckState::Ok => {
                self.upkeep.drift.clear();
                for finding in report.findings {
                    self.note(finding);
                }
                Ok(())
            }
            CheckState::Missing => {
                self.found_missing(&report.findings.join("; "));
                Ok(())
            }
            CheckState::Drifted => self.found_drift(&live, report).await,
        }
    }

    /// The service does not know the one that lives any more.
    pub(super) fn found_missing(&mut self, finding: &str) {
        let Some(live) = self.view().live().cloned() else {
            return;
        };
        let why = match finding {
            "" => String::new(),
            finding => format!(": {finding}"),
        };
        match self.subscription.terms.policy.missing {
            OnMissing::Recreate => {
                self.note(format!(
                    "the service does not know it any more{why}; it is made again"
                ));
                self.audit("subscription.missing", json!({ "registration": live.id }));
                self.upkeep.drift.clear();
                self.upkeep.renew_at = None;
                // Ended all the same: who does not see it may be wrong about it.
                self.change(RegistrationChange::State {
                    id: live.id,
                    state: RegistrationState::Lost,
                });
            }
            OnMissing::Report => {
                self.note(format!("the service does not know it any more{why}"));
                self.upkeep.drift = vec![Drift {
                    field: MISSING.to_owned(),
                    ours: live.external_id.into(),
                    theirs: Value::Null,
                }];
            }
        }
    }

    async fn found_drift(
        &mut self,
        live: &Registration,
        report: CheckReport,
    ) -> Result<(), StepError> {
        let drift = drift_of(&report);
        let fields: Vec<String> = drift.iter().map(|one| one.field.clone()).collect();
        let fields = fields.join(", ");
        let is_news = self.upkeep.drift != drift;
        self.upkeep.drift = drift;
        if is_news {
            let detail = json!({ "registration": live.id, "drift": self.upkeep.drift });
            self.audit("subscription.drifted", detail);
        }
        match self.subscription.terms.policy.drift {
            OnDrift::Report => {
                self.note(format!("the service holds it otherwise: {fields}"));
                Ok(())
            }
            OnDrift::Adopt if report.adopt.is_empty() => {
                self.note(format!(
                    "the service holds it otherwise, which cannot be adopted: {fields}"
                ));
                Ok(())
            }
            OnDrift::Adopt => {
                self.adopt(live, report.adopt);
                self.note(format!("adopted from the service: {fields}"));
                Ok(())
            }
            OnDrift::Repair => {
                // Shown for as long as the repair takes.
                self.flush().await?;
                self.send_update(live).await?;
                self.upkeep.drift.clear();
                // Nobody knows since when it sent elsewhere, or nothing.
                self.pull_what_was_missed();
                self.note(format!("repaired at the service: {fields}"));
                Ok(())
            }
        }
    }

    /// What the service holds is wanted from now on.
    fn adopt(&mut self, live: &Registration, adopted: serde_json::Map<String, Value>) {
        self.wanted.parameters.extend(adopted);
        self.subscription.parameters = self.wanted.parameters.clone();
        self.pending.adopted = Some(self.wanted.parameters.clone());
        self.upkeep.drift.clear();
        self.change(RegistrationChange::Answered {
            id: live.id.clone(),
            answer: RegistrationAnswer {
                credential_id: live.credential_id.clone(),
                external_id: live.external_id.clone(),
                endpoint_url: live.endpoint_url.clone(),
                parameters: self.wanted.parameters.clone(),
                events: live.events.clone(),
                properties: live.properties.clone(),
                secrets: None,
                expires_at: live.expires_at,
            },
        });
    }
}

/// Field by field; findings stand in where a plugin names no fields.
fn drift_of(report: &CheckReport) -> Vec<Drift> {
    if report.drift.is_empty() {
        let findings = report.findings.iter().take(DRIFT_MAX).map(|finding| Drift {
            field: finding.chars().take(FIELD_LEN_MAX).collect(),
            ours: Value::Null,
            theirs: Value::Null,
        });
        return findings.collect();
    }
    let fields = report.drift.iter().take(DRIFT_MAX).map(|one| Drift {
        field: one.field.chars().take(FIELD_LEN_MAX).collect(),
        ours: shown(&one.ours),
        theirs: shown(&one.theirs),
    });
    fields.collect()
}

fn shown(value: &Value) -> Value {
    match value.to_string().len() {
        size if size > VALUE_LEN_MAX => Value::from(format!("a value of {size} bytes")),
        _ => value.clone(),
    }
}
