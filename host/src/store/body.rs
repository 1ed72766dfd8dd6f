//! How bodies, payloads and arguments stand in their columns: as they came, or compressed.

use std::borrow::Cow;

use bytes::Bytes;

use super::StoreError;

/// Shorter ones are not worth it.
const COMPRESSED_MIN: usize = 512;
/// Longer ones are compressed away from the threads that serve requests.
const INLINE_MAX: usize = 256 * 1024;

/// Bytes as they are stored, with the word for the `encoding` column.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) bytes: Option<Bytes>,
    pub(super) encoding: &'static str,
}

impl Stored {
    pub(super) const NOTHING: Stored = Stored {
        bytes: None,
        encoding: "plain",
    };

    /// Compresses what becomes smaller by an eighth at least.
    pub(super) async fn pack(bytes: Option<Bytes>) -> Stored {
        match bytes {
            None => Stored::NOTHING,
            Some(bytes) if bytes.len() <= INLINE_MAX => pack(bytes),
            Some(bytes) => tokio::task::spawn_blocking(move || pack(bytes))
                .await
                .expect("invariant: compression does not panic"),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.as_ref().map_or(0, Bytes::len)
    }
}

fn pack(bytes: Bytes) -> Stored {
    if bytes.len() >= COMPRESSED_MIN {
        let compressed = lz4_flex::block::compress_prepend_size(&bytes);
        if compressed.len() < bytes.len() / 8 * 7 {
            return Stored {
                bytes: Some(compressed.into()),
                encoding: "lz4",
            };
        }
    }
    Stored {
        bytes: Some(bytes),
        encoding: "plain",
    }
}

/// The bytes as they came.
pub(super) fn unpack(bytes: Vec<u8>, encoding: &str) -> Result<Bytes, StoreError> {
    match encoding {
        "plain" => Ok(bytes.into()),
        "lz4" => lz4_flex::block::decompress_size_prepended(&bytes)
            .map(Bytes::from)
            .map_err(|error| StoreError::corrupt("body", error)),
        other => Err(StoreError::corrupt(
            "encoding",
            Cow::from(format!("unknown encoding of {} characters", other.len())),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn there_and_back(bytes: &[u8]) -> &'static str {
        let stored = Stored::pack(Some(Bytes::copy_from_slice(bytes))).await;
        let encoding = stored.encoding;
        let back = unpack(stored.bytes.expect("something").into(), encoding).expect("it reads");
        assert_eq!(back, bytes);
        encoding
    }

    #[tokio::test]
    async fn what_repeats_is_compressed_and_reads_back() {
        assert_eq!(there_and_back(&b"the same again ".repeat(100)).await, "lz4");
        assert_eq!(
            there_and_back(&b"the same again ".repeat(100_000)).await,
            "lz4"
        );
    }

    #[tokio::test]
    async fn what_would_not_become_smaller_stays_as_it_is() {
        let mut noise = vec![0u8; 4096];
        crate::clock::random(&mut noise);
        assert_eq!(there_and_back(&noise).await, "plain");
        assert_eq!(there_and_back(b"").await, "plain");
        assert_eq!(there_and_back(b"short short short").await, "plain");
    }
}
