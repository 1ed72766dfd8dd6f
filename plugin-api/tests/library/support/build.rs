//! Libraries for tests: found where cargo puts them, built when they are not there or too old.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// The provider that misbehaves as it is asked to.
pub fn fixture_library() -> PathBuf {
    let library = profile_dir().join("libfixture_plugin.so");
    let _lock = build_lock("fixture-plugin");
    if modified(&library) < newest_source(&repository().join("plugin-api")) {
        let profile = match profile_dir().file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev".to_owned(),
            Some(name) => name.to_owned(),
        };
        let built = Command::new(env!("CARGO"))
            .current_dir(repository())
            .args([
                "build",
                "--quiet",
                "--offline",
                "--package",
                "fixture-plugin",
            ])
            .args(["--profile", &profile, "--target-dir"])
            .arg(
                profile_dir()
                    .parent()
                    .expect("a profile's folder lies in the target folder"),
            )
            .status()
            .expect("cargo runs");
        assert!(built.success(), "the fixture plugin does not build");
        // Cargo leaves a library alone that needs no new build; its time is when we last asked.
        let library = File::options()
            .append(true)
            .open(&library)
            .expect("cargo built it");
        library
            .set_modified(SystemTime::now())
            .expect("the library is ours");
    }
    library
}

/// A shared library from C, linked with these arguments.
pub fn compile_c(dir: &Path, name: &str, source: &str, arguments: &[&str]) -> PathBuf {
    let (source_path, library) = (
        dir.join(format!("{name}.c")),
        dir.join(format!("{name}.so")),
    );
    fs::write(&source_path, source).expect("the folder is ours");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source_path])
        .args(arguments)
        .status()
        .expect("a C compiler is installed");
    assert!(compiled.success(), "{name}.c does not compile");
    library
}

/// `target/debug` or whatever profile this test was built with.
pub fn profile_dir() -> PathBuf {
    let test = std::env::current_exe().expect("this test has a path");
    let deps = test.parent().expect("a test lies in a folder");
    deps.parent().expect("tests lie in deps").to_owned()
}

/// The workspace's folder.
pub fn repository() -> PathBuf {
    let plugin_api = Path::new(env!("CARGO_MANIFEST_DIR"));
    plugin_api
        .parent()
        .expect("plugin-api lies in the workspace")
        .to_owned()
}

/// One test at a time builds; held until it is dropped.
pub fn build_lock(name: &str) -> File {
    let lock = File::create(profile_dir().join(format!("{name}.test-lock")))
        .expect("the target folder is ours");
    lock.lock().expect("files can be locked");
    lock
}

fn newest_source(dir: &Path) -> SystemTime {
    let entries = fs::read_dir(dir).expect("the sources are there");
    let times = entries.map(|entry| {
        let path = entry.expect("the sources can be listed").path();
        match path.is_dir() {
            true => newest_source(&path),
            false => modified(&path),
        }
    });
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

fn modified(path: &Path) -> SystemTime {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.unwrap_or(SystemTime::UNIX_EPOCH)
}
