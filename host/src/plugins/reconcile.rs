//! Bringing what is loaded in line with the plugins and manifests folders, one idempotent pass.
//!
//! The folders are read again at every pass, which a timer starts each second: that works on every
//! file system, also where change notices do not arrive (network mounts, bind mounts). Files whose
//! size, time and inode are unchanged are not opened again.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use super::facts::Facts;
use super::library_file::{Digest, LibraryFile, Refusal};
use super::live::LiveProvider;
use super::load::{LoadError, fingerprint};
use super::manifest::{Manifest, ManifestError};
use super::probe::ProbeError;
use super::registry::{Inner, ProviderRow, ProviderState};
use crate::clock::Millis;

/// What earlier passes found, so that a pass over unchanged folders opens no file.
#[derive(Default)]
pub(super) struct Seen {
    libraries: BTreeMap<String, (Stamp, Result<Arc<Library>, Refusal>)>,
    manifests: BTreeMap<String, (Stamp, Result<Manifest, ManifestError>)>,
    loads: HashMap<String, Load>,
}

/// A library's facts without its bytes.
struct Library {
    digest: Digest,
    name: String,
    label: String,
    version: String,
    abi: String,
    compiler: String,
    events: Vec<String>,
    warnings: Vec<String>,
}

/// What was tried last for one provider.
#[derive(Default)]
struct Load {
    tried: Option<Digest>,
    problem: Option<(String, String)>,
    serving: Option<(Digest, Millis)>,
    count: u64,
}

/// What changes whenever a file is written or replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size: u64,
    inode: u64,
    modified_ns: i128,
    changed_ns: i128,
}

impl Seen {
    /// Lets the next pass try this provider again, whatever it tried before.
    pub(super) fn forget(&mut self, provider: &str) {
        self.loads.remove(provider);
    }
}

/// One pass.
pub(super) async fn reconcile(inner: &Inner) {
    let mut seen = inner.seen.lock().await;
    // Reading folders is quick and the pass has a task of its own.
    scan(
        &inner.folders.plugins,
        "so",
        &mut seen.libraries,
        |folder, name| {
            LibraryFile::read(folder, name).map(|library| Arc::new(Library::of(&library)))
        },
    );
    scan(
        &inner.folders.manifests,
        "yaml",
        &mut seen.manifests,
        |folder, name| Manifest::read(&folder.join(name)),
    );
    if inner.auto_enable {
        enable_discovered(inner, &mut seen);
    }
    let seen = &mut *seen;
    let mut serving: HashMap<Box<str>, Option<Arc<LiveProvider>>> = HashMap::new();
    let mut rows: BTreeMap<String, ProviderRow> = BTreeMap::new();
    let before = inner.serving.load_full();
    for (file, (_, manifest)) in &seen.manifests {
        let name = file.trim_end_matches(".yaml");
        let manifest = match manifest {
            Ok(manifest) => manifest,
            Err(error) => {
                // A manifest that was spoilt while its provider serves takes nothing away.
                let old = before.get(name).cloned().flatten();
                let mut row = ProviderRow::named(name, ProviderState::Refused);
                row.problem = Some("manifest".to_owned());
                row.message = Some(error.to_string());
                row.serving = old.is_some();
                rows.insert(name.to_owned(), row);
                serving.insert(name.into(), old);
                continue;
            }
        };
        let load = seen.loads.entry(name.to_owned()).or_default();
        let library_name = manifest.library.clone().unwrap_or_default();
        let library = seen
            .libraries
            .get(&library_name)
            .map(|(_, library)| library);
        let old = before.get(name).cloned().flatten();
        if !manifest.enabled {
            load.serving = None;
            load.tried = None;
            rows.insert(
                name.to_owned(),
                row(manifest, library, load, ProviderState::Disabled),
            );
            // Its services may send again later: nothing is refused for good.
            serving.insert(name.into(), None);
            continue;
        }
        let live = bring_in_line(inner, manifest, library, load, old).await;
        let state = match (&live, &load.problem) {
            (_, None) => ProviderState::Live,
            (_, Some((kind, _))) if kind == "missing" => ProviderState::Missing,
            (_, Some(_)) => ProviderState::Refused,
        };
        rows.insert(name.to_owned(), row(manifest, library, load, state));
        serving.insert(name.into(), live);
    }
    discovered(seen, &mut rows);
    inner.serving.store(Arc::new(serving));
    *inner.rows.lock().unwrap_or_else(PoisonError::into_inner) = rows;
}

/// Loads what the manifest names if that is not what serves; says in `load` what became of it.
async fn bring_in_line(
    inner: &Inner,
    manifest: &Manifest,
    library: Option<&Result<Arc<Library>, Refusal>>,
    load: &mut Load,
    old: Option<Arc<LiveProvider>>,
) -> Option<Arc<LiveProvider>> {
    let library_name = manifest.library.clone().unwrap_or_default();
    let facts = match library {
        Some(Ok(facts)) => facts,
        Some(Err(refusal)) => {
            load.problem = Some((refusal.kind.to_owned(), refusal.to_string()));
            return old;
        }
        None => {
            let message = format!(
                "{} is not in {}: put it there, or name another `library` in the manifest",
                library_name,
                inner.folders.plugins.display()
            );
            load.problem = Some(("missing".to_owned(), message));
            load.serving = None;
            load.tried = None;
            return None;
        }
    };
    let wanted = fingerprint(facts.digest, manifest);
    if load.serving.is_some_and(|(serving, _)| serving == wanted) {
        load.problem = None;
        return old;
    }
    if load.tried == Some(wanted) {
        return old;
    }
    match load_now(inner, manifest, &library_name).await {
        Ok(live) => {
            load.count += 1;
            load.problem = None;
            load.tried = Some(wanted);
            load.serving = Some((wanted, inner.clock.now()));
            tracing::info!(provider = &*live.name, digest = %live.digest, "the provider is loaded");
            Some(Arc::new(live))
        }
        Err((problem, retry)) => {
            tracing::warn!(
                provider = manifest.provider,
                kind = problem.0,
                "the provider is refused: {}",
                problem.1
            );
            load.problem = Some(problem);
            load.tried = (!retry).then_some(wanted);
            old
        }
    }
}

/// The problem, and whether the next pass may try the same again.
async fn load_now(
    inner: &Inner,
    manifest: &Manifest,
    library_name: &str,
) -> Result<LiveProvider, ((String, String), bool)> {
    let refused = |refusal: Refusal| ((refusal.kind.to_owned(), refusal.to_string()), false);
    let library = LibraryFile::read(&inner.folders.plugins, library_name).map_err(refused)?;
    if let Some(pin) = &manifest.sha256 {
        library.check_pin(pin).map_err(refused)?;
    }
    let declared = &library.declaration.identity.name;
    if *declared != manifest.provider {
        let message = format!(
            "{} declares the provider `{declared}`, but the manifest is for `{}`: name the manifest {declared}.yaml",
            library.path.display(),
            manifest.provider
        );
        return Err((("name".to_owned(), message), false));
    }
    inner.loader.load(library, manifest).await.map_err(|error| {
        let retry = matches!(
            error,
            LoadError::Copy { .. } | LoadError::Probe(ProbeError::Start(_))
        );
        (error.into(), retry)
    })
}

fn enable_discovered(inner: &Inner, seen: &mut Seen) {
    let named: Vec<String> = seen.manifests.keys().cloned().collect();
    for (file, (_, library)) in &seen.libraries {
        let Ok(library) = library else { continue };
        let manifest_file = format!("{}.yaml", library.name);
        if named.contains(&manifest_file) {
            continue;
        }
        let manifest = Manifest::pinned(&library.name, file, &library.digest.to_string());
        let path = inner.folders.manifests.join(&manifest_file);
        if let Err(error) = write_whole(&path, &manifest.to_text()) {
            tracing::warn!(
                provider = library.name,
                "the manifest cannot be written: {error}"
            );
        }
    }
    scan(
        &inner.folders.manifests,
        "yaml",
        &mut seen.manifests,
        |folder, name| Manifest::read(&folder.join(name)),
    );
}

/// Libraries that no manifest names.
fn discovered(seen: &Seen, rows: &mut BTreeMap<String, ProviderRow>) {
    let named: Vec<&String> = seen
        .manifests
        .values()
        .filter_map(|(_, manifest)| manifest.as_ref().ok()?.library.as_ref())
        .collect();
    for (file, (_, library)) in &seen.libraries {
        if named.contains(&file) {
            continue;
        }
        let (name, mut row) = match library {
            Ok(library) if !rows.contains_key(&library.name) => {
                let mut row = ProviderRow::named(&library.name, ProviderState::Discovered);
                library.describe(&mut row);
                row.message = Some(format!(
                    "run `triggerd provider enable {}` to load it",
                    library.name
                ));
                (library.name.clone(), row)
            }
            Ok(library) => {
                let mut row = ProviderRow::named(file, ProviderState::Discovered);
                library.describe(&mut row);
                row.message = Some(format!(
                    "a second library for the provider `{}`, whose manifest names another file",
                    library.name
                ));
                (file.clone(), row)
            }
            Err(refusal) => {
                let mut row = ProviderRow::named(file, ProviderState::Refused);
                row.problem = Some(refusal.kind.to_owned());
                row.message = Some(refusal.to_string());
                (file.clone(), row)
            }
        };
        row.library = Some(file.clone());
        rows.insert(name, row);
    }
}

fn row(
    manifest: &Manifest,
    library: Option<&Result<Arc<Library>, Refusal>>,
    load: &Load,
    state: ProviderState,
) -> ProviderRow {
    let mut row = ProviderRow::named(&manifest.provider, state);
    row.library = manifest.library.clone();
    if let Some(Ok(library)) = library {
        library.describe(&mut row);
    }
    if let Some((kind, message)) = load
        .problem
        .clone()
        .filter(|_| state != ProviderState::Disabled)
    {
        row.problem = Some(kind);
        row.message = Some(message);
    }
    row.serving = load.serving.is_some();
    row.loaded_at = load.serving.map(|(_, at)| at);
    row.loads = load.count;
    row
}

impl ProviderRow {
    fn named(name: &str, state: ProviderState) -> ProviderRow {
        ProviderRow {
            name: name.to_owned(),
            state,
            label: None,
            library: None,
            digest: None,
            version: None,
            abi: None,
            compiler: None,
            events: Vec::new(),
            problem: None,
            message: None,
            serving: false,
            loaded_at: None,
            loads: 0,
            warnings: Vec::new(),
        }
    }
}

impl Library {
    fn of(file: &LibraryFile) -> Library {
        Library {
            digest: file.digest,
            name: file.declaration.identity.name.clone(),
            label: file.declaration.identity.label.english().to_owned(),
            version: file.section.version.clone(),
            abi: format!("{}.{}", file.section.abi.0, file.section.abi.1),
            compiler: file.section.compiler.clone(),
            events: Facts::of(&file.declaration).events,
            warnings: file.warnings.clone(),
        }
    }

    fn describe(&self, row: &mut ProviderRow) {
        row.digest = Some(self.digest.to_string());
        row.label = Some(self.label.clone());
        row.version = Some(self.version.clone());
        row.abi = Some(self.abi.clone());
        row.compiler = Some(self.compiler.clone());
        row.events.clone_from(&self.events);
        row.warnings.clone_from(&self.warnings);
    }
}

/// Reads what is new or changed in a folder and forgets what is gone.
fn scan<T, E>(
    folder: &Path,
    extension: &str,
    known: &mut BTreeMap<String, (Stamp, Result<T, E>)>,
    read: impl Fn(&Path, &str) -> Result<T, E>,
) {
    let mut present = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let hidden = name.starts_with('.');
        if hidden || path.extension().is_none_or(|found| found != extension) {
            continue;
        }
        let Ok(metadata) = std::fs::metadata(&path) else {
            continue;
        };
        let stamp = Stamp {
            size: metadata.size(),
            inode: metadata.ino(),
            modified_ns: i128::from(metadata.mtime()) * 1_000_000_000
                + i128::from(metadata.mtime_nsec()),
            changed_ns: i128::from(metadata.ctime()) * 1_000_000_000
                + i128::from(metadata.ctime_nsec()),
        };
        present.push(name.to_owned());
        if known.get(name).is_none_or(|(seen, _)| *seen != stamp) {
            known.insert(name.to_owned(), (stamp, read(folder, name)));
        }
    }
    known.retain(|name, _| present.contains(name));
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
