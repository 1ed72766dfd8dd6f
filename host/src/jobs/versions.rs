//! Versions of runnables, read once: a version never changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::id::VersionId;
use crate::model::RunnableVersion;
use crate::runnables::{RunnableSecrets, RunnableSpec, SpecError};
use crate::store::{Store, StoreError};

/// As many are kept; then all are read anew.
const KEPT_MAX: usize = 512;

/// What a version says, or why it cannot be read.
pub(super) type Read = Result<Loaded, SpecError>;

/// A version, ready to be run.
pub(super) struct Loaded {
    pub(super) spec: RunnableSpec,
    pub(super) secrets: RunnableSecrets,
}

/// The versions that were needed lately.
pub(super) struct Versions {
    store: Store,
    kept: Mutex<HashMap<VersionId, Arc<Read>>>,
}

impl Versions {
    pub(super) fn new(store: Store) -> Versions {
        Versions {
            store,
            kept: Mutex::default(),
        }
    }

    /// Reads a version; one that does not exist or does not read is an answer too.
    pub(super) async fn read(&self, id: &VersionId) -> Result<Arc<Read>, StoreError> {
        if let Some(kept) = self.lock().get(id) {
            return Ok(Arc::clone(kept));
        }
        let read = match self.store.runnable_version(id).await? {
            Some(version) => load(&version),
            None => Err(SpecError {
                field: "version".into(),
                found: "nothing".into(),
                expected: "the version that the job names".into(),
            }),
        };
        let read = Arc::new(read);
        let mut kept = self.lock();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(id.clone(), Arc::clone(&read));
        Ok(read)
    }

    /// How many attempts a job of this version gets; one that does not read fails at its first.
    pub(super) async fn attempts_max(&self, id: &VersionId) -> Result<u32, StoreError> {
        let read = self.read(id).await?;
        let policy = read.as_ref().as_ref().map(|read| *read.spec.policy());
        Ok(policy.map_or(1, |policy| policy.retry.attempts_max))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<VersionId, Arc<Read>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(version: &RunnableVersion) -> Read {
    let secrets = version.secrets.as_ref().map(RunnableSecrets::parse);
    Ok(Loaded {
        spec: RunnableSpec::parse(version.kind, &version.spec)?,
        secrets: secrets.transpose()?.unwrap_or_default(),
    })
}
