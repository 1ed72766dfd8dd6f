//! Loading one library: private copy, probe in a child, open, create, decoy.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use trigger_plugin_abi::host::{Level, Library};

use super::auth::AuthFacts;
use super::facts::{Config, Facts};
use super::library_file::{DeclarationFile, Digest, LibraryFile};
use super::live::{LiveProvider, Parts, ResolvedLimits};
use super::manifest::Manifest;
use super::probe::{ProbeError, Prober};
use super::scope::Scopes;
use super::services::{Offered, Reach, Services};
use crate::clock::{Clock, random};

/// A dispatch that takes longer than this is named in the log, unless the manifest says otherwise.
const DISPATCH_BUDGET: Duration = Duration::from_secs(1);

/// Why a library that looked right could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The private copy could not be written.
    #[error("the library cannot be copied to {}: {reason}", path.display())]
    Copy {
        /// The copy.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// A text of the manifest's `config` names a variable that is not set.
    #[error("`{key}` names ${{{variable}}}, which is not set: set it where the host is started")]
    MissingVariable {
        /// Where.
        key: String,
        /// Which.
        variable: String,
    },
    /// What the declaration says of signing in cannot be right.
    #[error("{0}")]
    Auth(String),
    /// The child did not like it.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// It could not be opened here, after it could in the child.
    #[error("{0}")]
    Open(String),
    /// The provider refused what the manifest configures.
    #[error("the provider refused to start: {0}")]
    Create(String),
}

impl LoadError {
    /// One word for lists and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            LoadError::Copy { .. } => "copy",
            LoadError::MissingVariable { .. } => "config",
            LoadError::Auth(_) => "declaration",
            LoadError::Probe(ProbeError::Start(_)) => "probe",
            LoadError::Probe(ProbeError::Died(_)) => "crashed",
            LoadError::Probe(ProbeError::Killed) => "killed",
            LoadError::Probe(ProbeError::Hung) => "hung",
            LoadError::Probe(ProbeError::Refused(_)) | LoadError::Open(_) => "refused",
            LoadError::Create(_) => "create",
        }
    }

    /// Whether the same library may well be loaded the next time: the machine was full, busy or short
    /// of memory. What crashes by itself does so again.
    pub fn may_pass(&self) -> bool {
        match self {
            LoadError::Copy { .. } => true,
            LoadError::Probe(error) => matches!(
                error,
                ProbeError::Start(_) | ProbeError::Killed | ProbeError::Hung
            ),
            _ => false,
        }
    }
}

/// Loads libraries into this process, each once per load, and never unloads one.
pub struct Loader {
    cache: PathBuf,
    prober: Prober,
    clock: Clock,
    offered: Offered,
    body_max: usize,
    generations: AtomicU64,
    bytes_mapped: AtomicU64,
}

impl Loader {
    /// Keeps private copies in `cache` (made with mode 0700); copies of earlier runs are removed.
    /// `body_max` in bytes is for manifests that do not say.
    pub fn open(
        cache: &Path,
        prober: Prober,
        clock: Clock,
        offered: Offered,
        body_max: usize,
    ) -> Result<Loader, LoadError> {
        let copy_error = |error: std::io::Error| LoadError::Copy {
            path: cache.to_owned(),
            reason: error.to_string(),
        };
        if cache.exists() {
            std::fs::remove_dir_all(cache).map_err(copy_error)?;
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(cache)
            .map_err(copy_error)?;
        Ok(Loader {
            cache: cache.to_owned(),
            prober,
            clock,
            offered,
            body_max,
            generations: AtomicU64::new(0),
            bytes_mapped: AtomicU64::new(0),
        })
    }

    /// The size of all libraries loaded since the start, in bytes.
    pub fn bytes_mapped(&self) -> u64 {
        self.bytes_mapped.load(Ordering::Relaxed)
    }

    /// Loads a checked library as its manifest says.
    /// `declaration` stands in for the embedded one.
    pub async fn load(
        &self,
        library: LibraryFile,
        declaration: Option<DeclarationFile>,
        manifest: &Manifest,
    ) -> Result<LiveProvider, LoadError> {
        let generation = self.generations.fetch_add(1, Ordering::Relaxed) + 1;
        let setup = setup(manifest, declaration.as_ref())?;
        let size = library.size;
        let digest = library.digest;
        let described = match &declaration {
            Some(file) => &file.declaration,
            None => &library.declaration,
        };
        let facts = Facts {
            auth: Arc::new(AuthFacts::of(described, manifest, expand_text)?),
            config: Config(config_of(manifest)?),
            ..Facts::of(described)
        };
        let facts = Facts {
            reach: reach(&facts, manifest),
            ..facts
        };
        let copy = self.copy(&library, generation)?;
        if let Err(error) = self.prober.probe(&copy, &setup).await {
            let _ = std::fs::remove_file(&copy);
            return Err(error.into());
        }
        drop(library);
        let scopes = Arc::new(Scopes::default());
        let services = Services::new(
            &manifest.provider,
            self.clock.clone(),
            &self.offered,
            &facts.reach,
            Arc::clone(&scopes),
        );
        let opened = Library::open(&copy).map_err(|error| LoadError::Open(error.to_string()))?;
        self.bytes_mapped.fetch_add(size, Ordering::Relaxed);
        let provider = opened
            .create(Arc::new(services), &setup)
            .map_err(|error| LoadError::Create(error.message))?;
        let decoy = provider
            .open_subscription(&decoy(&facts))
            .map_err(|error| LoadError::Create(error.message))?;
        Ok(LiveProvider::assemble(Parts {
            name: manifest.provider.as_str().into(),
            generation,
            digest,
            size,
            facts,
            limits: limits(manifest, self.body_max),
            provider,
            scopes,
            decoy,
        }))
    }

    /// A file of its own for each load: opening the same path or inode again would give an older
    /// library back.
    fn copy(&self, library: &LibraryFile, generation: u64) -> Result<PathBuf, LoadError> {
        let path = self
            .cache
            .join(format!("{}-{generation}.so", library.digest));
        match library.copy_to(&path) {
            Ok(()) => Ok(path),
            Err(reason) => Err(LoadError::Copy { path, reason }),
        }
    }
}

/// Digest of everything that decides what a load does: a change of it is a reason to load again.
pub fn fingerprint(library: Digest, declaration: Option<Digest>, manifest: &Manifest) -> Digest {
    let manifest = serde_json::to_string(manifest).unwrap_or_default();
    Digest::of(format!("{library} {declaration:?} {manifest}").as_bytes())
}

fn setup(manifest: &Manifest, declaration: Option<&DeclarationFile>) -> Result<String, LoadError> {
    let mut setup = serde_json::json!({ "config": config_of(manifest)? });
    if let Some(file) = declaration {
        setup["declaration"] = serde_json::json!({ "provider.yaml": file.text });
    }
    Ok(setup.to_string())
}

fn config_of(manifest: &Manifest) -> Result<serde_json::Map<String, serde_json::Value>, LoadError> {
    let config = manifest.config.iter();
    config
        .map(|(key, value)| Ok((key.clone(), expand(key, value)?)))
        .collect()
}

fn expand(key: &str, value: &serde_json::Value) -> Result<serde_json::Value, LoadError> {
    match value.as_str() {
        Some(text) => expand_text(&format!("config.{key}"), text).map(Into::into),
        None => Ok(value.clone()),
    }
}

/// Texts that are wholly `${NAME}` are taken from the environment.
fn expand_text(key: &str, text: &str) -> Result<String, LoadError> {
    let variable = text
        .strip_prefix("${")
        .and_then(|text| text.strip_suffix('}'));
    let Some(variable) = variable else {
        return Ok(text.to_owned());
    };
    std::env::var(variable).map_err(|_| LoadError::MissingVariable {
        key: key.to_owned(),
        variable: variable.to_owned(),
    })
}

impl From<String> for LoadError {
    fn from(what: String) -> LoadError {
        LoadError::Auth(what)
    }
}

/// What the declaration asks for, narrowed by the manifest; `{name}` stands for a text of `config`.
/// `{base_url}` is known only at each call.
fn reach(facts: &Facts, manifest: &Manifest) -> Reach {
    let mut hosts: Vec<String> = facts
        .network
        .iter()
        .map(|place| {
            let name = place
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'));
            let configured = name
                .filter(|name| *name != "base_url")
                .and_then(|name| facts.config.0.get(name))
                .and_then(|v| v.as_str());
            configured.map_or_else(|| place.clone(), str::to_owned)
        })
        .collect();
    let Some(permissions) = &manifest.permissions else {
        return Reach {
            hosts,
            allow: Vec::new(),
        };
    };
    if let Some(network) = &permissions.network {
        hosts.retain(|place| network.contains(place));
    }
    Reach {
        hosts,
        allow: permissions.allow.clone(),
    }
}

fn limits(manifest: &Manifest, body_max: usize) -> ResolvedLimits {
    ResolvedLimits {
        dispatch_budget: manifest.limits.dispatch_timeout.unwrap_or(DISPATCH_BUDGET),
        body_max: manifest.limits.body_max.unwrap_or(body_max),
        rate: manifest.limits.rate,
    }
}

/// A subscription with random texts in all its secret fields.
fn decoy(facts: &Facts) -> String {
    let mut secrets = serde_json::Map::new();
    for name in &facts.secret_fields {
        let mut bytes = [0u8; 32];
        random(&mut bytes);
        secrets.insert(name.clone(), hex::encode(bytes).into());
    }
    serde_json::json!({
        "id": "decoy",
        "endpoint_url": "",
        "parameters": {},
        "properties": {},
        "secrets": secrets,
    })
    .to_string()
}

pub(super) fn log_level() -> Level {
    match LevelFilter::current() {
        LevelFilter::OFF | LevelFilter::ERROR => Level::Error,
        LevelFilter::WARN => Level::Warn,
        LevelFilter::INFO => Level::Info,
        LevelFilter::DEBUG => Level::Debug,
        LevelFilter::TRACE => Level::Trace,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn reached(manifest: &str) -> Reach {
        let text = format!("provider: acme\nlibrary: a.so\n{manifest}");
        let manifest = Manifest::parse(Path::new("acme.yaml"), &text).expect("a manifest");
        let facts = Facts {
            network: ["api.acme.example:443", "{api}", "{base_url}"]
                .map(str::to_owned)
                .into(),
            config: Config(config_of(&manifest).expect("a config")),
            ..Facts::default()
        };
        reach(&facts, &manifest)
    }

    #[test]
    fn a_manifest_narrows_what_is_declared_and_adds_nothing() {
        let hosts = |manifest: &str| reached(manifest).hosts;
        let api = "config: {api: \"https://own.example\"}\n";
        assert_eq!(
            hosts(api),
            ["api.acme.example:443", "https://own.example", "{base_url}"]
        );
        let narrowed = "permissions: {network: [\"api.acme.example:443\", \"evil.example:443\"]}\n";
        assert_eq!(hosts(narrowed), ["api.acme.example:443"]);
        assert_eq!(hosts("permissions: {network: []}\n"), [""; 0]);
        let opened = reached("permissions: {allow: [10.0.0.0/8]}\n");
        assert_eq!(
            (opened.hosts.len(), opened.allow),
            (3, vec!["10.0.0.0/8".to_owned()])
        );
    }
}
