//! Libraries and manifests in their folders, against a whole host: found, checked, loaded, swapped,
//! refused, quarantined, without a restart.

mod harness;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{Delivery, Host, Options, SECRET, place, provider_library, push, target, text};
use serde_json::{Value, json};
use triggerd::clock::Clock;
use triggerd::plugins::load::Loader;
use triggerd::plugins::manifest::Manifest;
use triggerd::plugins::probe::Prober;
use triggerd::plugins::services::{Answer, Egress, NoState, Offered};
use triggerd::plugins::{CallScope, LibraryFile};

const DOCUMENT: &str = "
workspace: default
subscriptions:
- {name: repo, provider: github, manual: {webhook_secret: corpus-secret}}
";

async fn provider(host: &Host, name: &str) -> Option<Value> {
    let list = host.get("/api/v1/providers").await;
    let rows = list["items"].as_array()?;
    rows.iter().find(|row| row["name"] == name).cloned()
}

async fn provider_where(host: &Host, name: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    host.until(&format!("the provider {name} as wanted"), async || {
        provider(host, name).await.filter(|row| is_it(row))
    })
    .await
}

async fn push_status(host: &Host, id: &str) -> u16 {
    let endpoint = host.endpoint("repo").await;
    let body = push("main");
    let delivery = Delivery {
        event: "push",
        id,
        body: &body,
    };
    delivery
        .send(&endpoint, SECRET)
        .await
        .expect("an answer")
        .status()
        .as_u16()
}

/// A shared library of C; `None` sources are a test's own mistake.
fn c_library(folder: &Path, name: &str, source: &str) -> PathBuf {
    let file = folder.join(format!("{name}.c"));
    std::fs::write(&file, source).expect("a source");
    let library = folder.join(name);
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&file)
        .status();
    assert!(built.expect("cc runs").success(), "{name} is built");
    library
}

/// The provider's library with other bytes: a replaced build.
fn another_build(folder: &Path) -> PathBuf {
    let other = folder.join("another-build.so");
    let status = Command::new("objcopy")
        .args(["--strip-debug"])
        .arg(provider_library())
        .arg(&other)
        .status();
    assert!(status.expect("objcopy runs").success());
    other
}

#[tokio::test]
async fn a_dropped_library_is_discovered_enabled_and_serves_without_a_restart() {
    let host = Host::start_with(Options {
        no_plugins: true,
        ..Options::default()
    })
    .await;
    assert_eq!(provider(&host, "github").await, None);
    place(
        &provider_library(),
        &host.path("plugins/libprovider_github.so"),
    );
    let row = provider_where(&host, "github", |row| row["state"] == "discovered").await;
    assert!(
        row["events"]
            .as_array()
            .is_some_and(|events| events.len() == 66)
    );
    let said = host.cli_ok(&["provider", "enable", "github"]);
    assert!(said.contains("github"), "{said}");
    let manifest = std::fs::read_to_string(host.path("manifests/github.yaml")).expect("a manifest");
    assert!(manifest.contains("sha256:"), "{manifest}");
    host.apply(DOCUMENT);
    assert_eq!(push_status(&host, "d-1").await, 200);
}

#[tokio::test]
async fn where_it_is_so_set_a_dropped_library_serves_by_itself_pinned() {
    let host = Host::start_with(Options {
        no_plugins: true,
        variables: vec![("TRIGGERD_AUTO_ENABLE".to_owned(), "true".to_owned())],
        ..Options::default()
    })
    .await;
    place(
        &provider_library(),
        &host.path("plugins/libprovider_github.so"),
    );
    let row = provider_where(&host, "github", |row| row["state"] == "loaded").await;
    let manifest = std::fs::read_to_string(host.path("manifests/github.yaml")).expect("a manifest");
    let digest = row["sha256"].as_str().expect("a digest");
    assert!(manifest.contains(digest), "{manifest}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_whose_call_does_not_come_back_is_named_while_it_lasts() {
    let host = Host::start().await;
    place(
        &target().join("libfixture_plugin.so"),
        &host.path("plugins/fixture.so"),
    );
    std::fs::write(
        host.path("manifests/fixture.yaml"),
        "provider: fixture\nlibrary: fixture.so\nlimits: {dispatch_timeout: 100ms}\n",
    )
    .expect("a manifest");
    provider_where(&host, "fixture", |row| row["state"] == "loaded").await;
    host.apply(&format!(
        "{DOCUMENT}- {{name: odd, provider: fixture, manual: {{}}}}\n"
    ));
    let release = host.path("release");
    let endpoint = format!("{}?until={}", host.endpoint("odd").await, release.display());
    let asked = tokio::spawn(host.client().post(endpoint).send());
    let name = "does not come back";
    host.until("the name of the provider in the log", async || {
        let log = host.log();
        log.lines()
            .any(|line| line.contains(name) && line.contains("fixture"))
            .then_some(())
    })
    .await;
    std::fs::write(&release, "").expect("released");
    asked.await.expect("it ended").expect("an answer");
}

#[tokio::test]
async fn a_replaced_library_is_swapped_and_a_spoilt_one_leaves_it_serving() {
    let host = Host::start().await;
    host.apply(DOCUMENT);
    let first = provider(&host, "github").await.expect("the provider");
    assert_eq!(host.metric("triggerd_plugin_leaked_bytes").await, 0.0);
    let library = host.path("plugins/libprovider_github.so");
    place(&another_build(host.folder.path()), &library);
    let second = provider_where(&host, "github", |row| row["loads"] == 2).await;
    assert_ne!(first["sha256"], second["sha256"]);
    // What was replaced stays in memory, and that is told.
    let size = std::fs::metadata(provider_library())
        .expect("the library")
        .len();
    assert_eq!(
        host.metric("triggerd_plugin_leaked_bytes").await,
        size as f64
    );
    assert_eq!(push_status(&host, "d-1").await, 200);

    let whole = std::fs::read(&library).expect("the library");
    std::fs::write(host.path("half"), &whole[..whole.len() / 2]).expect("half of it");
    place(&host.path("half"), &library);
    let spoilt = provider_where(&host, "github", |row| row["state"] == "refused").await;
    assert_eq!(spoilt["serving"], true);
    assert_eq!(spoilt["problem"], "truncated", "{spoilt}");
    assert_eq!(
        push_status(&host, "d-2").await,
        200,
        "the older load serves"
    );

    std::fs::remove_file(&library).expect("removed");
    provider_where(&host, "github", |row| row["serving"] == false).await;
    assert_eq!(
        push_status(&host, "d-3").await,
        503,
        "a service may send again later"
    );
    place(&provider_library(), &library);
    provider_where(&host, "github", |row| row["state"] == "loaded").await;
    assert_eq!(push_status(&host, "d-4").await, 200);
}

#[tokio::test]
async fn a_disabled_provider_answers_503_until_it_is_enabled_again() {
    let host = Host::start().await;
    host.apply(DOCUMENT);
    host.cli_ok(&["provider", "disable", "github"]);
    assert_eq!(push_status(&host, "d-1").await, 503);
    host.cli_ok(&["provider", "enable", "github"]);
    assert_eq!(push_status(&host, "d-1").await, 200);
}

#[tokio::test]
async fn what_an_operator_did_not_place_is_refused_with_what_to_do() {
    let host = Host::start_with(Options {
        no_manifests: true,
        ..Options::default()
    })
    .await;
    let manifest = host.path("manifests/github.yaml");
    let library = host.path("plugins/libprovider_github.so");
    std::fs::write(
        &manifest,
        format!(
            "provider: github\nlibrary: libprovider_github.so\nsha256: {}\n",
            "0".repeat(64)
        ),
    )
    .expect("a manifest");
    let row = provider_where(&host, "github", |row| row["state"] == "refused").await;
    let message = row["message"].as_str().expect("a sentence");
    assert!(
        message.contains("SHA-256") && message.contains("triggerd provider enable github"),
        "{message}"
    );

    std::fs::write(
        &manifest,
        "provider: github\nlibrary: libprovider_github.so\n",
    )
    .expect("a manifest");
    provider_where(&host, "github", |row| row["state"] == "loaded").await;

    std::fs::set_permissions(&library, PermissionsExt::from_mode(0o777)).expect("a mode");
    let row = provider_where(&host, "github", |row| row["problem"] == "writable").await;
    assert!(
        row["message"]
            .as_str()
            .is_some_and(|message| message.contains("chmod go-w")),
        "{row}"
    );

    std::fs::remove_file(&library).expect("removed");
    symlink(provider_library(), &library).expect("a link");
    let row = provider_where(&host, "github", |row| row["problem"] == "outside").await;
    assert!(
        row["message"]
            .as_str()
            .is_some_and(|message| message.contains("is a link to")),
        "{row}"
    );

    std::fs::write(&manifest, "provider: github\nlibary: x.so\n").expect("a manifest");
    let row = provider_where(&host, "github", |row| row["problem"] == "manifest").await;
    let message = row["message"].as_str().expect("a sentence");
    assert!(
        message.contains("github.yaml")
            && message.contains("line 2")
            && message.contains("`library`"),
        "{message}"
    );
}

/// Sends nothing.
struct Nowhere;

impl Egress for Nowhere {
    fn send(&self, _: Option<std::sync::Arc<CallScope>>, _: Vec<u8>) -> Answer {
        unreachable!("nothing is sent while a library is loaded")
    }
}

#[tokio::test]
async fn a_library_that_is_swapped_after_its_check_is_loaded_as_it_was_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    let (library, cache) = placed(folder.path());
    let loader = loader(&cache);
    let checked = LibraryFile::inspect(&library).expect("a good library");
    let digest = checked.digest;

    let marker = folder.path().join("ran");
    let runs = format!(
        "#include <stdio.h>\n__attribute__((constructor)) static void run(void) {{ fopen(\"{}\", \"w\"); }}",
        marker.display()
    );
    place(&c_library(folder.path(), "evil.so", &runs), &library);
    let manifest = Manifest::pinned("fixture", "fixture.so", &digest.to_string());
    let live = loader.load(checked, None, &manifest).await.expect("loaded");
    assert_eq!(live.digest, digest);
    assert!(!marker.exists(), "what took its place never ran");
    let mode = std::fs::metadata(&cache)
        .expect("the copies")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700, "nobody else reaches the copies");
}

#[tokio::test]
async fn a_library_that_is_written_to_after_its_check_is_not_loaded() {
    let folder = tempfile::tempdir().expect("a folder");
    let (library, cache) = placed(folder.path());
    let loader = loader(&cache);
    let manifest = |digest: String| Manifest::pinned("fixture", "fixture.so", &digest);
    let whole = std::fs::read(&library).expect("it is there");
    let mut another = whole.clone();
    *another.last_mut().expect("a byte") ^= 1;
    for written in [&whole[..whole.len() / 2], b"", &another] {
        std::fs::write(&library, &whole).expect("written");
        let checked = LibraryFile::inspect(&library).expect("a good library");
        let manifest = manifest(checked.digest.to_string());
        std::fs::write(&library, written).expect("written");
        let refused = loader.load(checked, None, &manifest).await;
        let error = refused.err().expect("it is not what was checked");
        assert!(error.may_pass(), "what is whole later is loaded then");
        let said = "was written to while it was read";
        assert!(error.to_string().contains(said), "{error}");
        let copies = std::fs::read_dir(&cache).expect("the copies").count();
        assert_eq!(copies, 0, "half a copy is left");
    }
}

/// A library in a folder of its own, and a place for copies.
fn placed(folder: &Path) -> (PathBuf, PathBuf) {
    let plugins = folder.join("plugins");
    std::fs::create_dir(&plugins).expect("a folder");
    let library = plugins.join("fixture.so");
    place(&target().join("libfixture_plugin.so"), &library);
    (library, folder.join("cache"))
}

fn loader(cache: &Path) -> Loader {
    let offered = Offered {
        egress: std::sync::Arc::new(|_| Box::new(Nowhere)),
        state: std::sync::Arc::new(NoState),
    };
    let prober = Prober::program(env!("CARGO_BIN_EXE_triggerd"));
    Loader::open(cache, prober, Clock::system(), offered, 1 << 20).expect("a loader")
}

#[tokio::test]
async fn a_folder_that_anybody_could_replace_is_warned_of() {
    let host = Host::start_with(Options {
        no_plugins: true,
        ..Options::default()
    })
    .await;
    let library = host.path("plugins/libprovider_github.so");
    // Where only the owner of a name may change it, as in /tmp, it is safe.
    for (mode, is_warned) in [(0o707, true), (0o1707, false)] {
        let mode = PermissionsExt::from_mode(mode);
        std::fs::set_permissions(host.folder.path(), mode).expect("a mode");
        place(&provider_library(), &library);
        provider_where(&host, "github", |row| {
            let said = row["warnings"].to_string().contains("chmod o-w");
            row["state"] == "discovered" && said == is_warned
        })
        .await;
    }
}

#[tokio::test]
async fn libraries_that_are_none_harm_nobody() {
    let host = Host::start().await;
    host.apply(DOCUMENT);
    let folder = host.folder.path();
    place(
        &c_library(folder, "plain.so", "int x;"),
        &host.path("plugins/plain.so"),
    );
    std::fs::write(host.path("plugins/text.so"), "not a library").expect("a file");
    let marker = host.path("ran");
    let runs = format!(
        "#include <stdio.h>\n#include <stdlib.h>\n__attribute__((constructor)) static void run(void) {{ fopen(\"{}\", \"w\"); exit(0); }}",
        marker.display()
    );
    let exiting = c_library(folder, "exiting.so", &runs);
    place(&exiting, &host.path("plugins/exiting.so"));
    for file in ["plain.so", "text.so", "exiting.so"] {
        let row = provider_where(&host, file, |row| row["state"] == "refused").await;
        assert_eq!(row["problem"], "not_a_plugin", "{row}");
    }
    let inspected = host.cli(&["provider", "inspect", exiting.to_str().expect("a path")]);
    assert!(!inspected.status.success());
    assert!(!marker.exists(), "looking at a library runs nothing of it");
    assert_eq!(push_status(&host, "d-1").await, 200);
}

/// A genuine library that needs another one with this constructor, enabled.
fn place_with_constructor(host: &Host, source: &str) {
    let source = format!("__attribute__((constructor)) static void run(void) {{ {source} }}");
    let source = format!("#include <signal.h>\n#include <stdlib.h>\n#include <unistd.h>\n{source}");
    let needed = c_library(host.folder.path(), "libneeded.so", &source);
    let odd = host.path("odd.so");
    let patched = Command::new("patchelf")
        .args(["--add-needed", needed.to_str().expect("a path"), "--output"])
        .arg(&odd)
        .arg(target().join("libfixture_plugin.so"))
        .status();
    assert!(patched.expect("patchelf runs").success());
    place(&odd, &host.path("plugins/odd.so"));
    std::fs::write(
        host.path("manifests/fixture.yaml"),
        "provider: fixture\nlibrary: odd.so\n",
    )
    .expect("a manifest");
}

#[tokio::test]
async fn a_library_that_ends_its_process_while_it_is_loaded_takes_only_the_probe_along() {
    for source in ["exit(7);", "*(volatile int *)8 = 1;", "_exit(71);"] {
        let host = Host::start().await;
        host.apply(DOCUMENT);
        place_with_constructor(&host, source);
        let row = provider_where(&host, "fixture", |row| row["state"] == "refused").await;
        assert_eq!(row["problem"], "crashed", "{source}: {row}");
        assert_eq!(push_status(&host, "d-1").await, 200, "{source}");
    }
}

#[tokio::test]
async fn a_library_whose_loading_does_not_end_is_given_up_and_the_others_serve() {
    let host = Host::start().await;
    host.apply(DOCUMENT);
    place_with_constructor(&host, "for (;;) pause();");
    assert_eq!(push_status(&host, "d-1").await, 200);
    let row = provider_where(&host, "fixture", |row| row["state"] == "refused").await;
    assert_eq!(row["problem"], "hung", "{row}");
    assert_eq!(push_status(&host, "d-2").await, 200);
}

#[tokio::test]
async fn a_host_that_is_to_end_does_not_wait_for_a_probe() {
    let mut host = Host::start().await;
    let begun = host.path("begun");
    let source = format!("for (symlink(\"x\", \"{}\");;) pause();", begun.display());
    place_with_constructor(&host, &source);
    host.until("the probe", async || begun.is_symlink().then_some(()))
        .await;
    assert!(host.terminate());
    let log = host.log();
    assert!(
        !log.contains("panic") && !log.contains("did not end"),
        "{log}"
    );
    let still_runs = || {
        let processes = std::fs::read_dir("/proc").expect("processes").flatten();
        let mut lines = processes.map(|one| std::fs::read(one.path().join("cmdline")));
        let folder = host.folder.path().display().to_string();
        lines.any(|line| line.is_ok_and(|line| String::from_utf8_lossy(&line).contains(&folder)))
    };
    host.until("the probe's end", async || (!still_runs()).then_some(()))
        .await;
}

/// A provider that panics when it is asked to.
async fn place_fixture(host: &Host, more: &str) {
    place(
        &target().join("libfixture_plugin.so"),
        &host.path("plugins/fixture.so"),
    );
    std::fs::write(
        host.path("manifests/fixture.yaml"),
        format!("provider: fixture\nlibrary: fixture.so\n{more}"),
    )
    .expect("a manifest");
    provider_where(host, "fixture", |row| row["state"] == "loaded").await;
}

#[tokio::test]
async fn a_request_that_names_no_endpoint_is_read_by_its_provider_too() {
    let host = Host::start().await;
    place_fixture(&host, "").await;
    let nobody = format!("{}/webhooks/fixture/nobody?panic", host.url);
    let sent = host.client().post(nobody).send().await;
    assert_eq!(sent.expect("an answer").status(), 404);
    host.until("the provider was asked", async || {
        host.log().contains("the provider panicked").then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_is_read_by_its_own_provider_alone() {
    let host = Host::start().await;
    // This one takes whatever it is sent for genuine.
    place_fixture(&host, "").await;
    host.apply(DOCUMENT);
    let endpoint = host.endpoint("repo").await;
    let foreign = endpoint.replace("/webhooks/github/", "/webhooks/fixture/");
    assert_ne!(foreign, endpoint);
    let sent = host.client().post(foreign).body("{}").send().await;
    assert_eq!(sent.expect("an answer").status(), 404);
    assert_eq!(push_status(&host, "d-1").await, 200);
    assert_eq!(host.items("requests").await.len(), 1);
}

#[tokio::test]
async fn more_requests_a_second_than_a_manifest_allows_hear_429() {
    let host = Host::start().await;
    place_fixture(&host, "limits: {rate: 1/s}\n").await;
    host.apply(&format!(
        "{DOCUMENT}- {{name: odd, provider: fixture, manual: {{}}}}\n"
    ));
    let endpoint = host.endpoint("odd").await;
    let refused = host
        .until("a request that comes too early", async || {
            let sent = host.client().post(&endpoint).send().await;
            let answer = sent.expect("an answer");
            (answer.status() == 429).then_some(answer)
        })
        .await;
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(push_status(&host, "d-1").await, 200, "others go on");
}

#[tokio::test]
async fn callers_of_a_route_that_a_provider_proves_hear_429_as_well() {
    let host = Host::start().await;
    place_fixture(&host, "limits: {rate: 1/s}\n").await;
    host.script("echo.sh", "cat");
    host.apply(
        &json!({
            "workspace": "default",
            "runnables": [{"path": "f/t/x", "command": {"argv": ["./echo.sh"]}}],
            "routes": [{"name": "r", "path": "/hooks/r", "runnable": "f/t/x",
                "auth": {"provider": "fixture", "manual": {}}}],
        })
        .to_string(),
    );
    let refused = host
        .until("a call that comes too early", async || {
            let sent = host.client().post(format!("{}/hooks/r", host.url)).send();
            let answer = sent.await.expect("an answer");
            (answer.status() == 429).then_some(answer)
        })
        .await;
    assert_eq!(refused.headers()["retry-after"], "1");
}

#[tokio::test]
async fn five_panics_quarantine_a_provider_and_no_other() {
    let host = Host::start().await;
    place_fixture(&host, "").await;
    host.apply(&format!(
        "{DOCUMENT}- {{name: odd, provider: fixture, manual: {{}}}}\n"
    ));
    let endpoint = format!("{}?panic", host.endpoint("odd").await);
    for _ in 0..5 {
        let answer = host
            .client()
            .post(&endpoint)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 503);
    }
    provider_where(&host, "fixture", |row| row["state"] == "quarantined").await;
    assert_eq!(push_status(&host, "d-1").await, 200);
    host.cli_ok(&["provider", "enable", "fixture"]);
    provider_where(&host, "fixture", |row| row["state"] == "loaded").await;
}

/// Whether deliveries come through again.
async fn serves_again(host: &Host, id: &str) {
    host.until("an accepted delivery", async || {
        (push_status(host, id).await == 200).then_some(())
    })
    .await;
    let row = provider(host, "github").await.expect("its row");
    assert_eq!(
        (&row["state"], &row["serving"]),
        (&json!("loaded"), &json!(true))
    );
}

async fn loaded_count(host: &Host) -> Value {
    host.get("/readyz").await["providers_loaded"].clone()
}

#[tokio::test]
async fn a_manifest_that_was_out_of_sight_for_a_look_is_loaded_again() {
    let host = Host::start().await;
    host.apply(DOCUMENT);
    let (manifest, away) = (host.path("manifests/github.yaml"), host.path("away.yaml"));
    for id in ["d-1", "d-2"] {
        std::fs::rename(&manifest, &away).expect("renamed");
        provider_where(&host, "github", |row| row["serving"] == false).await;
        assert_eq!(loaded_count(&host).await, 0);
        std::fs::rename(&away, &manifest).expect("renamed");
        serves_again(&host, id).await;
        assert_eq!(loaded_count(&host).await, 1);
    }
}

#[tokio::test]
async fn folders_that_cannot_be_looked_at_take_no_provider_away() {
    let host = Host::start().await;
    host.apply(DOCUMENT);
    let told = |what: &str| host.log().matches(what).count();
    let (cannot, can) = ("folder cannot be looked at", "can be looked at again");
    for (index, name) in ["manifests", "plugins"].into_iter().enumerate() {
        let (folder, away) = (host.path(name), host.path("away"));
        std::fs::rename(&folder, &away).expect("renamed");
        // Neither absent nor a folder: looking at it is an error, as without descriptors.
        let _ = std::fs::write(&folder, "");
        host.until("the look that failed", async || {
            (told(cannot) == index + 1).then_some(())
        })
        .await;
        assert_eq!(push_status(&host, &format!("d-{index}")).await, 200);
        std::fs::remove_file(&folder).expect("removed");
        std::fs::rename(&away, &folder).expect("renamed");
        host.until("a look that went well", async || {
            (told(can) == index + 1).then_some(())
        })
        .await;
        assert_eq!(told(cannot), index + 1, "each is told once");
        let row = provider(&host, "github").await.expect("its row");
        assert_eq!(
            (&row["state"], &row["loads"]),
            (&json!("loaded"), &json!(1))
        );
    }
}

#[tokio::test]
async fn as_many_files_may_be_open_as_the_system_allows() {
    let host = Host::start_with(Options {
        descriptors: Some(256),
        ..Options::default()
    })
    .await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", host.pid())).expect("limits");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let numbers: Vec<u64> = line
        .expect("a line")
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let [soft, hard] = numbers[..] else {
        panic!("{limits}");
    };
    assert_eq!(soft, hard.min(65_536));
}

#[tokio::test]
async fn a_pipe_in_a_folder_is_refused_and_holds_up_nobody() {
    let host = Host::start().await;
    host.apply(DOCUMENT);
    let pipes = [
        "manifests/pipe.yaml",
        "plugins/pipe.so",
        "plugins/other.yaml",
    ];
    for pipe in pipes {
        let made = Command::new("mkfifo").arg(host.path(pipe)).status();
        assert!(made.expect("mkfifo runs").success());
    }
    for name in ["pipe", "pipe.so", "other.yaml"] {
        let row = provider_where(&host, name, |row| row["state"] == "refused").await;
        let message = row["message"].as_str().expect("a sentence");
        assert!(message.contains("is not a regular file"), "{message}");
    }
    assert_eq!(push_status(&host, "d-1").await, 200);
    let library = host.path("plugins/pipe.so");
    let inspected = host.cli(&["provider", "inspect", library.to_str().expect("a path")]);
    assert!(!inspected.status.success());
    assert!(text(&inspected.stderr).contains("is not a regular file"));
    // What is listed is told whole, however long it is.
    let listed = host.cli_ok(&["provider", "list"]);
    assert_eq!(
        listed.matches("put the file itself there").count(),
        3,
        "{listed}"
    );
}

#[tokio::test]
async fn a_full_disk_is_not_filled_by_loading_and_when_there_is_room_the_provider_is_loaded() {
    let host = Host::start_with(Options {
        no_manifests: true,
        outlives_file_limit: true,
        ..Options::default()
    })
    .await;
    const ROOM: u64 = 3 << 20;
    let library = std::fs::metadata(provider_library()).expect("the library");
    assert!(library.len() > ROOM, "it does not fit");
    host.limit_files(Some(ROOM));
    std::fs::write(
        host.path("manifests/github.yaml"),
        "provider: github\nlibrary: libprovider_github.so\n",
    )
    .expect("a manifest");
    provider_where(&host, "github", |row| row["problem"] == "copy").await;
    let copies = || {
        let copies = std::fs::read_dir(host.path("data/plugin-cache")).expect("a folder");
        copies.count()
    };
    assert_eq!(copies(), 0, "what did not fit is not kept by halves");
    host.limit_files(None);
    provider_where(&host, "github", |row| row["state"] == "loaded").await;
    assert_eq!(copies(), 1);
}

#[tokio::test]
async fn a_probe_that_was_killed_or_had_no_time_is_tried_again() {
    for (instead, problem) in [("kill(getpid(), SIGKILL);", "killed"), ("pause();", "hung")] {
        let host = Host::start().await;
        let room = host.path("room");
        let source = format!("if (access(\"{}\", F_OK)) {instead}", room.display());
        place_with_constructor(&host, &source);
        provider_where(&host, "fixture", |row| row["problem"] == problem).await;
        std::fs::write(&room, "").expect("written");
        provider_where(&host, "fixture", |row| row["state"] == "loaded").await;
    }
}

const THINGS: &str = "
workspace: default
runnables: [{path: f/t/x, command: {argv: [./echo.sh]}}]
subscriptions: [{name: odd, provider: fixture, manual: {}}]
triggers: [{name: t, subscription: odd, event: thing, runnable: f/t/x}]
";

async fn fixture_with_trigger() -> (Host, String) {
    let host = Host::start().await;
    place_fixture(&host, "config: {name: thing}\n").await;
    host.script("echo.sh", "cat");
    host.apply(THINGS);
    let endpoint = host.endpoint("odd").await;
    (host, endpoint)
}

async fn send(host: &Host, endpoint: &str, body: &'static str) -> u16 {
    let sent = host.client().post(endpoint).body(body).send().await;
    sent.expect("an answer").status().as_u16()
}

async fn event_where(host: &Host, is_it: impl Fn(&Value) -> bool) -> Value {
    host.until("the event as wanted", async || {
        host.items("events")
            .await
            .into_iter()
            .find(|event| is_it(event))
    })
    .await
}

#[tokio::test]
async fn an_event_on_which_a_provider_panics_is_given_up_before_the_provider_is() {
    let (host, endpoint) = fixture_with_trigger().await;
    assert_eq!(send(&host, &endpoint, "poison").await, 200);
    let event = event_where(&host, |event| event["state"] == "failed").await;
    assert!(
        event["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("poison")),
        "{event}"
    );
    assert_eq!(host.log().matches("the provider panicked").count(), 2);
    let row = provider(&host, "fixture").await.expect("its row");
    assert_eq!(row["state"], "loaded");
    assert_eq!(send(&host, &endpoint, "good").await, 200);
    event_where(&host, |event| event["state"] == "handled").await;
}

#[tokio::test]
async fn an_event_of_a_quarantined_provider_waits_and_uses_up_no_try() {
    let (host, endpoint) = fixture_with_trigger().await;
    for _ in 0..4 {
        assert_eq!(send(&host, &format!("{endpoint}?panic"), "").await, 503);
    }
    assert_eq!(send(&host, &endpoint, "poison").await, 200);
    let is_waiting = |event: &Value| {
        let reason = event["reason"].as_str().unwrap_or_default();
        event["state"] == "pending" && reason.contains("quarantined")
    };
    event_where(&host, is_waiting).await;
    let tries = async || {
        let read = sqlx::query_scalar::<_, i64>("select tries from events");
        let database = host.database(None).await;
        read.fetch_one(&database).await.expect("an event")
    };
    assert_eq!(tries().await, 1, "of its panic alone");
    host.cli_ok(&["provider", "enable", "fixture"]);
    event_where(&host, |event| event["state"] == "failed").await;
}

#[tokio::test]
async fn a_provider_without_code_needs_only_its_declaration() {
    let host = Host::start().await;
    place(
        &target().join("libprovider_declared.so"),
        &host.path("plugins/libprovider_declared.so"),
    );
    let declaration = "
identity: {name: acme, author: test, label: Acme, description: Orders}
subscription_schema:
- {name: webhook_secret, type: secret-input, required: true, label: Secret}
events:
- identity: {name: order_paid, label: Order paid}
  description: An order was paid
  parameters:
  - {name: shops, type: array, label: Shops}
  extra: {native: {when: order.paid, filters: [{parameter: shops, at: /shop, op: in}], variables: {order: /id}}}
extra:
  native:
    verify: {scheme: hmac-sha256, header: X-Acme-Signature, encoding: hex, secret: webhook_secret}
    event: {json: /type}
";
    std::fs::write(host.path("plugins/acme.provider.yaml"), declaration).expect("a declaration");
    provider_where(&host, "acme", |row| row["state"] == "discovered").await;
    host.cli_ok(&["provider", "enable", "acme"]);
    host.script("echo.sh", "cat");
    host.apply(
        "
workspace: default
runnables:
- {path: f/t/echo, command: {argv: [./echo.sh]}}
subscriptions:
- {name: shop, provider: acme, manual: {webhook_secret: s3cret-s3cret}}
triggers:
- {name: paid, subscription: shop, event: order_paid, parameters: {shops: [north]}, runnable: f/t/echo}
",
    );
    let endpoint = host.endpoint("shop").await;
    for shop in ["south", "north"] {
        let body = format!("{{\"type\":\"order.paid\",\"id\":7,\"shop\":\"{shop}\"}}");
        let signed = harness::signature("s3cret-s3cret", body.as_bytes());
        let request = host
            .client()
            .post(&endpoint)
            .header("X-Acme-Signature", signed.trim_start_matches("sha256="));
        assert_eq!(
            request.body(body).send().await.expect("an answer").status(),
            200
        );
    }
    let job = host.item("jobs", |job| job["state"] == "done").await;
    assert_eq!(job["result"], json!({"order": 7}));
    assert_eq!(host.items("jobs").await.len(), 1);
}

#[tokio::test]
async fn a_token_in_the_query_of_a_challenge_is_logged_by_nobody() {
    let host = Host::start().await;
    place(
        &target().join("libprovider_declared.so"),
        &host.path("plugins/libprovider_declared.so"),
    );
    let declaration = "
identity: {name: acme, author: test, label: Acme, description: Orders}
subscription_schema:
- {name: webhook_secret, type: secret-input, required: true, label: Secret}
- {name: verify_token, type: secret-input, required: true, label: Token}
extra:
  native:
    verify: {scheme: hmac-sha256, header: X-Acme-Signature}
    event: {json: /type}
    challenge:
      method: get
      when: {query: hub.mode, value: subscribe}
      token: {query: hub.verify_token, secret: verify_token}
      answer: {query: hub.challenge}
";
    std::fs::write(host.path("plugins/acme.provider.yaml"), declaration).expect("a declaration");
    provider_where(&host, "acme", |row| row["state"] == "discovered").await;
    host.cli_ok(&["provider", "enable", "acme"]);
    host.apply(
        "
workspace: default
subscriptions:
- {name: shop, provider: acme, manual: {webhook_secret: s3cret-s3cret, verify_token: canary-5d21}}
",
    );
    let endpoint = host.endpoint("shop").await;
    for (token, status) in [("canary-5d21", 200), ("canary-5d21-almost", 401)] {
        let query = format!("hub.mode=subscribe&hub%2Everify_token={token}&hub.challenge=115");
        let asked = host.client().get(format!("{endpoint}?{query}")).send();
        assert_eq!(asked.await.expect("an answer").status(), status);
    }
    host.until("both requests in the log", async || {
        let rows = host.items("requests").await;
        let shown = Value::from(rows.clone()).to_string();
        assert!(!shown.contains("canary"), "{shown}");
        (rows.len() == 2 && shown.contains("hub.challenge=115")).then_some(())
    })
    .await;
    assert!(!host.log().contains("canary"));
}

#[tokio::test]
async fn check_names_every_problem_and_runs_nothing() {
    let host = Host::start().await;
    std::fs::write(
        host.path("manifests/acme.yaml"),
        "provider: acme\nlibrary: gone.so\n",
    )
    .expect("a manifest");
    std::fs::write(host.path("manifests/nobody.yaml"), "library: gone.so\n").expect("a manifest");
    let (plugins, manifests) = (host.path("plugins"), host.path("manifests"));
    let check = [
        "check",
        "--plugins",
        plugins.to_str().expect("a path"),
        "--manifests",
        manifests.to_str().expect("a path"),
    ];
    let output = host.cli(&check);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("gone.so") && said.contains("ok       manifest github.yaml"),
        "{said}"
    );
    assert!(
        said.contains("nobody.yaml: line 1: missing field `provider`"),
        "{said}"
    );
    let output = host.cli(&[&check[..], &["--json"]].concat());
    assert_eq!(output.status.code(), Some(1));
    let document: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    let state = |name: &str| {
        let items = document["items"].as_array().expect("a list");
        let item = items.iter().find(|item| item["name"] == name);
        item.expect(name)["state"].clone()
    };
    assert_eq!(state("github.yaml"), "ok");
    assert_eq!(
        (state("acme.yaml"), state("nobody.yaml")),
        ("problem".into(), "problem".into())
    );
    // What the server would refuse to start with.
    for (name, value, expected) in [
        (
            "TRIGGERD_LOG_FILTER",
            "%%bad%%",
            "log.filter: found `%%bad%%`, expected",
        ),
        (
            "TRIGGERD_KEY",
            "abc",
            "TRIGGERD_KEY: expected lines of `KEY_ID:`",
        ),
        ("TRIGGERD_RETENTION_STEP", "0", "expected 1 to 100000"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_triggerd"));
        let output = command.args(check).env(name, value).output();
        let output = output.expect("it runs");
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(
            !output.status.success() && said.contains(expected),
            "{said}"
        );
    }
}

#[tokio::test]
async fn check_reads_the_declarations_that_manifests_name() {
    let host = Host::start().await;
    let generic = host.path("plugins/libprovider_declared.so");
    place(&target().join("libprovider_declared.so"), &generic);
    let declaration = |name: &str| {
        format!(
            "identity: {{name: {name}, author: test, label: Acme, description: Orders}}\n\
             subscription_schema:\n\
             - {{name: webhook_secret, type: secret-input, required: true, label: Secret}}\n\
             extra: {{native: {{event: {{json: /type}}, verify: {{scheme: hmac-sha256, \
             header: X-Acme-Signature, encoding: hex, secret: webhook_secret}}}}}}\n"
        )
    };
    let pin = "0".repeat(64);
    for (name, text, pinned) in [
        ("well", declaration("well"), None),
        ("pinned", declaration("pinned"), Some(&pin)),
        ("other", declaration("acme"), None),
        ("spoilt", "identity: [spoilt]\n".to_owned(), None),
    ] {
        let file = format!("{name}.provider.yaml");
        std::fs::write(host.path(&format!("plugins/{file}")), text).expect("a declaration");
        let pinned = pinned
            .map(|pin| format!("sha256: {pin}\n"))
            .unwrap_or_default();
        let manifest = format!("provider: {name}\ndeclaration: {file}\n{pinned}");
        let path = host.path(&format!("manifests/{name}.yaml"));
        std::fs::write(path, manifest).expect("a manifest");
    }
    std::fs::write(host.path("plugins/free.yaml"), declaration("free")).expect("a declaration");
    let (plugins, manifests) = (host.path("plugins"), host.path("manifests"));
    let [plugins, manifests] = [&plugins, &manifests].map(|path| path.to_str().expect("a path"));
    let check = [
        "check",
        "--json",
        "--plugins",
        plugins,
        "--manifests",
        manifests,
    ];
    let output = host.cli(&check);
    let document: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    let said = |name: &str| {
        let items = document["items"].as_array().expect("a list");
        let item = items.iter().find(|item| item["name"] == name);
        let item = item.unwrap_or_else(|| panic!("{name}: {document}"));
        format!("{}{}{}", item["state"], item["problem"], item["note"])
    };
    assert_eq!(said("well.yaml"), "\"ok\"nullnull");
    for (name, part) in [
        ("pinned.yaml", "but the manifest pins 0000"),
        (
            "other.yaml",
            "declares the provider `acme`, but the manifest is for `other`",
        ),
        ("spoilt.yaml", "spoilt.provider.yaml:1"),
        ("free.yaml", "provider free, no manifest names it"),
        ("libprovider_declared.so", "runs declarations without code"),
    ] {
        assert!(said(name).contains(part), "{name}: {}", said(name));
    }
    std::fs::remove_file(generic).expect("removed");
    let output = host.cli(&check);
    let said = text(&output.stdout);
    assert!(
        said.contains("libprovider_declared.so: cannot be opened"),
        "{said}"
    );
}

/// Copying a provider's folder and renaming it is all that a second provider takes.
#[tokio::test]
async fn a_copied_provider_builds_and_serves_without_touching_another_file() {
    let host = Host::start().await;
    let root = harness::root();
    let workspace = host.path("workspace");
    std::fs::create_dir(&workspace).expect("a folder");
    let parts = [
        "Cargo.toml",
        "Cargo.lock",
        "plugin-api",
        "plugins",
        "host",
        "migrations",
        "examples",
    ];
    let copied = Command::new("cp")
        .arg("-r")
        .args(parts.map(|name| root.join(name)))
        .arg(&workspace)
        .status();
    assert!(copied.expect("cp runs").success());
    let from = workspace.join("plugins/github");
    let to = workspace.join("plugins/second");
    assert!(
        Command::new("cp")
            .arg("-r")
            .args([&from, &to])
            .status()
            .expect("cp runs")
            .success()
    );
    for (file, old, new) in [
        ("Cargo.toml", "provider-github", "provider-second"),
        ("Cargo.toml", "provider_github", "provider_second"),
        ("provider.yaml", "name: github", "name: second"),
    ] {
        let path = to.join(file);
        let renamed = std::fs::read_to_string(&path)
            .expect("a file")
            .replace(old, new);
        std::fs::write(&path, renamed).expect("renamed");
    }
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--offline",
            "-p",
            "provider-second",
            "--target-dir",
        ])
        .arg(target().parent().expect("the target folder"))
        .current_dir(&workspace)
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "{}", text(&built.stderr));
    let library = target().join("libprovider_second.so");
    place(&library, &host.path("plugins/libprovider_second.so"));
    provider_where(&host, "second", |row| row["state"] == "discovered").await;
    host.cli_ok(&["provider", "enable", "second"]);
    host.apply(&DOCUMENT.replace("provider: github", "provider: second"));
    assert_eq!(push_status(&host, "d-1").await, 200);
}
