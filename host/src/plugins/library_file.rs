//! A library on disk before anything of it runs: owner, mode, links, digest, ELF section.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
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

/// What a library says of itself, read without running it.
pub struct LibraryFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Every byte, read once: what is checked is what is loaded.
    pub bytes: Vec<u8>,
    /// Of `bytes`.
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
        let bytes = read_whole(path).map_err(|error| refuse(UNREADABLE, error))?;
        let section = preflight(&bytes).map_err(|error| refuse(kind(&error), error.to_string()))?;
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
            digest: Digest::of(&bytes),
            bytes,
            section,
            declaration: loaded.declaration,
            warnings: loaded.warnings.iter().map(ToString::to_string).collect(),
        })
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
    let (mut file, metadata) = open_regular(path)?;
    if metadata.len() > LIBRARY_MAX {
        return Err(format!(
            "has {} bytes, expected at most {LIBRARY_MAX}: build it with `--release` and strip it",
            metadata.len()
        ));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    file.read_to_end(&mut bytes)
        .map_err(|error| format!("cannot be read: {error}"))?;
    Ok(bytes)
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
