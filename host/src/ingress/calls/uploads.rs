//! Files that came with calls: a folder for each job, within a budget, until the job ended. Names and
//! paths are ours alone.

use std::collections::HashSet;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use super::arguments::{Arguments, FILES};
use super::multipart::File;
use super::refusal::Refusal;
use crate::clock::Clock;
use crate::id::JobId;
use crate::store::{Store, StoreError};

/// A folder whose job is not in the store is the rest of a call that was not kept, or of one that is
/// being kept now.
const STRAY_MAX: Duration = Duration::from_secs(600);

/// The folder of all files. Cheap to clone.
#[derive(Clone)]
pub struct Uploads(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    bytes_max: u64,
    bytes: AtomicU64,
}

/// A file as what it is handed to is told of it.
#[derive(Serialize)]
struct Told {
    path: String,
    filename: String,
    content_type: Option<String>,
    size: usize,
}

/// The files of one job; removed when dropped without [`Kept::keep`].
pub(super) struct Kept {
    uploads: Uploads,
    job: JobId,
    is_kept: bool,
}

impl Uploads {
    /// In this folder, which is made when it is needed; so many bytes together.
    pub fn new(folder: PathBuf, bytes_max: u64) -> Uploads {
        let uploads = Uploads(Arc::new(Inner {
            folder: std::path::absolute(&folder).unwrap_or(folder),
            bytes_max,
            bytes: AtomicU64::new(0),
        }));
        let held = uploads.jobs().iter().map(|job| uploads.size(job)).sum();
        uploads.0.bytes.store(held, Ordering::SeqCst);
        uploads
    }

    /// Puts the files of a job aside, synced, and tells of them in its arguments: under the names of
    /// their fields, and their folder beside them.
    pub(super) async fn put(
        &self,
        job: &JobId,
        files: Vec<(String, File)>,
        arguments: &mut Arguments,
    ) -> Result<Kept, Refusal> {
        let kept = Kept {
            uploads: self.clone(),
            job: job.clone(),
            is_kept: false,
        };
        let size = files.iter().map(|(_, file)| file.bytes.len() as u64).sum();
        let inner = &self.0;
        let before = inner.bytes.fetch_add(size, Ordering::SeqCst);
        if before + size > inner.bytes_max {
            inner.bytes.fetch_sub(size, Ordering::SeqCst);
            return Err(Refusal::unavailable("too many files wait for their jobs"));
        }
        let folder = self.folder_of(job.as_str());
        let place = folder.clone();
        let written = tokio::task::spawn_blocking(move || {
            let told = write(&place, files);
            (told.is_ok(), told)
        })
        .await;
        let told = match written {
            Ok((true, Ok(told))) => told,
            other => {
                inner.bytes.fetch_sub(size, Ordering::SeqCst);
                let _ = std::fs::remove_dir_all(&folder);
                let error = other.map(|(_, told)| told.err());
                tracing::error!(?error, "uploaded files could not be put aside");
                return Err(Refusal::unavailable("the files could not be kept"));
            }
        };
        let mut fields: indexmap::IndexMap<String, Vec<Told>> = indexmap::IndexMap::new();
        for (field, file) in told {
            fields.entry(field).or_default().push(file);
        }
        for (field, files) in &fields {
            arguments.set(field, files);
        }
        arguments.set(FILES, folder.to_string_lossy());
        Ok(kept)
    }

    /// Removes the files of jobs that ended.
    pub async fn tidy(&self, store: &Store, clock: &Clock) -> Result<(), StoreError> {
        let found = self.jobs();
        let jobs: Vec<JobId> = found.iter().filter_map(|job| job.parse().ok()).collect();
        if jobs.is_empty() {
            return Ok(());
        }
        let unfinished: HashSet<String> = store.unfinished_jobs(&jobs).await?.into_iter().collect();
        for job in jobs.iter().filter(|job| !unfinished.contains(job.as_str())) {
            let age = clock.now().since(job.made_at());
            let is_stray = age < STRAY_MAX
                && store
                    .ended_jobs(std::slice::from_ref(job))
                    .await?
                    .is_empty();
            if !is_stray {
                self.remove(job);
            }
        }
        Ok(())
    }

    /// Removes the files of a job.
    pub(super) fn remove(&self, job: &JobId) {
        let folder = self.folder_of(job.as_str());
        let size = self.size(job.as_str());
        match std::fs::remove_dir_all(&folder) {
            Ok(()) => {
                self.0.bytes.fetch_sub(size, Ordering::SeqCst);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, %job, "the files of a job could not be removed"),
        }
    }

    fn folder_of(&self, job: &str) -> PathBuf {
        self.0.folder.join(job)
    }

    fn jobs(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0.folder).into_iter().flatten();
        let names = entries.flatten().map(|entry| entry.file_name());
        names.filter_map(|name| name.into_string().ok()).collect()
    }

    fn size(&self, job: &str) -> u64 {
        let entries = std::fs::read_dir(self.folder_of(job)).into_iter().flatten();
        let sizes = entries.flatten().filter_map(|entry| entry.metadata().ok());
        sizes.map(|about| about.len()).sum()
    }
}

impl Kept {
    /// The job is committed: its files stay until it ended.
    pub(super) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if !self.is_kept {
            self.uploads.remove(&self.job);
        }
    }
}

fn write(folder: &Path, files: Vec<(String, File)>) -> std::io::Result<Vec<(String, Told)>> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder)?;
    let mut told = Vec::with_capacity(files.len());
    for (number, (field, file)) in files.into_iter().enumerate() {
        let path = folder.join(number.to_string());
        let mut options = std::fs::OpenOptions::new();
        let mut opened = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        opened.write_all(&file.bytes)?;
        opened.sync_all()?;
        told.push((
            field,
            Told {
                path: path.to_string_lossy().into_owned(),
                filename: file.name,
                content_type: file.content_type,
                size: file.bytes.len(),
            },
        ));
    }
    // The names of the files, and that of their folder, are to outlive a loss of power too.
    std::fs::File::open(folder)?.sync_all()?;
    if let Some(parent) = folder.parent() {
        std::fs::File::open(parent)?.sync_all()?;
    }
    Ok(told)
}
