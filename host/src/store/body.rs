//! How bodies, payloads and arguments stand in their columns: as they came, or compressed.

use std::borrow::Cow;
use std::cell::RefCell;

use bytes::Bytes;
use lz4_flex::block::{
    CompressError, CompressTable, compress_into_with_dict, compress_into_with_table,
    decompress_size_prepended, decompress_size_prepended_with_dict, get_maximum_output_size,
};

use super::StoreError;
use super::dictionaries::Dictionary;
use crate::id::DictionaryId;

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
    /// What they are compressed against.
    pub(super) dictionary: Option<DictionaryId>,
}

impl Stored {
    pub(super) const NOTHING: Stored = Stored {
        bytes: None,
        encoding: "plain",
        dictionary: None,
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

    /// Compresses them against what others had in common with them, at once: they are not long.
    pub(super) fn pack_against(bytes: Bytes, dictionary: &Dictionary) -> Stored {
        let compressed = WORKSPACE.with_borrow_mut(|kept| {
            kept.compress_by(&bytes, |output, _| {
                compress_into_with_dict(&bytes, output, &dictionary.bytes)
            })
        });
        match compressed {
            Some(compressed) => Stored {
                bytes: Some(compressed),
                encoding: "lz4",
                dictionary: Some(dictionary.id.clone()),
            },
            None => Stored::plain(bytes),
        }
    }

    fn plain(bytes: Bytes) -> Stored {
        Stored {
            bytes: Some(bytes),
            encoding: "plain",
            dictionary: None,
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
            dictionary: None,
        },
        None => Stored::plain(bytes),
    }
}

impl Workspace {
    fn compress(&mut self, bytes: &[u8]) -> Option<Bytes> {
        self.compress_by(bytes, |output, table| {
            compress_into_with_table(bytes, output, table)
        })
    }

    /// The size, then the block; none if that is not much smaller.
    fn compress_by(
        &mut self,
        bytes: &[u8],
        compress: impl FnOnce(&mut [u8], &mut CompressTable) -> Result<usize, CompressError>,
    ) -> Option<Bytes> {
        let size = u32::try_from(bytes.len()).ok()?.to_le_bytes();
        let wanted = size.len() + get_maximum_output_size(bytes.len());
        if self.output.len() < wanted {
            self.output.resize(wanted, 0);
        }
        let (head, block) = self.output.split_at_mut(size.len());
        head.copy_from_slice(&size);
        let length = compress(block, &mut self.table).ok()?;
        let whole = &self.output[..size.len() + length];
        (whole.len() < bytes.len() / 8 * 7).then(|| Bytes::copy_from_slice(whole))
    }
}

/// The bytes as they came, if they were not compressed against a dictionary.
pub(super) fn unpack(bytes: Vec<u8>, encoding: &str) -> Result<Bytes, StoreError> {
    unpack_against(bytes, encoding, None)
}

/// The bytes as they came.
pub(super) fn unpack_against(
    bytes: Vec<u8>,
    encoding: &str,
    dictionary: Option<&[u8]>,
) -> Result<Bytes, StoreError> {
    match encoding {
        "plain" => Ok(bytes.into()),
        "lz4" => dictionary
            .map_or_else(
                || decompress_size_prepended(&bytes),
                |dictionary| decompress_size_prepended_with_dict(&bytes, dictionary),
            )
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

    #[tokio::test]
    async fn what_is_compressed_against_others_reads_back_with_them_and_not_without() {
        let mut noise = vec![0u8; 60 << 10];
        crate::clock::random(&mut noise);
        for shared in [512, 7_700, 32 << 10] {
            let dictionary = Dictionary::of(&noise[..shared]);
            for own in [0, 1, 16, 300, 20_000] {
                let bytes = [&noise[1..shared], &noise[shared..shared + own]].concat();
                let stored = Stored::pack_against(bytes.clone().into(), &dictionary);
                if own > shared * 6 {
                    // Of that the dictionary helps with too little.
                    assert_eq!((stored.encoding, stored.dictionary), ("plain", None));
                    continue;
                }
                let packed = Vec::from(stored.bytes.expect("something"));
                assert!(
                    packed.len() < own + own / 255 + 300,
                    "{shared} {own} {}",
                    packed.len()
                );
                assert_eq!(stored.dictionary.as_ref(), Some(&dictionary.id));
                let read = |dictionary| unpack_against(packed.clone(), "lz4", dictionary);
                assert_eq!(read(Some(&dictionary.bytes)).expect("it reads"), bytes);
                read(None).expect_err("it needs them");
                read(Some(b"short")).expect_err("it needs all of them");
            }
        }
    }

    #[tokio::test]
    async fn what_is_damaged_is_an_error_or_other_bytes_and_never_a_panic() {
        let dictionary = Dictionary::of(&b"the same again, ".repeat(60));
        let stored = Stored::pack_against(b"and the same again, ".repeat(60).into(), &dictionary);
        let packed = Vec::from(stored.bytes.expect("something"));
        // But for what makes the size a large one, which is taken at its word.
        for at in (0..2).chain(4..packed.len()) {
            for bit in 0..8 {
                let mut damaged = packed.clone();
                damaged[at] ^= 1 << bit;
                let _ = unpack_against(damaged, "lz4", Some(&dictionary.bytes));
            }
        }
    }
}
