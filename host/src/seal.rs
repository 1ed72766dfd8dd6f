//! Sealed secrets: XChaCha20-Poly1305 envelopes that name their key and are bound to their row.
//!
//! An envelope is one version byte, the 8 bytes of the key's id, a 24-byte random nonce and the
//! ciphertext with its tag. What it is bound to (table, row, column) is authenticated with it, so an
//! envelope copied to another row does not open there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use crate::clock::random;
use crate::secret::Secret;

mod key_file;

use key_file::{check_mode, parse, write_keys};

const VERSION: u8 = 1;
const ID_LEN: usize = 8;
const NONCE_LEN: usize = 24;
const HEADER_LEN: usize = 1 + ID_LEN + NONCE_LEN;
const KEY_LEN: usize = 32;

/// The variable that holds keys when there is no file: `KEY_ID:BASE64URL`, several separated by
/// commas, the first one seals.
pub const KEY_VARIABLE: &str = "TRIGGERD_KEY";

/// What is wrong with a key or an envelope. Never holds key or secret.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("the envelope names the key {0}, which is not among the keys of this host")]
    UnknownKey(KeyId),
    #[error("the envelope does not open with its key: it was changed, or belongs to another row")]
    Broken,
    #[error("this is not an envelope")]
    NotAnEnvelope,
    #[error(
        "{place}: expected lines of `KEY_ID:` and 43 base64url characters; line {line} is not one"
    )]
    KeySyntax { place: String, line: usize },
    #[error("{0}: holds no key")]
    NoKey(String),
    #[error(
        "{path}: its mode is {mode:o}, expected 600 (keys must not be readable by others): chmod 600 it"
    )]
    KeyMode { path: PathBuf, mode: u32 },
    #[error(
        "the keys come from {KEY_VARIABLE}, which this host cannot write: put a new key first in it and restart"
    )]
    NotWritable,
    #[error("{path}: cannot be read or written")]
    KeyFile {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl SealError {
    /// Whether the same may work later: the disk is full, not the key wrong.
    pub fn is_passing(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match self {
            SealError::KeyFile { source, .. } => {
                matches!(
                    source.kind(),
                    StorageFull | QuotaExceeded | ReadOnlyFilesystem
                )
            }
            _ => false,
        }
    }
}

/// Names a key; not secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeyId([u8; ID_LEN]);

impl KeyId {
    /// Reads 16 hexadecimal digits.
    pub fn parse(text: &str) -> Option<KeyId> {
        let mut bytes = [0u8; ID_LEN];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(KeyId(bytes))
    }
}

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The keys of this host. Clones share them, so a key that is added is seen by all.
#[derive(Clone)]
pub struct KeyRing(Arc<RwLock<Keys>>);

type Key = (KeyId, Secret<[u8; KEY_LEN]>);

struct Keys {
    /// Seals; all may open.
    current: KeyId,
    by_id: BTreeMap<KeyId, Secret<[u8; KEY_LEN]>>,
    /// None: they came from the variable.
    file: Option<PathBuf>,
}

impl KeyRing {
    /// The keys of this data folder: from [`KEY_VARIABLE`] if it is given, else from the file
    /// `keys` there, which is made with one random key when it is not there.
    pub fn load(data_dir: &Path, variable: Option<&str>) -> Result<KeyRing, SealError> {
        if let Some(text) = variable.filter(|text| !text.trim().is_empty()) {
            let keys = parse(KEY_VARIABLE, text.split(','))?;
            return Ok(KeyRing::of(keys, None));
        }
        let path = data_dir.join("keys");
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let text = Secret::new(text);
                check_mode(&path)?;
                let keys = parse(&path.display().to_string(), text.expose().lines())?;
                Ok(KeyRing::of(keys, Some(path)))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let keys = vec![random_key()];
                write_keys(&path, &keys)?;
                Ok(KeyRing::of(keys, Some(path)))
            }
            Err(source) => Err(SealError::KeyFile { path, source }),
        }
    }

    /// Whether what [`KEY_VARIABLE`] holds can be read. Makes nothing.
    pub fn check_variable(text: &str) -> Result<(), SealError> {
        parse(KEY_VARIABLE, text.split(',')).map(|_| ())
    }

    /// A ring with one random key that is kept nowhere, for tests.
    pub fn ephemeral() -> KeyRing {
        KeyRing::of(vec![random_key()], None)
    }

    fn of(keys: Vec<Key>, file: Option<PathBuf>) -> KeyRing {
        let current = keys
            .first()
            .expect("invariant: at least one key was read")
            .0;
        KeyRing(Arc::new(RwLock::new(Keys {
            current,
            by_id: keys.into_iter().collect(),
            file,
        })))
    }

    /// The key that seals.
    pub fn current(&self) -> KeyId {
        self.read().current
    }

    /// Whether this key is at hand.
    pub fn holds(&self, id: KeyId) -> bool {
        self.read().by_id.contains_key(&id)
    }

    /// All keys at hand.
    pub fn ids(&self) -> Vec<KeyId> {
        self.read().by_id.keys().copied().collect()
    }

    /// Seals `plain` with the current key, bound to `place` (`table:row:column`).
    pub fn seal(&self, place: &str, plain: &[u8]) -> Vec<u8> {
        let keys = self.read();
        let key = keys
            .by_id
            .get(&keys.current)
            .expect("invariant: the current key is in the ring");
        let mut nonce = [0u8; NONCE_LEN];
        random(&mut nonce);
        let mut envelope = Vec::with_capacity(HEADER_LEN + plain.len() + 16);
        envelope.push(VERSION);
        envelope.extend_from_slice(&keys.current.0);
        envelope.extend_from_slice(&nonce);
        let sealed = cipher(key)
            .encrypt(
                &XNonce::from(nonce),
                Payload {
                    msg: plain,
                    aad: place.as_bytes(),
                },
            )
            .expect("invariant: a secret is far shorter than the cipher's 256 GB");
        envelope.extend_from_slice(&sealed);
        envelope
    }

    /// Opens an envelope that was sealed for `place`.
    pub fn open(&self, place: &str, envelope: &[u8]) -> Result<Secret<Vec<u8>>, SealError> {
        let id = key_of(envelope)?;
        let keys = self.read();
        let key = keys.by_id.get(&id).ok_or(SealError::UnknownKey(id))?;
        let nonce: [u8; NONCE_LEN] = envelope[1 + ID_LEN..HEADER_LEN]
            .try_into()
            .map_err(|_| SealError::NotAnEnvelope)?;
        cipher(key)
            .decrypt(
                &XNonce::from(nonce),
                Payload {
                    msg: &envelope[HEADER_LEN..],
                    aad: place.as_bytes(),
                },
            )
            .map(Secret::new)
            .map_err(|_| SealError::Broken)
    }

    /// Makes a new key, writes it to the key file and seals with it from now on. Older keys stay.
    pub fn add_key(&self) -> Result<KeyId, SealError> {
        let mut keys = self
            .0
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let path = keys.file.clone().ok_or(SealError::NotWritable)?;
        let (id, key) = random_key();
        let mut all = vec![(id, key)];
        all.extend(keys.by_id.iter().map(|(id, key)| (*id, key.clone())));
        write_keys(&path, &all)?;
        keys.by_id = all.into_iter().collect();
        keys.current = id;
        Ok(id)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Keys> {
        self.0
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyRing({})", self.current())
    }
}

/// Which key an envelope was sealed with.
pub fn key_of(envelope: &[u8]) -> Result<KeyId, SealError> {
    if envelope.len() < HEADER_LEN || envelope[0] != VERSION {
        return Err(SealError::NotAnEnvelope);
    }
    let bytes = envelope[1..1 + ID_LEN]
        .try_into()
        .map_err(|_| SealError::NotAnEnvelope)?;
    Ok(KeyId(bytes))
}

fn cipher(key: &Secret<[u8; KEY_LEN]>) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.expose().into())
}

fn random_key() -> Key {
    let mut id = [0u8; ID_LEN];
    random(&mut id);
    let mut key = [0u8; KEY_LEN];
    random(&mut key);
    (KeyId(id), Secret::new(key))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn what_was_sealed_opens_in_its_place_only() {
        let keys = KeyRing::ephemeral();
        let envelope = keys.seal("subscriptions:sub_1:secrets", b"hunter2");
        let opened = keys
            .open("subscriptions:sub_1:secrets", &envelope)
            .expect("its place");
        assert_eq!(opened.expose(), b"hunter2");
        assert!(matches!(
            keys.open("subscriptions:sub_2:secrets", &envelope),
            Err(SealError::Broken)
        ));
    }

    #[test]
    fn a_changed_envelope_does_not_open() {
        let keys = KeyRing::ephemeral();
        let mut envelope = keys.seal("here", b"hunter2");
        let last = envelope.len() - 1;
        envelope[last] ^= 1;
        assert!(matches!(
            keys.open("here", &envelope),
            Err(SealError::Broken)
        ));
        assert!(matches!(
            keys.open("here", &envelope[..20]),
            Err(SealError::NotAnEnvelope)
        ));
    }

    #[test]
    fn another_hosts_key_is_named() {
        let envelope = KeyRing::ephemeral().seal("here", b"hunter2");
        assert!(matches!(
            KeyRing::ephemeral().open("here", &envelope),
            Err(SealError::UnknownKey(_))
        ));
    }

    #[test]
    fn the_key_file_is_made_once_and_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let first = KeyRing::load(folder.path(), None).expect("made");
        let again = KeyRing::load(folder.path(), None).expect("read");
        assert_eq!(first.current(), again.current());
        let path = folder.path().join("keys");
        let mode = std::fs::metadata(&path)
            .expect("the file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("chmod");
        assert!(matches!(
            KeyRing::load(folder.path(), None),
            Err(SealError::KeyMode { .. })
        ));
    }

    #[test]
    fn an_added_key_seals_and_the_older_one_still_opens() {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = KeyRing::load(folder.path(), None).expect("made");
        let before = keys.seal("here", b"old");
        let added = keys.add_key().expect("added");
        let after = keys.seal("here", b"new");
        assert_eq!(key_of(&after).expect("an envelope"), added);

        let again = KeyRing::load(folder.path(), None).expect("read");
        assert_eq!(again.current(), added);
        assert_eq!(
            again.open("here", &before).expect("old key").expose(),
            b"old"
        );
    }

    #[test]
    fn a_key_from_the_variable_is_not_written_anywhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!("0011223344556677:{}", URL_SAFE_NO_PAD.encode([7u8; 32]));
        let keys = KeyRing::load(folder.path(), Some(&text)).expect("parsed");
        assert_eq!(keys.current().to_string(), "0011223344556677");
        assert!(!folder.path().join("keys").exists());
        assert!(matches!(keys.add_key(), Err(SealError::NotWritable)));
    }

    #[test]
    fn a_bad_key_line_is_named_without_showing_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let error =
            KeyRing::load(folder.path(), Some("0011223344556677:c2VjcmV0")).expect_err("short");
        assert!(error.to_string().contains("line 1"));
        assert!(!error.to_string().contains("c2VjcmV0"));
    }
}
