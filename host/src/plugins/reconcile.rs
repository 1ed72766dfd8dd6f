//! Bringing what is loaded in line with the plugins and manifests folders, one idempotent pass.
//!
//! The folders are read again at every pass, which a timer starts each second: that works on every
//! file system, also where change notices do not arrive (network mounts, bind mounts).

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::library_file::{DeclarationFile, LibraryFile, Refusal};
use super::live::LiveProvider;
use super::load::{LoadError, fingerprint};
use super::manifest::Manifest;
use super::named_files::check_named;
use super::registry::{Inner, ProviderRow, ProviderState};
use super::seen::{Described, Fresh, Load, Loaded, Seen, Tried};

/// The first wait before the same is loaded again.
const PAUSE_MIN: Duration = Duration::from_secs(2);
/// The longest one.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Kind and sentence of what is wrong, and whether the next pass may try the same again.
struct Problem {
    kind: String,
    message: String,
    may_pass: bool,
}

/// The files that a manifest names, as they lie there now.
struct Named<'a> {
    manifest: &'a Manifest,
    library: Option<&'a Result<Arc<Described>, Refusal>>,
    declaration: Option<&'a Result<Arc<Described>, Refusal>>,
}

/// One pass, in a thread that may wait: those that serve do not wait with it for a disk or a network
/// mount. What it takes to read and load is given up where it was taken, and goes back with the thread,
/// which ends soon after the pass where nothing else needs one.
pub(super) async fn reconcile(inner: &Arc<Inner>) {
    let (inner, runtime) = (Arc::clone(inner), Handle::current());
    let dropped = CancellationToken::new();
    let _ends_with_this = dropped.clone().drop_guard();
    let pass = async move {
        // The end first: a runtime that is ending too has no timers any more.
        tokio::select! {
            biased;
            () = dropped.cancelled() => {}
            () = pass(&inner) => {}
        }
    };
    let pass = move || runtime.block_on(pass);
    let passed = tokio::task::spawn_blocking(pass).await;
    if let Err(Ok(panic)) = passed.map_err(JoinError::try_into_panic) {
        std::panic::resume_unwind(panic);
    }
}

async fn pass(inner: &Arc<Inner>) {
    let mut seen = inner.seen.lock().await;
    seen.look(&inner.folders);
    if inner.auto_enable {
        enable_discovered(inner, &mut seen);
    }
    let before = inner.serving.load_full();
    let mut serving: HashMap<Box<str>, Option<Arc<LiveProvider>>> = HashMap::new();
    let mut rows: BTreeMap<String, ProviderRow> = BTreeMap::new();
    let seen = &mut *seen;
    for (file, (_, manifest)) in &seen.manifests {
        let name = file.trim_end_matches(".yaml");
        let old = before.get(name).cloned().flatten();
        let load = seen.loads.entry(name.to_owned()).or_default();
        let (live, row) = match manifest {
            // A manifest that was spoilt while its provider serves takes nothing away.
            Err(error) => {
                let mut row = ProviderRow::named(name, ProviderState::Refused);
                row.problem = Some("manifest".to_owned());
                row.message = Some(error.to_string());
                row.serving = old.is_some();
                (old, row)
            }
            Ok(manifest) => {
                let declaration = manifest.declaration.as_ref();
                let named = Named {
                    manifest,
                    library: seen
                        .libraries
                        .get(manifest.library_file())
                        .map(|(_, found)| found),
                    declaration: declaration
                        .and_then(|file| seen.declarations.get(file))
                        .map(|(_, found)| found),
                };
                bring_in_line(inner, &named, load, (old, &mut seen.fresh)).await
            }
        };
        rows.insert(name.to_owned(), row);
        serving.insert(name.into(), live);
    }
    seen.fresh = Fresh::default();
    for (file, described) in seen.unnamed() {
        let row = discovered(file, described, &rows);
        rows.insert(row.name.clone(), row);
    }
    let held: u64 = serving.values().flatten().map(|live| live.size).sum();
    let leaked = inner.loader.bytes_mapped().saturating_sub(held);
    inner
        .metrics
        .plugin_leaked_bytes
        .set(i64::try_from(leaked).unwrap_or(i64::MAX));
    inner.serving.store(Arc::new(serving));
    *inner.rows.lock().unwrap_or_else(PoisonError::into_inner) = rows;
}

/// Loads what the manifest names if that is not what serves, and says what became of it.
async fn bring_in_line(
    inner: &Inner,
    named: &Named<'_>,
    load: &mut Load,
    (old, fresh): (Option<Arc<LiveProvider>>, &mut Fresh),
) -> (Option<Arc<LiveProvider>>, ProviderRow) {
    if !named.manifest.enabled {
        *load = Load {
            count: load.count,
            ..Load::default()
        };
        // Its services may send again later: nothing is refused for good.
        return (None, row(named, load, None, ProviderState::Disabled));
    }
    let live = match named.fingerprint(inner) {
        Ok(wanted) if load.serves(old.as_deref(), wanted) => {
            load.problem = None;
            load.tried = None;
            old
        }
        Ok(wanted) if load.is_settled(wanted, Instant::now()) => old,
        Ok(wanted) => match load_now(inner, named.manifest, fresh).await {
            Ok(live) => {
                inner.metrics.plugin_loads.increment("ok");
                load.count += 1;
                load.problem = None;
                load.tried = None;
                load.loaded = Some(Loaded {
                    wanted,
                    generation: live.generation,
                    at: inner.clock.now(),
                });
                tracing::info!(provider = &*live.name, digest = %live.digest, "the provider is loaded");
                Some(Arc::new(live))
            }
            Err(problem) => {
                inner.metrics.plugin_loads.increment("failed");
                let provider = &named.manifest.provider;
                let pause = problem.may_pass.then(|| pause(load.times_tried(wanted)));
                tracing::warn!(
                    provider,
                    kind = problem.kind,
                    tried_again_after_s = pause.map(|pause| pause.as_secs()),
                    "the provider is refused: {}",
                    problem.message
                );
                load.problem = Some((problem.kind, problem.message));
                load.tried = Some(Tried {
                    wanted,
                    times: load.times_tried(wanted) + 1,
                    again_at: pause.map(|pause| Instant::now() + pause),
                });
                old
            }
        },
        // What is not there any more does not serve any more; what is spoilt leaves the older load.
        Err(problem) => {
            let is_missing = problem.kind == "missing";
            load.problem = Some((problem.kind, problem.message));
            load.tried = None;
            if is_missing {
                load.loaded = None;
                return (None, row(named, load, None, ProviderState::Missing));
            }
            old
        }
    };
    let state = match load.problem {
        None => ProviderState::Live,
        Some(_) => ProviderState::Refused,
    };
    let row = row(named, load, live.as_ref(), state);
    (live, row)
}

/// Between two tries of what may pass, after so many before. A library that hangs in its probe holds up
/// the look at the others, and a full disk is not emptied by trying.
fn pause(times: u32) -> Duration {
    PAUSE_MAX.min(PAUSE_MIN * 2u32.saturating_pow(times))
}

impl Named<'_> {
    /// Of everything that decides what a load would do.
    fn fingerprint(&self, inner: &Inner) -> Result<super::library_file::Digest, Problem> {
        let missing = |file: &str| Problem {
            kind: "missing".to_owned(),
            message: format!(
                "{file} is not in {}: put it there, or name another file in the manifest",
                inner.folders.plugins.display()
            ),
            may_pass: false,
        };
        let library = self
            .library
            .ok_or_else(|| missing(self.manifest.library_file()))?;
        let library = library
            .as_ref()
            .map_err(|refusal| Problem::refused(refusal.clone()))?;
        let declaration = match (&self.manifest.declaration, self.declaration) {
            (None, _) => None,
            (Some(file), None) => return Err(missing(file)),
            (Some(_), Some(found)) => {
                let described = found
                    .as_ref()
                    .map_err(|refusal| Problem::refused(refusal.clone()))?;
                Some(described.digest)
            }
        };
        Ok(fingerprint(library.digest, declaration, self.manifest))
    }
}

impl Problem {
    fn refused(refusal: Refusal) -> Problem {
        Problem {
            kind: refusal.kind.to_owned(),
            message: refusal.to_string(),
            may_pass: refusal.may_pass(),
        }
    }

    fn load(error: LoadError) -> Problem {
        let may_pass = error.may_pass();
        let (kind, message) = error.into();
        Problem {
            kind,
            message,
            may_pass,
        }
    }
}

async fn load_now(
    inner: &Inner,
    manifest: &Manifest,
    fresh: &mut Fresh,
) -> Result<LiveProvider, Problem> {
    let folder = &inner.folders.plugins;
    let file = manifest.library_file();
    let library = match fresh.libraries.remove(file) {
        Some(library) => library,
        None => LibraryFile::read(folder, file).map_err(Problem::refused)?,
    };
    let declaration = match &manifest.declaration {
        Some(file) => Some(match fresh.declarations.remove(file) {
            Some(declaration) => declaration,
            None => DeclarationFile::read(folder, file).map_err(Problem::refused)?,
        }),
        None => None,
    };
    check_named(manifest, &library, declaration.as_ref()).map_err(Problem::refused)?;
    let loaded = inner.loader.load(library, declaration, manifest).await;
    loaded.map_err(Problem::load)
}

fn enable_discovered(inner: &Inner, seen: &mut Seen) {
    let mut written = false;
    for (file, described) in seen.unnamed() {
        let Ok(described) = described else { continue };
        let path = inner
            .folders
            .manifests
            .join(format!("{}.yaml", described.name));
        if path.exists() {
            continue;
        }
        let manifest = Manifest::pinned(&described.name, file, &described.digest.to_string());
        match write_whole(&path, &manifest.to_text()) {
            Ok(()) => written = true,
            Err(error) => {
                tracing::warn!(
                    provider = described.name,
                    "the manifest cannot be written: {error}"
                );
            }
        }
    }
    if written {
        seen.look_at_manifests(&inner.folders);
    }
}

/// A file that no manifest names.
fn discovered(
    file: &str,
    described: &Result<Arc<Described>, Refusal>,
    rows: &BTreeMap<String, ProviderRow>,
) -> ProviderRow {
    let mut row = match described {
        Err(refusal) => {
            let mut row = ProviderRow::named(file, ProviderState::Refused);
            row.problem = Some(refusal.kind.to_owned());
            row.message = Some(refusal.to_string());
            row
        }
        Ok(described) if rows.contains_key(&described.name) => {
            let mut row = ProviderRow::named(file, ProviderState::Discovered);
            described.describe(&mut row);
            let message = format!(
                "another file for the provider `{}`: its manifest does not name this one",
                described.name
            );
            row.message = Some(message);
            row
        }
        Ok(described) => {
            let mut row = ProviderRow::named(&described.name, ProviderState::Discovered);
            described.describe(&mut row);
            row.message = Some(format!(
                "run `triggerd provider enable {}` to load it",
                described.name
            ));
            row
        }
    };
    row.library = Some(file.to_owned());
    row
}

fn row(
    named: &Named<'_>,
    load: &Load,
    live: Option<&Arc<LiveProvider>>,
    state: ProviderState,
) -> ProviderRow {
    let mut row = ProviderRow::named(&named.manifest.provider, state);
    let file = named.manifest.declaration.clone();
    row.library = file.or_else(|| named.manifest.library.clone());
    for described in [named.library, named.declaration]
        .into_iter()
        .flatten()
        .flatten()
    {
        described.describe(&mut row);
    }
    if let Some((kind, message)) = load
        .problem
        .clone()
        .filter(|_| state != ProviderState::Disabled)
    {
        row.problem = Some(kind);
        row.message = Some(message);
    }
    row.serving = live.is_some();
    row.loaded_at = live.and(load.loaded).map(|loaded| loaded.at);
    row.loads = load.count;
    row
}

/// Whole or not at all: written beside, then moved into place.
pub(super) fn write_whole(path: &Path, text: &str) -> Result<(), String> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(".manifest-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_five_minutes_and_stay_there() {
        let pauses = [0, 1, 2, 7, 8, 31, 32, u32::MAX].map(|times| pause(times).as_secs());
        assert_eq!(pauses, [2, 4, 8, 256, 300, 300, 300, 300]);
    }
}
