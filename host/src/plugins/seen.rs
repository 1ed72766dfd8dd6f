//! What lies in the folders, remembered from pass to pass: a file whose size, times and inode are
//! unchanged is not opened again.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::facts::Facts;
use super::library_file::{DeclarationFile, Digest, LibraryFile, Refusal};
use super::manifest::{GENERIC_LIBRARY, Manifest, ManifestError};
use super::registry::{Folders, ProviderRow, ProviderState};
use crate::clock::Millis;

/// Files by name, as they were when they were last opened.
type Files<T, E> = BTreeMap<String, (Stamp, Result<T, E>)>;

/// Everything that earlier passes found and tried.
#[derive(Default)]
pub(super) struct Seen {
    /// `*.so` of the plugins folder.
    pub libraries: Files<Arc<Described>, Refusal>,
    /// `*.yaml` of the plugins folder.
    pub declarations: Files<Arc<Described>, Refusal>,
    /// `*.yaml` of the manifests folder.
    pub manifests: Files<Manifest, ManifestError>,
    /// By provider.
    pub loads: HashMap<String, Load>,
    /// What this pass has just read, so that what is loaded now is not read twice.
    pub fresh: Fresh,
}

/// Files by name, whole. Not kept beyond a pass.
#[derive(Default)]
pub(super) struct Fresh {
    pub libraries: HashMap<String, LibraryFile>,
    pub declarations: HashMap<String, DeclarationFile>,
}

/// What a library or a declaration says of itself, without its bytes.
pub(super) struct Described {
    pub digest: Digest,
    pub name: String,
    label: String,
    events: Vec<String>,
    warnings: Vec<String>,
    built: Option<Built>,
}

struct Built {
    version: String,
    abi: String,
    compiler: String,
}

/// What was tried last for one provider.
#[derive(Default)]
pub(super) struct Load {
    /// Not to be tried again until something changes.
    pub tried: Option<Digest>,
    /// Kind and sentence.
    pub problem: Option<(String, String)>,
    pub serving: Option<(Digest, Millis)>,
    pub count: u64,
}

/// What changes whenever a file is written or replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    size: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Seen {
    /// Opens what is new or changed and forgets what is gone.
    pub fn look(&mut self, folders: &Folders) {
        scan(
            &folders.plugins,
            "so",
            &mut self.libraries,
            |folder, name| {
                let library = apart(|| LibraryFile::read(folder, name))?;
                let described = Arc::new(Described::library(&library));
                self.fresh.libraries.insert(name.to_owned(), library);
                Ok(described)
            },
        );
        scan(
            &folders.plugins,
            "yaml",
            &mut self.declarations,
            |folder, name| {
                let file = apart(|| DeclarationFile::read(folder, name))?;
                let described = Arc::new(Described::declaration(&file));
                self.fresh.declarations.insert(name.to_owned(), file);
                Ok(described)
            },
        );
        self.look_at_manifests(folders);
    }

    /// The same for manifests alone.
    pub fn look_at_manifests(&mut self, folders: &Folders) {
        scan(
            &folders.manifests,
            "yaml",
            &mut self.manifests,
            |folder, name| Manifest::read(&folder.join(name)),
        );
    }

    /// Lets the next pass try this provider again, whatever it tried before.
    pub fn forget(&mut self, provider: &str) {
        self.loads.remove(provider);
    }

    /// Libraries and declarations that could be providers of their own and that no manifest names.
    pub fn unnamed(&self) -> Vec<(&str, &Result<Arc<Described>, Refusal>)> {
        let manifests = || {
            self.manifests
                .values()
                .filter_map(|(_, manifest)| manifest.as_ref().ok())
        };
        let is_named = |file: &str| {
            file == GENERIC_LIBRARY
                || manifests().any(|manifest| {
                    manifest.library.as_deref() == Some(file)
                        || manifest.declaration.as_deref() == Some(file)
                })
        };
        let files = self.libraries.iter().chain(&self.declarations);
        files
            .filter(|(file, _)| !is_named(file))
            .map(|(file, (_, described))| (file.as_str(), described))
            .collect()
    }
}

impl Described {
    fn library(file: &LibraryFile) -> Described {
        Described {
            digest: file.digest,
            name: file.declaration.identity.name.clone(),
            label: file.declaration.identity.label.english().to_owned(),
            events: Facts::of(&file.declaration).events,
            warnings: file.warnings.clone(),
            built: Some(Built {
                version: file.section.version.clone(),
                abi: format!("{}.{}", file.section.abi.0, file.section.abi.1),
                compiler: file.section.compiler.clone(),
            }),
        }
    }

    fn declaration(file: &DeclarationFile) -> Described {
        Described {
            digest: file.digest,
            name: file.declaration.identity.name.clone(),
            label: file.declaration.identity.label.english().to_owned(),
            events: Facts::of(&file.declaration).events,
            warnings: file.warnings.clone(),
            built: None,
        }
    }

    /// Fills in what it says.
    pub fn describe(&self, row: &mut ProviderRow) {
        row.digest = Some(self.digest.to_string());
        row.label = Some(self.label.clone());
        row.events.clone_from(&self.events);
        row.warnings.clone_from(&self.warnings);
        if let Some(built) = &self.built {
            row.version = Some(built.version.clone());
            row.abi = Some(built.abi.clone());
            row.compiler = Some(built.compiler.clone());
        }
    }
}

impl ProviderRow {
    /// With nothing known but this.
    pub(super) fn named(name: &str, state: ProviderState) -> ProviderRow {
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

fn scan<T, E>(
    folder: &Path,
    extension: &str,
    known: &mut Files<T, E>,
    mut read: impl FnMut(&Path, &str) -> Result<T, E>,
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
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        };
        present.push(name.to_owned());
        if known.get(name).is_none_or(|(seen, _)| *seen != stamp) {
            known.insert(name.to_owned(), (stamp, read(folder, name)));
        }
    }
    known.retain(|name, _| present.contains(name));
}

/// Reads in a thread that ends afterwards: a declaration takes many times the memory while it is read,
/// which goes back with the thread instead of staying with one that lives on.
pub(super) fn apart<T: Send>(read: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(read).join() {
        Ok(read) => read,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
