//! Runs one version once, whatever its kind.

use crate::clock::Clock;
use crate::outbound::Outbound;
use crate::runnables::command;
use crate::runnables::job::JobContext;
use crate::runnables::nats;
use crate::runnables::programs::CommandDirs;
use crate::runnables::report::AttemptReport;
use crate::runnables::request;
use crate::runnables::secrets::RunnableSecrets;
use crate::runnables::spec::{RunnableSpec, SpecError, Target};

/// What running needs from the host. Cheap to clone.
#[derive(Clone)]
pub struct Runner {
    dirs: CommandDirs,
    outbound: Outbound,
    clock: Clock,
}

impl Runner {
    /// Runs programs under these folders and requests through this client.
    pub fn new(dirs: CommandDirs, outbound: Outbound, clock: Clock) -> Runner {
        Runner {
            dirs,
            outbound,
            clock,
        }
    }

    /// Checks what only this host can know: that a program lies where programs may lie. To be
    /// called when a version is saved; it is checked again at each run.
    pub fn check(&self, spec: &RunnableSpec) -> Result<(), SpecError> {
        match &spec.target {
            Target::Command(spec) => {
                self.dirs.program(&spec.argv[0]).map_err(|error| {
                    let expected = "a program under an allowed folder";
                    SpecError::new("argv", error.to_string(), expected)
                })?;
                if let Some(cwd) = &spec.cwd {
                    self.dirs.folder(cwd).map_err(|error| {
                        let expected = "a folder under an allowed folder";
                        SpecError::new("cwd", error.to_string(), expected)
                    })?;
                }
                Ok(())
            }
            // Addresses were checked when they were parsed; names are resolved anew at each run.
            Target::Http(_) | Target::Nats(_) => Ok(()),
            // Its expressions were checked when it was parsed; what it runs, whoever knows that checks.
            Target::Flow(_) => Ok(()),
        }
    }

    /// Runs it to its end or its deadline. Dropping the future ends what it started.
    pub async fn run(
        &self,
        spec: &RunnableSpec,
        secrets: &RunnableSecrets,
        job: &JobContext,
    ) -> AttemptReport {
        match &spec.target {
            Target::Command(spec) => command::run(spec, secrets, &self.dirs, job).await,
            Target::Http(spec) => {
                request::run(spec, secrets, &self.outbound, job, self.clock.now()).await
            }
            Target::Nats(spec) => nats::run(spec, secrets, self.outbound.nats(), job).await,
            // The executor lets it go from step to step; there is nothing to be run.
            Target::Flow(_) => AttemptReport::not_ok(
                crate::model::AttemptOutcome::Refused,
                "a flow is not run at once",
            ),
        }
    }
}
