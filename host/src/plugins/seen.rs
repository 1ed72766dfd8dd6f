//! What lies in the folders, remembered from pass to pass: a file whose size, times and inode are
//! unchanged is not opened again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::facts::Facts;
use super::library_file::{DeclarationFile, Digest, LibraryFile, Refusal};
use super::live::LiveProvider;
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
    /// Folders that could not be looked at the last time, which was told.
    unreadable: BTreeSet<PathBuf>,
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
    /// What was refused.
    pub tried: Option<Tried>,
    /// Kind and sentence.
    pub problem: Option<(String, String)>,
    pub loaded: Option<Loaded>,
    pub count: u64,
}

/// A load that went well. Whether it serves is another question: the pass that loaded it may have been
/// cut off before it was over.
#[derive(Clone, Copy)]
pub(super) struct Loaded {
    pub wanted: Digest,
    /// Of the [`LiveProvider`].
    pub generation: u64,
    pub at: Millis,
}

/// A load that was refused.
pub(super) struct Tried {
    pub wanted: Digest,
    /// How often that was tried in a row.
    pub times: u32,
    /// Not before this. `None`: not until something changes.
    pub again_at: Option<Instant>,
}

impl Load {
    /// Whether what serves is what is wanted.
    pub fn serves(&self, live: Option<&LiveProvider>, wanted: Digest) -> bool {
        let loaded = self.loaded.filter(|loaded| loaded.wanted == wanted);
        loaded.is_some_and(|loaded| live.is_some_and(|live| live.generation == loaded.generation))
    }

    /// Whether loading this can only come to what it came to the last time, or it is too early to try.
    pub fn is_settled(&self, wanted: Digest, now: Instant) -> bool {
        let tried = self.tried.as_ref().filter(|tried| tried.wanted == wanted);
        tried.is_some_and(|tried| tried.again_at.is_none_or(|at| now < at))
    }

    /// How often this was tried in a row.
    pub fn times_tried(&self, wanted: Digest) -> u32 {
        let tried = self.tried.as_ref().filter(|tried| tried.wanted == wanted);
        tried.map_or(0, |tried| tried.times)
    }
}

/// Why a file could not be read.
trait ReadError {
    /// Whether it is worth to read the very same file again.
    fn may_pass(&self) -> bool;
}

impl ReadError for Refusal {
    fn may_pass(&self) -> bool {
        Refusal::may_pass(self)
    }
}

impl ReadError for ManifestError {
    fn may_pass(&self) -> bool {
        ManifestError::may_pass(self)
    }
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
    /// Opens what is new or changed and forgets what is gone, also what was tried with it.
    pub fn look(&mut self, folders: &Folders) {
        let fresh = &mut self.fresh;
        let libraries = scan(
            &folders.plugins,
            "so",
            &mut self.libraries,
            |folder, name| {
                let library = LibraryFile::read(folder, name)?;
                let described = Arc::new(Described::library(&library));
                fresh.libraries.insert(name.to_owned(), library);
                Ok(described)
            },
        );
        let declarations = scan(
            &folders.plugins,
            "yaml",
            &mut self.declarations,
            |folder, name| {
                let file = DeclarationFile::read(folder, name)?;
                let described = Arc::new(Described::declaration(&file));
                fresh.declarations.insert(name.to_owned(), file);
                Ok(described)
            },
        );
        self.note(&folders.plugins, libraries.and(declarations));
        self.look_at_manifests(folders);
        let manifests = &self.manifests;
        self.loads
            .retain(|provider, _| manifests.contains_key(&format!("{provider}.yaml")));
    }

    /// The same for manifests alone.
    pub fn look_at_manifests(&mut self, folders: &Folders) {
        let looked = scan(
            &folders.manifests,
            "yaml",
            &mut self.manifests,
            |folder, name| Manifest::read(&folder.join(name)),
        );
        self.note(&folders.manifests, looked);
    }

    /// Tells once that a folder cannot be looked at, and once that it can be again.
    fn note(&mut self, folder: &Path, looked: io::Result<()>) {
        match looked {
            Err(error) => {
                if self.unreadable.insert(folder.to_owned()) {
                    tracing::warn!(
                        folder = %folder.display(),
                        %error,
                        "the folder cannot be looked at: what was seen there last stands",
                    );
                }
            }
            Ok(()) => {
                if self.unreadable.remove(folder) {
                    tracing::info!(folder = %folder.display(), "the folder can be looked at again");
                }
            }
        }
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

/// An error takes nothing away: a folder or a file that cannot be looked at now (a mount that is away, no
/// descriptors left) is not one that is gone.
fn scan<T, E: ReadError>(
    folder: &Path,
    extension: &str,
    known: &mut Files<T, E>,
    mut read: impl FnMut(&Path, &str) -> Result<T, E>,
) -> io::Result<()> {
    let mut present = BTreeSet::new();
    for name in names(folder, extension)? {
        let metadata = match std::fs::metadata(folder.join(&name)) {
            Ok(metadata) => metadata,
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    present.insert(name);
                }
                continue;
            }
        };
        let stamp = Stamp {
            size: metadata.size(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        };
        let is_known = known.get(&name).is_some_and(|(seen, found)| {
            *seen == stamp && !found.as_ref().is_err_and(ReadError::may_pass)
        });
        if !is_known {
            known.insert(name.clone(), (stamp, read(folder, &name)));
        }
        present.insert(name);
    }
    known.retain(|name, _| present.contains(name));
    Ok(())
}

/// Of all files with this extension that are not hidden; all of them or none.
fn names(folder: &Path, extension: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let is_meant = Path::new(&name).extension() == Some(OsStr::new(extension));
        if let Some(name) = name
            .to_str()
            .filter(|name| is_meant && !name.starts_with('.'))
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passing() -> Refusal {
        Refusal {
            path: PathBuf::new(),
            kind: "unreadable",
            reason: "too many open files".to_owned(),
        }
    }

    #[test]
    fn a_file_that_could_not_be_read_is_read_again_and_one_that_is_wrong_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a.so"), "a").expect("written");
        let wrong = Refusal {
            kind: "not_a_plugin",
            ..passing()
        };
        for (refusal, reads) in [(passing(), 2), (wrong, 1)] {
            let (mut known, mut count) = (Files::new(), 0);
            for _ in 0..3 {
                let read = |_: &Path, _: &str| {
                    count += 1;
                    if count == 1 {
                        Err(refusal.clone())
                    } else {
                        Ok(())
                    }
                };
                scan(folder.path(), "so", &mut known, read).expect("a folder");
            }
            assert_eq!(count, reads, "{}", refusal.kind);
        }
    }

    #[test]
    fn a_folder_that_cannot_be_looked_at_takes_nothing_away() {
        let place = tempfile::tempdir().expect("a folder");
        let (folder, away) = (place.path().join("here"), place.path().join("away"));
        std::fs::create_dir(&folder).expect("a folder");
        std::fs::write(folder.join("a.so"), "a").expect("written");
        let mut known: Files<(), Refusal> = Files::new();
        let mut look = || scan(&folder, "so", &mut known, |_, _| Ok(())).map(|()| known.len());
        assert_eq!(look().ok(), Some(1));
        std::fs::rename(&folder, &away).expect("renamed");
        assert!(look().is_err());
        std::fs::write(&folder, "no folder").expect("written");
        assert!(look().is_err());
        std::fs::remove_file(&folder).expect("removed");
        std::fs::rename(&away, &folder).expect("renamed");
        assert_eq!(look().ok(), Some(1), "it was not taken away");
        std::fs::remove_file(folder.join("a.so")).expect("removed");
        assert_eq!(look().ok(), Some(0), "what is gone is gone");
    }

    #[test]
    fn what_was_refused_for_good_waits_for_a_change_and_what_may_pass_for_its_time() {
        let (wanted, now) = (Digest::of(b"a"), Instant::now());
        let later = now + std::time::Duration::from_secs(1);
        let mut load = Load::default();
        assert!(!load.is_settled(wanted, now));
        for (again_at, is_settled_later) in [(None, true), (Some(later), false)] {
            load.tried = Some(Tried {
                wanted,
                times: 3,
                again_at,
            });
            assert!(load.is_settled(wanted, now));
            assert_eq!(load.is_settled(wanted, later), is_settled_later);
            assert_eq!(load.times_tried(wanted), 3);
            assert!(!load.is_settled(Digest::of(b"b"), now), "another library");
        }
    }
}
