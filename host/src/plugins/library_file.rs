//! A library on disk before anything of it runs: owner, mode, links, digest, ELF section.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use trigger_plugin_abi::bundle::Bundle;
use trigger_plugin_abi::host::{PreflightError, Section, preflight};
use trigger_plugin_api::declaration::Declaration;

use super::regular::open_regular;

/// The largest library that is read; a release build of a provider has about one megabyte.
const LIBRARY_MAX: u64 = 256 << 20;

/// A library's digest: SHA-256, printed in lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// Of all that is left to read.
    fn read(mut file: impl io::Read) -> io::Result<Digest> {
        let mut hasher = Sha256::new();
        let mut block = vec![0; 64 << 10];
        loop {
            match file.read(&mut block) {
                Ok(0) => return Ok(Digest(hasher.finalize().into())),
                Ok(read) => hasher.update(block.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a library says of itself, read without running it. The file stays open and its bytes stay
/// there: whole libraries in memory are most of what a start would take.
pub struct LibraryFile {
    /// Where it lies.
    pub path: PathBuf,
    file: File,
    /// In bytes.
    pub size: u64,
    /// Of every byte.
    pub digest: Digest,
    /// Its `.trigger_plugin` section.
    pub section: Section,
    /// The declaration that it embeds.
    pub declaration: Declaration,
    /// What the declaration's reader wondered at, with file and line.
    pub warnings: Vec<String>,
}

/// Why a library is refused, in a sentence with the file, what was found, what was expected and
/// what to do next.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct Refusal {
    /// Which file.
    pub path: PathBuf,
    /// One word for lists and metrics.
    pub kind: &'static str,
    /// The sentence.
    pub reason: String,
}

impl Refusal {
    /// Whether the file may well be read the next time, as it is: the system refused, not we.
    pub fn may_pass(&self) -> bool {
        self.kind == UNREADABLE
    }
}

/// The kind of a [`Refusal`] that is none of the file's own doing.
const UNREADABLE: &str = "unreadable";

impl LibraryFile {
    /// Reads a library of the plugins folder and checks everything that can be checked without
    /// running it.
    pub fn read(folder: &Path, file_name: &str) -> Result<LibraryFile, Refusal> {
        let path = folder.join(file_name);
        check_place(folder, &path)?;
        let mut library = LibraryFile::inspect(&path)?;
        check_owner(&path)?;
        library.warnings.extend(warning_of(folder));
        Ok(library)
    }

    /// The same without the rules of the plugins folder: for `triggerd provider inspect FILE`.
    pub fn inspect(path: &Path) -> Result<LibraryFile, Refusal> {
        let refuse = |kind, reason: String| Refusal {
            path: path.to_owned(),
            kind,
            reason,
        };
        let (file, size) = open_bounded(path).map_err(|error| refuse(UNREADABLE, error))?;
        let digest = Digest::read(&file).map_err(|error| refuse(UNREADABLE, unreadable(&error)))?;
        let section = preflight(&file).map_err(|error| refuse(kind(&error), error.to_string()))?;
        let bundle = Bundle::parse(&section.bundle).map_err(|error| {
            refuse(
                "declaration",
                format!("the embedded declaration cannot be read: {error}"),
            )
        })?;
        let loaded =
            Declaration::load(&bundle).map_err(|error| refuse("declaration", error.to_string()))?;
        Ok(LibraryFile {
            path: path.to_owned(),
            file,
            size,
            digest,
            section,
            declaration: loaded.declaration,
            warnings: loaded.warnings.iter().map(ToString::to_string).collect(),
        })
    }

    /// Writes it to a new file that is this user's alone, and looks at that again: what was checked is
    /// what lies there, whoever wrote into the original meanwhile.
    ///
    /// # Errors
    /// What went wrong, in words. Nothing is left at `path` then, unless there was something before.
    pub fn copy_to(&self, path: &Path) -> Result<(), String> {
        let mut copy = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o500)
            .open(path)
            .map_err(|error| error.to_string())?;
        let copied = self.fill(&mut copy);
        if copied.is_err() {
            // Half a copy on a full disk is of use to nobody; the next try makes its own.
            let _ = std::fs::remove_file(path);
        }
        copied
    }

    fn fill(&self, copy: &mut File) -> Result<(), String> {
        let copied = (&self.file)
            .rewind()
            .and_then(|()| io::copy(&mut &self.file, copy))
            .and_then(|_| copy.rewind())
            .and_then(|()| Digest::read(&mut *copy));
        let digest = copied.map_err(|error| error.to_string())?;
        if digest == self.digest && preflight(copy).as_ref() == Ok(&self.section) {
            return Ok(());
        }
        Err(format!(
            "{} was written to while it was read: put a finished file there with `mv`",
            self.path.display()
        ))
    }

    /// Holds the digest against the operator's pin.
    pub fn check_pin(&self, pin: &str) -> Result<(), Refusal> {
        check_pin(&self.path, self.digest, pin, &self.declaration)
    }
}

/// A declaration without code in the plugins folder.
pub struct DeclarationFile {
    /// Where it lies.
    pub path: PathBuf,
    /// As it was read.
    pub text: String,
    /// Of `text`.
    pub digest: Digest,
    /// What it says.
    pub declaration: Declaration,
    /// What its reader wondered at.
    pub warnings: Vec<String>,
}

impl DeclarationFile {
    /// Reads and checks one, under the same rules as a library.
    pub fn read(folder: &Path, file_name: &str) -> Result<DeclarationFile, Refusal> {
        let path = folder.join(file_name);
        check_place(folder, &path)?;
        check_owner(&path)?;
        let refuse = |kind, reason: String| Refusal {
            path: path.clone(),
            kind,
            reason,
        };
        let bytes = read_whole(&path).map_err(|error| refuse(UNREADABLE, error))?;
        let digest = Digest::of(&bytes);
        let text = String::from_utf8(bytes)
            .map_err(|_| refuse("declaration", "is not text (UTF-8)".to_owned()))?;
        let loaded = Declaration::load_file(file_name, &text)
            .map_err(|error| refuse("declaration", error.to_string()))?;
        Ok(DeclarationFile {
            digest,
            text,
            declaration: loaded.declaration,
            warnings: loaded.warnings.iter().map(ToString::to_string).collect(),
            path,
        })
    }

    /// Holds the digest against the operator's pin.
    pub fn check_pin(&self, pin: &str) -> Result<(), Refusal> {
        check_pin(&self.path, self.digest, pin, &self.declaration)
    }
}

fn check_pin(
    path: &Path,
    digest: Digest,
    pin: &str,
    declaration: &Declaration,
) -> Result<(), Refusal> {
    let found = digest.to_string();
    if found == pin {
        return Ok(());
    }
    Err(Refusal {
        path: path.to_owned(),
        kind: "pin",
        reason: format!(
            "its SHA-256 is {found}, but the manifest pins {pin}: if you replaced it yourself, run \
             `triggerd provider enable {}` to pin the new one",
            declaration.identity.name,
        ),
    })
}

/// One word for lists and metrics.
fn kind(error: &PreflightError) -> &'static str {
    match error {
        PreflightError::NotElf | PreflightError::NotShared { .. } | PreflightError::NotAPlugin => {
            "not_a_plugin"
        }
        PreflightError::Truncated { .. } => "truncated",
        PreflightError::Corrupted { .. } | PreflightError::DamagedSection { .. } => "corrupted",
        PreflightError::WrongArchitecture { .. }
        | PreflightError::WrongTarget { .. }
        | PreflightError::CpuFeature { .. } => "wrong_target",
        PreflightError::AbiMajor { .. } => "abi",
        PreflightError::PanicAbort => "panic_abort",
    }
}

fn read_whole(path: &Path) -> Result<Vec<u8>, String> {
    let (mut file, size) = open_bounded(path)?;
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    file.read_to_end(&mut bytes)
        .map_err(|error| unreadable(&error))?;
    Ok(bytes)
}

fn unreadable(error: &io::Error) -> String {
    format!("cannot be read: {error}")
}

/// With its size in bytes.
fn open_bounded(path: &Path) -> Result<(File, u64), String> {
    let (file, metadata) = open_regular(path)?;
    if metadata.len() > LIBRARY_MAX {
        return Err(format!(
            "has {} bytes, expected at most {LIBRARY_MAX}: build it with `--release` and strip it",
            metadata.len()
        ));
    }
    Ok((file, metadata.len()))
}

/// A link may lead to another name in the same folder, never out of it.
fn check_place(folder: &Path, path: &Path) -> Result<(), Refusal> {
    let refuse = |kind, reason: String| Refusal {
        path: path.to_owned(),
        kind,
        reason,
    };
    let resolve = |path: &Path| {
        path.canonicalize()
            .map_err(|error| refuse(UNREADABLE, format!("cannot be opened: {error}")))
    };
    let target = resolve(path)?;
    let folder = resolve(folder)?;
    if target.parent() == Some(folder.as_path()) {
        return Ok(());
    }
    Err(refuse(
        "outside",
        format!(
            "is a link to {}, expected a file inside {}: copy the library there",
            target.display(),
            folder.display()
        ),
    ))
}

/// Whoever may write the file may run code as this host: that must be its own user or root alone.
fn check_owner(path: &Path) -> Result<(), Refusal> {
    let refuse = |kind, reason: String| Refusal {
        path: path.to_owned(),
        kind,
        reason,
    };
    let own = rustix::process::geteuid().as_raw();
    let folder = path.parent().unwrap_or(Path::new("."));
    for place in [path, folder] {
        let metadata = std::fs::metadata(place).map_err(|error| {
            let reason = format!("{} cannot be read: {error}", place.display());
            refuse(UNREADABLE, reason)
        })?;
        let shown = place.display();
        if metadata.uid() != own && metadata.uid() != 0 {
            return Err(refuse(
                "writable",
                format!(
                    "{shown} belongs to user {}, expected root or the user of this service ({own}): \
                 run `chown {own} {shown}`",
                    metadata.uid()
                ),
            ));
        }
        let others_write = metadata.mode() & 0o002 != 0;
        let group_writes =
            metadata.mode() & 0o020 != 0 && metadata.gid() != rustix::process::getegid().as_raw();
        if others_write || group_writes {
            return Err(refuse(
                "writable",
                format!(
                    "{shown} has mode {:03o}, expected that only its owner may write: run `chmod go-w {shown}`",
                    metadata.mode() & 0o777
                ),
            ));
        }
    }
    Ok(())
}

/// Who may rename the folder puts another one in its place: only where names are protected by the
/// sticky bit, as in /tmp, may everybody write. Whose machine it is may know better.
fn warning_of(folder: &Path) -> Option<String> {
    let real = folder.canonicalize().ok()?;
    let anybody_may = |above: &&Path| {
        let mode = std::fs::metadata(above).map_or(0, |metadata| metadata.mode());
        mode & 0o002 != 0 && mode & 0o1000 == 0
    };
    let above = real.ancestors().skip(1).find(anybody_may)?.display();
    Some(format!(
        "anybody may write in {above}, and so put another folder in the place of {}: run `chmod o-w {above}`",
        folder.display()
    ))
}
