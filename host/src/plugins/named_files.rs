//! The files that a manifest names, held against it.

use std::path::Path;

use super::library_file::{DeclarationFile, LibraryFile, Refusal};
use super::manifest::Manifest;

/// Reads what an enabled manifest needs from the plugins folder and checks it, running nothing.
pub fn check_files_of(manifest: &Manifest, plugins: &Path) -> Result<(), Refusal> {
    let library = LibraryFile::read(plugins, manifest.library_file())?;
    let declaration = manifest.declaration.as_ref();
    let declaration = declaration.map(|file| DeclarationFile::read(plugins, file));
    check_named(manifest, &library, declaration.transpose()?.as_ref())
}

/// Whether these are the files that the operator meant: the pinned ones, and of this provider.
/// `declaration` stands in for the embedded one.
pub(super) fn check_named(
    manifest: &Manifest,
    library: &LibraryFile,
    declaration: Option<&DeclarationFile>,
) -> Result<(), Refusal> {
    if let Some(pin) = &manifest.sha256 {
        match declaration {
            Some(file) => file.check_pin(pin)?,
            None => library.check_pin(pin)?,
        }
    }
    let (path, declared) = match declaration {
        Some(file) => (&file.path, &file.declaration.identity.name),
        None => (&library.path, &library.declaration.identity.name),
    };
    if *declared == manifest.provider {
        return Ok(());
    }
    Err(Refusal {
        path: path.clone(),
        kind: "name",
        reason: format!(
            "declares the provider `{declared}`, but the manifest is for `{}`: name the manifest {declared}.yaml",
            manifest.provider
        ),
    })
}
