//! The file with the keys, and the text that keys are written as: `KEY_ID:BASE64URL`.

use std::io::Write;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Key, KeyId, SealError};
use crate::secret::Secret;

/// Reads keys from lines; `place` is what a mistake names.
pub(super) fn parse<'a>(
    place: &str,
    lines: impl Iterator<Item = &'a str>,
) -> Result<Vec<Key>, SealError> {
    let mut keys = Vec::new();
    for (index, line) in lines.enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = parse_key(line).ok_or_else(|| SealError::KeySyntax {
            place: place.to_owned(),
            line: index + 1,
        })?;
        keys.push(key);
    }
    if keys.is_empty() {
        return Err(SealError::NoKey(place.to_owned()));
    }
    Ok(keys)
}

fn parse_key(line: &str) -> Option<Key> {
    let (id, key) = line.split_once(':')?;
    let id = KeyId::parse(id.trim())?;
    let bytes = Secret::new(URL_SAFE_NO_PAD.decode(key.trim()).ok()?);
    Some((id, Secret::new(bytes.expose().as_slice().try_into().ok()?)))
}

/// Writes a whole new file beside the old one and swaps them, so that a crash leaves one of the two.
pub(super) fn write_keys(path: &Path, keys: &[Key]) -> Result<(), SealError> {
    let failed = |source| SealError::KeyFile {
        path: path.to_owned(),
        source,
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    writeln!(file, "# Keys that seal the secrets in the database. The first one seals. Without them they are lost.")
        .map_err(failed)?;
    for (id, key) in keys {
        let text = Secret::new(URL_SAFE_NO_PAD.encode(key.expose()));
        writeln!(file, "{id}:{}", text.expose()).map_err(failed)?;
    }
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed)
}

/// Keys that others may read are no keys.
pub(super) fn check_mode(path: &Path) -> Result<(), SealError> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).map_err(|source| SealError::KeyFile {
        path: path.to_owned(),
        source,
    })?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SealError::KeyMode {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}
