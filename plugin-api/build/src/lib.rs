//! Build script of a provider: packs its declaration for embedding.
//!
//! All that a provider's `build.rs` does is to call [`declare`] in its `main`.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

/// Packs `provider.yaml`, `events/*.yaml` and `samples/**` into `$OUT_DIR/declaration.bundle`, and
/// tells the compiler what the library says of how it was built. Ends the build with one line on
/// stderr when a file is missing or cannot be read.
pub fn declare() {
    if let Err(message) = pack_declaration() {
        eprintln!("error: {message}");
        exit(1);
    }
}

fn pack_declaration() -> Result<(), String> {
    let crate_dir = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let bundle = encode(&declaration_files(&crate_dir)?)?;
    let out = Path::new(&variable("OUT_DIR")?).join("declaration.bundle");
    fs::write(&out, bundle).map_err(|error| format!("cannot write {}: {error}", out.display()))?;

    for watched in ["provider.yaml", "events", "samples"] {
        // A path that is not there would count as changed at every build.
        let watched = match crate_dir.join(watched).exists() {
            true => watched,
            false => ".",
        };
        println!("cargo::rerun-if-changed={watched}");
    }
    println!("cargo::rustc-env=TRIGGER_PLUGIN_COMPILER={}", compiler()?);
    println!(
        "cargo::rustc-env=TRIGGER_PLUGIN_TARGET={}",
        variable("TARGET")?
    );
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    println!("cargo::rustc-env=TRIGGER_PLUGIN_CPU_FEATURES={features}");
    Ok(())
}

/// The declaration's files by path, sorted, so that the same files give the same library.
fn declaration_files(crate_dir: &Path) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut files = Vec::new();
    let provider = crate_dir.join("provider.yaml");
    files.push(("provider.yaml".to_owned(), read(&provider)?));
    collect(crate_dir, "events", &mut files)?;
    files.retain(|(path, _)| path == "provider.yaml" || path.ends_with(".yaml"));
    collect(crate_dir, "samples", &mut files)?;
    files.sort();
    Ok(files)
}

fn collect(
    crate_dir: &Path,
    folder: &str,
    files: &mut Vec<(String, Vec<u8>)>,
) -> Result<(), String> {
    let dir = crate_dir.join(folder);
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("cannot list {}: {error}", dir.display())),
    };
    for entry in entries {
        let entry = entry.map_err(|error| format!("cannot list {}: {error}", dir.display()))?;
        let name = entry.file_name().into_string().map_err(|name| {
            format!(
                "{} holds a file whose name is not UTF-8: {name:?}",
                dir.display()
            )
        })?;
        let path = format!("{folder}/{name}");
        match entry.path().is_dir() {
            true => collect(crate_dir, &path, files)?,
            false => files.push((path, read(&entry.path())?)),
        }
    }
    Ok(())
}

/// The format is described in `trigger_plugin_abi::bundle`.
fn encode(files: &[(String, Vec<u8>)]) -> Result<Vec<u8>, String> {
    let mut bundle = b"TPB1".to_vec();
    bundle.extend(length("the declaration", files.len())?);
    for (path, bytes) in files {
        bundle.extend(length(path, path.len())?);
        bundle.extend(path.as_bytes());
        bundle.extend(length(path, bytes.len())?);
        bundle.extend(bytes);
    }
    Ok(bundle)
}

fn length(what: &str, length: usize) -> Result<[u8; 4], String> {
    let length = u32::try_from(length).map_err(|_| format!("{what} is over 4 GiB long"))?;
    Ok(length.to_le_bytes())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| {
        format!(
            "cannot read {}: {error}; a provider has a provider.yaml beside its Cargo.toml",
            path.display()
        )
    })
}

fn compiler() -> Result<String, String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let output = Command::new(rustc)
        .arg("--version")
        .output()
        .map_err(|error| format!("cannot ask the compiler for its version: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set: this runs in a build script alone"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_its_magic_its_count_and_its_files_by_length() {
        let files = [("a.yaml".to_owned(), b"xyz".to_vec())];
        let expected = b"TPB1\x01\0\0\0\x06\0\0\0a.yaml\x03\0\0\0xyz".to_vec();
        assert_eq!(encode(&files), Ok(expected));
    }

    #[test]
    fn a_provider_without_a_declaration_is_told_which_file_is_missing() {
        let missing = declaration_files(Path::new("/nonexistent")).expect_err("there is no file");
        assert!(
            missing.starts_with("cannot read /nonexistent/provider.yaml"),
            "{missing}"
        );
    }
}
