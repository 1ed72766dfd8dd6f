//! The registry: which providers serve now, and what became of every library and manifest.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::live::LiveProvider;
use super::load::{LoadError, Loader};
use super::manifest::{Manifest, with_keys};
use super::reconcile::write_whole;
use super::seen::Seen;
use crate::clock::{Clock, Millis};
use crate::metrics::Metrics;

/// Where libraries and manifests lie.
#[derive(Clone, Debug)]
pub struct Folders {
    /// Libraries, and declarations without code.
    pub plugins: PathBuf,
    /// One YAML per provider.
    pub manifests: PathBuf,
}

/// What became of one provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderState {
    /// Loaded and serving.
    Live,
    /// A library lies there and no manifest names it.
    Discovered,
    /// Its manifest says `enabled: false`.
    Disabled,
    /// Library or manifest cannot be used; the message says why. An older load may still serve.
    Refused,
    /// The manifest names a library that is not there.
    Missing,
    /// It panicked too often.
    Quarantined,
}

/// One row of the provider list.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ProviderRow {
    /// The provider's name, or the file's where no name can be read.
    pub name: String,
    /// What became of it.
    pub state: ProviderState,
    /// What the provider calls itself.
    pub label: Option<String>,
    /// File name in the plugins folder.
    pub library: Option<String>,
    /// SHA-256 of the library on disk.
    pub digest: Option<String>,
    /// Version of the provider.
    pub version: Option<String>,
    /// Contract version that it was built against.
    pub abi: Option<String>,
    /// Compiler that built it.
    pub compiler: Option<String>,
    /// The events that it declares.
    pub events: Vec<String>,
    /// One word for what is wrong.
    pub problem: Option<String>,
    /// The sentence for it.
    pub message: Option<String>,
    /// Whether some load of it serves, also while a newer library is refused.
    pub serving: bool,
    /// When the load that serves was made.
    pub loaded_at: Option<Millis>,
    /// How often it was loaded since the start.
    pub loads: u64,
    /// What the declaration's reader wondered at.
    pub warnings: Vec<String>,
}

/// Who answers for a provider's name.
pub enum Found {
    /// It serves.
    Live(Arc<LiveProvider>),
    /// It is enabled and cannot serve now.
    Down,
    /// No such provider is enabled.
    Unknown,
}

/// Cheap to clone; all clones are one registry.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

pub(super) struct Inner {
    pub(super) folders: Folders,
    pub(super) auto_enable: bool,
    pub(super) loader: Loader,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) serving: ArcSwap<HashMap<Box<str>, Option<Arc<LiveProvider>>>>,
    pub(super) rows: Mutex<BTreeMap<String, ProviderRow>>,
    pub(super) seen: tokio::sync::Mutex<Seen>,
    pub(super) wake: Notify,
    pub(super) is_settled: AtomicBool,
}

/// Why a provider could not be enabled or disabled.
#[derive(Debug, thiserror::Error)]
pub enum EnableError {
    /// Nothing of this name lies in the folders.
    #[error("no library in {} declares the provider `{name}`; there is: {known}", folder.display())]
    Unknown {
        /// The name asked for.
        name: String,
        /// The plugins folder.
        folder: PathBuf,
        /// The names that do exist.
        known: String,
    },
    /// The library was found and is refused.
    #[error("the provider `{name}` is refused: {message}")]
    Refused {
        /// The name asked for.
        name: String,
        /// Why.
        message: String,
    },
    /// The manifest cannot be read or written.
    #[error("the manifest {} cannot be changed: {reason}", path.display())]
    Manifest {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl Registry {
    /// Over these folders; nothing is loaded before the first [`Registry::tick`].
    pub fn new(
        folders: Folders,
        auto_enable: bool,
        loader: Loader,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Registry {
        let inner = Arc::new(Inner {
            folders,
            auto_enable,
            loader,
            clock,
            metrics,
            serving: ArcSwap::default(),
            rows: Mutex::default(),
            seen: tokio::sync::Mutex::default(),
            wake: Notify::new(),
            is_settled: AtomicBool::new(false),
        });
        super::watch::start(Arc::downgrade(&inner));
        Registry(inner)
    }

    /// Who answers for this name.
    pub fn find(&self, name: &str) -> Found {
        match self.0.serving.load().get(name) {
            Some(Some(live)) => Found::Live(Arc::clone(live)),
            Some(None) => Found::Down,
            None => Found::Unknown,
        }
    }

    /// The serving provider of this name, if there is one.
    pub fn live(&self, name: &str) -> Option<Arc<LiveProvider>> {
        match self.find(name) {
            Found::Live(live) => Some(live),
            Found::Down | Found::Unknown => None,
        }
    }

    /// Every provider, by name.
    pub fn rows(&self) -> Vec<ProviderRow> {
        let rows = self.0.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows: Vec<ProviderRow> = rows.values().cloned().collect();
        for row in &mut rows {
            self.mark_quarantine(row);
        }
        rows
    }

    /// Brings what is loaded in line with the folders. Idempotent; called by a timer and a wake.
    pub async fn tick(&self) {
        super::reconcile::reconcile(&self.0).await;
        self.0.is_settled.store(true, Ordering::Release);
    }

    /// Whether every enabled provider was tried once.
    pub fn is_settled(&self) -> bool {
        self.0.is_settled.load(Ordering::Acquire)
    }

    /// Waits until someone asks for a tick.
    pub async fn woken(&self) {
        self.0.wake.notified().await;
    }

    /// Writes the provider's manifest, pinned to the library that lies there now, and loads it.
    pub async fn enable(&self, name: &str) -> Result<ProviderRow, EnableError> {
        self.tick().await;
        let row = self.row(name)?;
        let (Some(library), Some(digest)) = (&row.library, &row.digest) else {
            return Err(EnableError::Refused {
                name: name.to_owned(),
                message: row.message.unwrap_or_default(),
            });
        };
        let kind = match library.ends_with(".yaml") {
            true => "declaration",
            false => "library",
        };
        let keys = [
            ("enabled", "true"),
            (kind, library.as_str()),
            ("sha256", digest.as_str()),
        ];
        let text = match self.manifest_text(name)? {
            Some(text) => with_keys(&text, &keys),
            None => Manifest::pinned(name, library, digest).to_text(),
        };
        self.write_manifest(name, &text)?;
        self.0.seen.lock().await.forget(name);
        self.tick().await;
        let row = self.row(name)?;
        if row.state == ProviderState::Live {
            return Ok(row);
        }
        Err(EnableError::Refused {
            name: name.to_owned(),
            message: row.message.unwrap_or_default(),
        })
    }

    /// Writes `enabled: false` and lets the provider go; its requests are answered 503 from then on.
    pub async fn disable(&self, name: &str) -> Result<ProviderRow, EnableError> {
        self.tick().await;
        let row = self.row(name)?;
        if let Some(text) = self.manifest_text(name)? {
            self.write_manifest(name, &with_keys(&text, &[("enabled", "false")]))?;
            self.tick().await;
            return self.row(name);
        }
        Ok(row)
    }

    fn mark_quarantine(&self, row: &mut ProviderRow) {
        let quarantined = self
            .live(&row.name)
            .is_some_and(|live| live.is_quarantined());
        if quarantined {
            row.state = ProviderState::Quarantined;
            row.problem = Some("quarantined".to_owned());
            row.message = Some(
                "it panicked five times within a minute: replace its library, or enable it again"
                    .to_owned(),
            );
        }
    }

    fn row(&self, name: &str) -> Result<ProviderRow, EnableError> {
        let rows = self.rows();
        match rows.iter().find(|row| row.name == name) {
            Some(row) => Ok(row.clone()),
            None => {
                let known: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
                Err(EnableError::Unknown {
                    name: name.to_owned(),
                    folder: self.0.folders.plugins.clone(),
                    known: if known.is_empty() {
                        "none".to_owned()
                    } else {
                        known.join(", ")
                    },
                })
            }
        }
    }

    fn manifest_path(&self, name: &str) -> PathBuf {
        self.0.folders.manifests.join(format!("{name}.yaml"))
    }

    fn manifest_text(&self, name: &str) -> Result<Option<String>, EnableError> {
        let path = self.manifest_path(name);
        if !path.exists() {
            return Ok(None);
        }
        let text = super::regular::read_text(&path);
        text.map(Some)
            .map_err(|reason| EnableError::Manifest { path, reason })
    }

    /// Only what reads back as a manifest is written.
    fn write_manifest(&self, name: &str, text: &str) -> Result<(), EnableError> {
        let path = self.manifest_path(name);
        let written = match Manifest::parse(&path, text) {
            Ok(_) => write_whole(&path, text),
            Err(error) => Err(error.to_string()),
        };
        written.map_err(|reason| EnableError::Manifest { path, reason })
    }
}

impl From<LoadError> for (String, String) {
    /// Kind and sentence, as a row shows them.
    fn from(error: LoadError) -> Self {
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            message = format!("{message}: {inner}");
            cause = inner.source();
        }
        (error.kind().to_owned(), message)
    }
}
