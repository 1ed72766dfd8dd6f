//! Starts the server and ends it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::background::Background;
use super::egress::{LateCredentials, ProviderEgress};
use super::ending::{ANSWERS, Ending, listen_for_signals};
use super::greeting::greet;
use super::peers::Peers;
use super::providers::RegistryProviders;
use super::ticks::{self, Parts};
use super::{
    credentials, data_folder, descriptors, executor, http, logging, notices, sockets, sync,
};
use crate::api::{self, ApiState, ApiStateParts, Changed};
use crate::clock::Clock;
use crate::config::server_file::ServerFile;
use crate::config::{Config, reachable};
use crate::credentials::{Credentials, CredentialsParts};
use crate::ingress::calls::{self, Calls, Uploads};
use crate::ingress::{self, Ingress};
use crate::jobs::{Ended, Executor, ExecutorConfig, ExecutorParts};
use crate::metrics::Metrics;
use crate::model::JobState;
use crate::outbound::{Outbound, OutboundConfig};
use crate::plugins::load::Loader;
use crate::plugins::probe::Prober;
use crate::plugins::services::{Offered, Reach};
use crate::plugins::{Folders, Registry};
use crate::runnables::{CommandDirs, Runner};
use crate::seal::{KEY_VARIABLE, KeyRing};
use crate::store::{DatabaseConfig, Store};
use crate::subscriptions::Subscriptions;
use crate::sync::KeptState;
use crate::tokens::Tokens;

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

/// Serves until SIGTERM or SIGINT.
pub async fn serve(config: Config) -> Result<(), StartError> {
    logging::start(&config.log).map_err(|what| StartError { what, source: None })?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    descriptors::raise();
    let clock = Clock::system();
    make_folders(&config)?;
    let data = &config.server.data;
    let lock = data_folder::lock(data).map_err(|error| {
        StartError::of(
            format!("the data folder {} cannot be used", data.display()),
            error,
        )
    })?;
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
    let late = LateCredentials::default();
    let registry = open_registry(&config, &store, &clock, (&outbound, &late), &metrics)?;
    let runner = Runner::new(
        CommandDirs::new(config.runnables.command_dirs.clone()),
        outbound.clone(),
        clock.clone(),
    );
    let owner = data_folder::host_id(data, &clock)
        .map_err(|error| StartError::of("the data folder cannot be used", error))?;
    let parts = Parts {
        store: store.clone(),
        registry: registry.clone(),
        clock: clock.clone(),
        metrics,
        tokens: Arc::clone(&tokens),
        events_wake: Arc::new(Notify::new()),
        sync_wake: Arc::new(Notify::new()),
        jobs_wake: Arc::new(Notify::new()),
        schedules_wake: Arc::new(Notify::new()),
        notices_wake: Arc::new(Notify::new()),
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
    ticks::start(&parts, &background, &config);
    notices::start(&parts, outbound.clone(), &background);
    let credentials = credentials::open(
        CredentialsParts {
            store: store.clone(),
            providers: Arc::new(registry.clone()),
            outbound: outbound.clone(),
            clock: clock.clone(),
            metrics: Arc::clone(&parts.metrics),
            owner: owner.clone(),
            public_base: public.clone(),
        },
        &late,
    );
    credentials::start(&credentials, &background)
        .await
        .map_err(|error| StartError::of("credentials cannot be taken up again", error))?;
    let (engine, timers_wake) = sync::open(&parts, &credentials, owner.clone(), &public);
    sync::start(&engine, timers_wake, &credentials, &parts, &background)
        .await
        .map_err(|error| StartError::of("subscriptions cannot be taken up again", error))?;
    let executor = Executor::new(ExecutorParts {
        store: store.clone(),
        runner: runner.clone(),
        clock: clock.clone(),
        owner: owner.clone(),
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
    let heard = (&store, &owner);
    executor::hear_others(&executor, &parts.jobs_wake, heard, &background);
    let holder = sockets::start(&parts, &executor, &outbound, &owner, &background)
        .await
        .map_err(|error| StartError::of("connections cannot be taken back", error))?;
    let calls = open_calls(&parts, &config, &executor, (&background, &public));
    let subscriptions = sync::subscriptions(&parts, &engine, &credentials, &public);
    let beside = (Arc::clone(&calls), subscriptions);
    let router = router(
        &parts,
        &config,
        &runner,
        (&executor, &credentials),
        beside,
        &public,
    )
    .merge(calls::router(calls));

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
    let signals = tokio::spawn(listen_for_signals(ended.clone()));
    let limits = &config.limits;
    let peers = Peers::new(limits.connections_per_peer, limits.proxies.clone());
    let ending = Ending {
        executor: &executor,
        engine: &engine,
        background: &background,
        credentials: &credentials,
        tokens: &tokens,
        store: &store,
        drain: config.server.drain,
    };
    // Requests and jobs end beside each other: who stops the host waits for the time once.
    tokio::join!(
        http::serve_http(
            listener,
            http::Bounds::new(peers),
            router,
            ended.clone(),
            ending.drain + ANSWERS
        ),
        async {
            ended.cancelled().await;
            ending.drain(&stop, holder.end()).await;
        }
    );
    ending.finish().await;
    server_file.remove(data);
    drop(lock);
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
    store: &Store,
    clock: &Clock,
    (outbound, credentials): (&Outbound, &LateCredentials),
    metrics: &Arc<Metrics>,
) -> Result<Registry, StartError> {
    let folders = Folders {
        plugins: config.plugins_dir(),
        manifests: config.manifests_dir(),
    };
    let prober = Prober::this_program()
        .map_err(|error| StartError::of("this program cannot be found again", error))?;
    let (outbound, credentials) = (outbound.clone(), Arc::clone(credentials));
    let egress = Arc::new(move |reach: &Reach| {
        let egress = ProviderEgress::new(outbound.clone(), Arc::clone(&credentials), reach);
        Box::new(egress) as Box<dyn crate::plugins::services::Egress>
    });
    let cache = config.server.data.join("plugin-cache");
    let body_max = usize::try_from(config.limits.body_max).unwrap_or(usize::MAX);
    let offered = Offered {
        egress,
        state: Arc::new(KeptState(store.clone())),
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

fn open_calls(
    parts: &Parts,
    config: &Config,
    executor: &Executor,
    (background, public): (&Background, &str),
) -> Arc<Calls> {
    let uploads = Uploads::new(
        config.server.data.join("uploads"),
        config.webhooks.uploads_max,
    );
    super::calls::start(parts, executor, uploads.clone(), background);
    Arc::new(Calls::new(calls::Parts {
        store: parts.store.clone(),
        tokens: Arc::clone(&parts.tokens),
        executor: executor.clone(),
        clock: parts.clock.clone(),
        metrics: Arc::clone(&parts.metrics),
        jobs_wake: Arc::clone(&parts.jobs_wake),
        uploads,
        body_max: usize::try_from(config.limits.body_max).unwrap_or(usize::MAX),
        read_timeout: config.limits.read_timeout,
        wait_max: config.webhooks.wait_max,
        include_headers: config.webhooks.include_headers.clone(),
        in_flight_max: config.limits.webhooks_in_flight as usize,
        registry: parts.registry.clone(),
        public_url: public.to_owned(),
    }))
}

fn router(
    parts: &Parts,
    config: &Config,
    runner: &Runner,
    (executor, credentials): (&Executor, &Credentials),
    (calls, subscriptions): (Arc<Calls>, Subscriptions),
    public: &str,
) -> axum::Router {
    let ingress = Arc::new(Ingress::new(ingress::Parts {
        registry: parts.registry.clone(),
        store: parts.store.clone(),
        clock: parts.clock.clone(),
        public_url: public.to_owned(),
        metrics: Arc::clone(&parts.metrics),
        events_wake: Arc::clone(&parts.events_wake),
        sync_wake: Arc::clone(&parts.sync_wake),
        in_flight_max: config.limits.webhooks_in_flight as usize,
        read_timeout: config.limits.read_timeout,
    }));
    let (jobs_wake, changed) = (Arc::clone(&parts.jobs_wake), Arc::clone(&ingress));
    let (sync_wake, schedules_wake) = (
        Arc::clone(&parts.sync_wake),
        Arc::clone(&parts.schedules_wake),
    );
    let notices_wake = Arc::clone(&parts.notices_wake);
    let running = executor.clone();
    let state = ApiState::new(ApiStateParts {
        store: parts.store.clone(),
        tokens: Arc::clone(&parts.tokens),
        providers: Arc::new(RegistryProviders {
            registry: parts.registry.clone(),
            runner: runner.clone(),
            credentials: credentials.clone(),
            clock: parts.clock.clone(),
        }),
        credentials: credentials.clone(),
        subscriptions,
        clock: parts.clock.clone(),
        metrics: Arc::clone(&parts.metrics),
        public_base: public.to_owned(),
        body_max: usize::try_from(config.limits.api_body_max).unwrap_or(usize::MAX),
        read_timeout: config.limits.read_timeout,
        in_flight_max: config.limits.api_in_flight as usize,
        on_change: Arc::new(move |change| {
            match change {
                Changed::Objects(_) => {
                    changed.forget_opened();
                    calls.forget_routes();
                    notices_wake.notify_one();
                    sync_wake.notify_one();
                    schedules_wake.notify_one();
                }
                // What runs on another host is stopped there, when its lease is to be extended.
                Changed::Cancelled(job) => {
                    running.stop_attempt(&job);
                    running.ends().tell(&job, || Ended {
                        state: JobState::Cancelled,
                        result: None,
                        error: None,
                    });
                }
                Changed::Jobs => {}
            }
            jobs_wake.notify_one();
        }),
    });
    ingress::router(ingress).merge(api::router_with(state, calls::openapi))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
