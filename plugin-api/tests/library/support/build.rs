//! Libraries for tests: found where cargo puts them, built when they are not there or too old.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::SystemTime;

/// The provider that misbehaves as it is asked to.
pub fn fixture_library() -> PathBuf {
    let library = profile_dir().join("libfixture_plugin.so");
    build_when_older(&library, "fixture-plugin", || {
        let profile = match profile_dir().file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev".to_owned(),
            Some(name) => name.to_owned(),
        };
        Command::new(env!("CARGO"))
            .current_dir(repository())
            .args([
                "build",
                "--quiet",
                "--offline",
                "--package",
                "fixture-plugin",
            ])
            .args(["--profile", &profile, "--target-dir"])
            .arg(target_dir())
            .status()
    });
    library
}

/// The folder in which `fixtures/next/build.sh` leaves hosts and libraries of two versions.
pub fn versions_dir() -> PathBuf {
    let out = target_dir().join("abi-next");
    fs::create_dir_all(&out).expect("the target folder is ours");
    build_when_older(&out.join("done"), "abi-next", || {
        Command::new("sh")
            .arg(repository().join("plugin-api/tests/fixtures/next/build.sh"))
            .args([&repository(), &out])
            .env("CARGO", env!("CARGO"))
            .status()
    });
    out
}

/// Builds what is not there or older than its sources. One test at a time.
fn build_when_older(built: &Path, name: &str, build: impl FnOnce() -> io::Result<ExitStatus>) {
    let lock = File::create(target_dir().join(format!("{name}.test-lock")))
        .expect("the target folder is ours");
    lock.lock().expect("files can be locked");
    let sources = ["abi", "build", "src", "tests/fixtures"]
        .map(|part| newest_source(&repository().join("plugin-api").join(part)));
    let sources = sources
        .into_iter()
        .max()
        .expect("invariant: there are four parts");
    if modified(built) < sources {
        let status = build().expect("the build can be started");
        assert!(status.success(), "{name} does not build");
        // Cargo leaves alone what needs no new build; its time is that of what it was built from.
        let built = File::options()
            .append(true)
            .open(built)
            .expect("it was built");
        built.set_modified(sources).expect("it is ours");
    }
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
fn profile_dir() -> PathBuf {
    let test = std::env::current_exe().expect("this test has a path");
    let deps = test.parent().expect("a test lies in a folder");
    deps.parent().expect("tests lie in deps").to_owned()
}

fn target_dir() -> PathBuf {
    profile_dir()
        .parent()
        .expect("a profile's folder lies in the target folder")
        .to_owned()
}

/// The workspace's folder.
fn repository() -> PathBuf {
    let plugin_api = Path::new(env!("CARGO_MANIFEST_DIR"));
    plugin_api
        .parent()
        .expect("plugin-api lies in the workspace")
        .to_owned()
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
