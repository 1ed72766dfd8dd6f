//! How bodies, payloads and arguments stand in their columns: as they came, or compressed.

use std::borrow::Cow;
use std::cell::RefCell;

use bytes::Bytes;
use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

use super::StoreError;

/// Shorter ones are not worth it.
const COMPRESSED_MIN: usize = 512;
/// What is needed to compress longer ones is not kept.
const KEPT_MAX: usize = 60 << 10;
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

/// What a compression needs beside its input, kept for the next one: making it anew takes a third of
/// the time that a body of common size takes.
struct Workspace {
    table: CompressTable,
    output: Vec<u8>,
}

thread_local! {
    static WORKSPACE: RefCell<Workspace> = RefCell::new(Workspace {
        table: CompressTable::small(),
        output: Vec::new(),
    });
}

fn pack(bytes: Bytes) -> Stored {
    let compressed = match bytes.len() {
        ..COMPRESSED_MIN => None,
        COMPRESSED_MIN..=KEPT_MAX => WORKSPACE.with_borrow_mut(|kept| kept.compress(&bytes)),
        _ => {
            let mut workspace = Workspace {
                table: CompressTable::large(),
                output: Vec::new(),
            };
            workspace.compress(&bytes)
        }
    };
    match compressed {
        Some(compressed) => Stored {
            bytes: Some(compressed),
            encoding: "lz4",
        },
        None => Stored {
            bytes: Some(bytes),
            encoding: "plain",
        },
    }
}

impl Workspace {
    /// The size, then the block; none if that is not much smaller.
    fn compress(&mut self, bytes: &[u8]) -> Option<Bytes> {
        let size = u32::try_from(bytes.len()).ok()?.to_le_bytes();
        let wanted = size.len() + get_maximum_output_size(bytes.len());
        if self.output.len() < wanted {
            self.output.resize(wanted, 0);
        }
        let (head, block) = self.output.split_at_mut(size.len());
        head.copy_from_slice(&size);
        let length = compress_into_with_table(bytes, block, &mut self.table).ok()?;
        let whole = &self.output[..size.len() + length];
        (whole.len() < bytes.len() / 8 * 7).then(|| Bytes::copy_from_slice(whole))
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
    async fn what_was_kept_of_one_compression_does_not_show_in_the_next() {
        for size in [60_000, 600, 7_700, 512, 61_440, 61_441, 90_000, 700] {
            let text = format!("{size} again and again, ");
            let bytes = text.repeat(size / text.len() + 1);
            assert_eq!(there_and_back(&bytes.as_bytes()[..size]).await, "lz4");
        }
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
