//! Starts the server and ends it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::background::{Background, Next};
use super::egress::ProviderEgress;
use super::providers::RegistryProviders;
use super::{executor, http, logging, retention};
use crate::api::{self, ApiState, ApiStateParts, Changed};
use crate::clock::{Clock, Millis};
use crate::config::server_file::ServerFile;
use crate::config::{Config, reachable};
use crate::events::Matching;
use crate::ingress::{self, Ingress};
use crate::jobs::{Executor, ExecutorConfig, ExecutorParts};
use crate::metrics::Metrics;
use crate::model::JobState;
use crate::outbound::{Outbound, OutboundConfig};
use crate::plugins::load::Loader;
use crate::plugins::probe::Prober;
use crate::plugins::services::{NoState, Offered, Reach};
use crate::plugins::{Folders, Registry};
use crate::runnables::{CommandDirs, Runner};
use crate::seal::{KEY_VARIABLE, KeyRing};
use crate::store::{DatabaseConfig, Store};
use crate::tokens::Tokens;

/// Folders are looked at this often.
const FOLDERS_EVERY: Duration = Duration::from_secs(1);
/// Events are looked for at least this often, whether or not somebody said that there are any.
const EVENTS_EVERY: Duration = Duration::from_secs(1);
/// Waiting jobs are counted this often, for the metrics.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// When tokens were last used is noted this often.
const TOKENS_EVERY: Duration = Duration::from_secs(30);

/// Why the server did not start, or did not end well. Says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct StartError {
    what: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StartError {
    fn of(
        what: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> StartError {
        StartError {
            what: what.into(),
            source: Some(Box::new(source)),
        }
    }
}

/// What the background works with.
struct Parts {
    store: Store,
    registry: Registry,
    clock: Clock,
    metrics: Arc<Metrics>,
    tokens: Arc<Tokens>,
    events_wake: Arc<Notify>,
    jobs_wake: Arc<Notify>,
}

/// Serves until SIGTERM or SIGINT.
pub async fn serve(config: Config) -> Result<(), StartError> {
    logging::start(&config.log).map_err(|what| StartError { what, source: None })?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let clock = Clock::system();
    make_folders(&config)?;
    let data = &config.server.data;
    let variable = std::env::var(KEY_VARIABLE).ok();
    let keys = KeyRing::load(data, variable.as_deref())
        .map_err(|error| StartError::of("the keys that seal secrets cannot be used", error))?;
    let database = DatabaseConfig {
        connections_max: config.server.database_connections,
        ..DatabaseConfig::new(config.database_url().expose())
    };
    let store = Store::open(database, keys, clock.clone())
        .await
        .map_err(|error| StartError::of("the database cannot be opened", error))?;
    store
        .ensure_workspace("default")
        .await
        .map_err(|error| StartError::of("the database cannot be written", error))?;
    let tokens = Arc::new(Tokens::new(store.clone(), clock.clone()));
    let token_file = config.admin_token_file();
    let first = tokens
        .create_first_admin(&token_file)
        .await
        .map_err(|error| StartError::of("the first token cannot be made", error))?;

    let outbound = Outbound::open(&OutboundConfig {
        proxy: config.egress.proxy.clone(),
    })
    .map_err(|error| StartError::of("the HTTP client cannot be made", error))?;
    let metrics = Arc::new(Metrics::default());
    let registry = open_registry(&config, &clock, &outbound, &metrics)?;
    let runner = Runner::new(
        CommandDirs::new(config.runnables.command_dirs.clone()),
        outbound,
        clock.clone(),
    );
    let parts = Parts {
        store: store.clone(),
        registry: registry.clone(),
        clock: clock.clone(),
        metrics,
        tokens: Arc::clone(&tokens),
        events_wake: Arc::new(Notify::new()),
        jobs_wake: Arc::new(Notify::new()),
    };
    registry.tick().await;

    let listener = TcpListener::bind(config.server.listen)
        .await
        .map_err(|error| {
            StartError::of(format!("cannot listen on {}", config.server.listen), error)
        })?;
    let bound = listener
        .local_addr()
        .map_err(|error| StartError::of("the address is not known", error))?;
    let public = config.public_base(bound);
    let stop = CancellationToken::new();
    let background = Background::new(stop.clone());
    start_background(&parts, &background, &config);
    let owner = executor::host_id(data, &clock)
        .map_err(|error| StartError::of("the data folder cannot be used", error))?;
    let executor = Executor::new(ExecutorParts {
        store: store.clone(),
        runner: runner.clone(),
        clock: clock.clone(),
        owner,
        metrics: Arc::clone(&parts.metrics),
        wake: Arc::clone(&parts.jobs_wake),
        config: ExecutorConfig {
            running_max: config.runnables.running_max,
            lease: config.runnables.lease,
        },
    });
    executor::start(&executor, &parts.jobs_wake, &background)
        .await
        .map_err(|error| StartError::of("jobs of an earlier run cannot be taken back", error))?;
    let router = router(&parts, &config, &runner, &public);

    let local = format!("http://{}", reachable(bound));
    let server_file = ServerFile {
        url: local.clone(),
        admin_token_file: absolute(&token_file),
        pid: std::process::id(),
    };
    server_file
        .write(data)
        .map_err(|error| StartError::of("the data folder cannot be written", error))?;
    greet(
        &local,
        &token_file,
        first.as_ref().map(crate::tokens::TokenText::expose),
    );
    tracing::info!(address = %bound, "the server is ready");

    let ended = CancellationToken::new();
    let signals = tokio::spawn(wait_for_signal(ended.clone()));
    http::serve_http(listener, router, ended, config.server.drain).await;
    tracing::info!(
        "the server stops: running jobs are given {} s to end",
        config.server.drain.as_secs()
    );
    stop.cancel();
    executor.drain(config.server.drain).await;
    background.ended().await;
    if let Err(error) = tokens.note_uses().await {
        tracing::debug!(%error, "the last uses of tokens were not noted");
    }
    store.close().await;
    server_file.remove(data);
    signals.abort();
    Ok(())
}

fn make_folders(config: &Config) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt as _;

    let make = |path: &Path, mode: u32| {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(path)
            .map_err(|error| {
                StartError::of(
                    format!("the folder {} cannot be made", path.display()),
                    error,
                )
            })
    };
    make(&config.server.data, 0o700)?;
    make(&config.plugins_dir(), 0o755)?;
    make(&config.manifests_dir(), 0o755)
}

fn open_registry(
    config: &Config,
    clock: &Clock,
    outbound: &Outbound,
    metrics: &Arc<Metrics>,
) -> Result<Registry, StartError> {
    let folders = Folders {
        plugins: config.plugins_dir(),
        manifests: config.manifests_dir(),
    };
    let prober = Prober::this_program()
        .map_err(|error| StartError::of("this program cannot be found again", error))?;
    let outbound = outbound.clone();
    let egress = Arc::new(move |reach: &Reach| {
        Box::new(ProviderEgress::new(outbound.clone(), reach))
            as Box<dyn crate::plugins::services::Egress>
    });
    let cache = config.server.data.join("plugin-cache");
    let body_max = usize::try_from(config.limits.body_max).unwrap_or(usize::MAX);
    let offered = Offered {
        egress,
        state: Arc::new(NoState),
    };
    let loader = Loader::open(&cache, prober, clock.clone(), offered, body_max)
        .map_err(|error| StartError::of("the plugin cache cannot be made", error))?;
    Ok(Registry::new(
        folders,
        config.server.auto_enable,
        loader,
        clock.clone(),
        Arc::clone(metrics),
    ))
}

fn start_background(parts: &Parts, background: &Background, config: &Config) {
    let registry = parts.registry.clone();
    background.run(Arc::new(Notify::new()), move || {
        let registry = registry.clone();
        async move {
            tokio::select! {
                () = registry.woken() => {}
                () = tokio::time::sleep(FOLDERS_EVERY) => {}
            }
            registry.tick().await;
            Next::AtOnce
        }
    });
    start_matching(parts, background);
    let (store, clock, settings) = (
        parts.store.clone(),
        parts.clock.clone(),
        config.retention.clone(),
    );
    background.run(Arc::new(Notify::new()), move || {
        let (store, clock, settings) = (store.clone(), clock.clone(), settings.clone());
        async move {
            match retention::trim(&store, &settings, &clock).await {
                Ok(removed) if removed > 0 => tracing::info!(removed, "old rows were removed"),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "old rows could not be removed"),
            }
            Next::After(settings.every)
        }
    });
    let (store, metrics) = (parts.store.clone(), Arc::clone(&parts.metrics));
    background.run(Arc::new(Notify::new()), move || {
        let (store, metrics) = (store.clone(), Arc::clone(&metrics));
        async move {
            if let Ok(waiting) = store.count_jobs(JobState::Ready).await {
                metrics
                    .jobs_ready
                    .set(i64::try_from(waiting).unwrap_or(i64::MAX));
            }
            Next::After(COUNT_EVERY)
        }
    });
    let tokens = Arc::clone(&parts.tokens);
    background.run(Arc::new(Notify::new()), move || {
        let tokens = Arc::clone(&tokens);
        async move {
            if let Err(error) = tokens.note_uses().await {
                tracing::debug!(%error, "the uses of tokens could not be noted");
            }
            Next::After(TOKENS_EVERY)
        }
    });
}

fn start_matching(parts: &Parts, background: &Background) {
    let matching = Arc::new(Matching::new(
        parts.store.clone(),
        parts.registry.clone(),
        parts.clock.clone(),
    ));
    let (clock, metrics, jobs_wake) = (
        parts.clock.clone(),
        Arc::clone(&parts.metrics),
        Arc::clone(&parts.jobs_wake),
    );
    background.run(Arc::clone(&parts.events_wake), move || {
        let (matching, clock) = (Arc::clone(&matching), clock.clone());
        let (metrics, jobs_wake) = (Arc::clone(&metrics), Arc::clone(&jobs_wake));
        async move {
            match matching.tick().await {
                Ok(matched) => {
                    metrics.events_handled.add("matched", matched.fired as u64);
                    metrics
                        .events_handled
                        .add("unmatched", matched.unmatched as u64);
                    metrics.events_handled.add("failed", matched.failed as u64);
                    metrics.jobs.add("event", matched.jobs as u64);
                    if matched.jobs > 0 {
                        jobs_wake.notify_one();
                    }
                    match matched.more {
                        true => Next::AtOnce,
                        false => {
                            Next::After(until(matching.next_due().await.ok().flatten(), &clock))
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "events could not be matched");
                    Next::After(super::STORE_PAUSE)
                }
            }
        }
    });
}

fn until(due: Option<Millis>, clock: &Clock) -> Duration {
    due.map_or(EVENTS_EVERY, |due| due.since(clock.now()).min(EVENTS_EVERY))
}

fn router(parts: &Parts, config: &Config, runner: &Runner, public: &str) -> axum::Router {
    let ingress = Arc::new(Ingress::new(ingress::Parts {
        registry: parts.registry.clone(),
        store: parts.store.clone(),
        clock: parts.clock.clone(),
        public_url: public.to_owned(),
        metrics: Arc::clone(&parts.metrics),
        events_wake: Arc::clone(&parts.events_wake),
        in_flight_max: config.limits.webhooks_in_flight as usize,
        read_timeout: config.limits.read_timeout,
    }));
    let (jobs_wake, changed) = (Arc::clone(&parts.jobs_wake), Arc::clone(&ingress));
    let state = ApiState::new(ApiStateParts {
        store: parts.store.clone(),
        tokens: Arc::clone(&parts.tokens),
        providers: Arc::new(RegistryProviders {
            registry: parts.registry.clone(),
            runner: runner.clone(),
            clock: parts.clock.clone(),
        }),
        clock: parts.clock.clone(),
        metrics: Arc::clone(&parts.metrics),
        public_base: public.to_owned(),
        body_max: usize::try_from(config.limits.api_body_max).unwrap_or(usize::MAX),
        read_timeout: config.limits.read_timeout,
        in_flight_max: config.limits.api_in_flight as usize,
        on_change: Arc::new(move |change| {
            if matches!(change, Changed::Objects(_)) {
                changed.forget_opened();
            }
            jobs_wake.notify_one();
        }),
    });
    ingress::router(ingress).merge(api::router(state))
}

/// Where it is, and the token: shown once, like every token.
fn greet(url: &str, token_file: &Path, first_token: Option<&str>) {
    println!("triggerd serves on {url}");
    match first_token {
        Some(token) => println!(
            "first admin token (shown once, kept in {}): {token}",
            token_file.display()
        ),
        None => println!("the admin token is the one in {}", token_file.display()),
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

async fn wait_for_signal(ended: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::error!("signals cannot be heard");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    ended.cancel();
}
