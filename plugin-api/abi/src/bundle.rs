//! The declaration's files as one piece of bytes, the way a library embeds them.
//!
//! Format, all numbers little-endian `u32`: the magic `TPB1`, the number of files, then for each
//! file the length of its path, the path, the length of its bytes, the bytes. Written by
//! `trigger-plugin-build`, read by the host without running anything and by the library itself.

use std::fmt;

/// The first bytes of a bundle; the last of them is the format's version.
pub const MAGIC: [u8; 4] = *b"TPB1";

/// The files of a declaration, by path with `/`, in the order in which they were packed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bundle {
    /// Path and bytes.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Why bytes are not a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleError {
    /// Where the reading stopped, in bytes from the start.
    pub offset: usize,
    /// What was expected there.
    pub expected: &'static str,
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the declaration bundle is damaged at byte {}: expected {}",
            self.offset, self.expected
        )
    }
}

impl std::error::Error for BundleError {}

impl Bundle {
    /// Reads a bundle. Every length is checked against what is there.
    ///
    /// # Errors
    /// Where it stops being one.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        let mut reader = Reader { bytes, offset: 0 };
        if reader.take(4, "the magic TPB1")? != MAGIC {
            return Err(BundleError {
                offset: 0,
                expected: "the magic TPB1",
            });
        }
        let count = reader.number("the number of files")?;
        let mut files = Vec::new();
        for _ in 0..count {
            let length = reader.number("the length of a path")?;
            let offset = reader.offset;
            let path =
                std::str::from_utf8(reader.take(length, "a path")?).map_err(|_| BundleError {
                    offset,
                    expected: "a path in UTF-8",
                })?;
            let length = reader.number("the length of a file")?;
            files.push((
                path.to_owned(),
                reader.take(length, "the bytes of a file")?.to_vec(),
            ));
        }
        if reader.offset != bytes.len() {
            return Err(BundleError {
                offset: reader.offset,
                expected: "the end",
            });
        }
        Ok(Self { files })
    }

    /// The bytes of one file.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.files
            .iter()
            .find(|(each, _)| each == path)
            .map(|(_, bytes)| bytes.as_slice())
    }

    /// The files whose path begins so, in order.
    pub fn under<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.files
            .iter()
            .filter(move |(path, _)| path.starts_with(folder))
            .map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize, expected: &'static str) -> Result<&'a [u8], BundleError> {
        let damaged = BundleError {
            offset: self.offset,
            expected,
        };
        let end = self
            .offset
            .checked_add(length)
            .ok_or_else(|| damaged.clone())?;
        let taken = self.bytes.get(self.offset..end).ok_or(damaged)?;
        self.offset = end;
        Ok(taken)
    }

    fn number(&mut self, expected: &'static str) -> Result<usize, BundleError> {
        let mut number = [0; 4];
        number.copy_from_slice(self.take(4, expected)?);
        Ok(u32::from_le_bytes(number) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_FILES: &[u8] = b"TPB1\x02\0\0\0\x03\0\0\0a/b\x02\0\0\0xy\x01\0\0\0c\0\0\0\0";

    #[test]
    fn a_bundle_gives_its_files_by_path_and_by_folder() {
        let bundle = Bundle::parse(TWO_FILES).expect("it is one");
        assert_eq!(bundle.file("a/b"), Some(b"xy".as_slice()));
        assert_eq!(bundle.file("c"), Some(b"".as_slice()));
        assert_eq!(bundle.file("d"), None);
        assert_eq!(
            bundle.under("a/").collect::<Vec<_>>(),
            [("a/b", b"xy".as_slice())]
        );
    }

    #[test]
    fn a_bundle_cut_short_anywhere_or_with_a_rest_is_refused() {
        for end in 0..TWO_FILES.len() {
            assert!(
                Bundle::parse(&TWO_FILES[..end]).is_err(),
                "cut to {end} bytes"
            );
        }
        let longer = [TWO_FILES, b"z"].concat();
        let expected = BundleError {
            offset: TWO_FILES.len(),
            expected: "the end",
        };
        assert_eq!(Bundle::parse(&longer), Err(expected));
    }

    #[test]
    fn a_bundle_that_promises_more_than_there_is_costs_no_memory() {
        let mut promising = TWO_FILES.to_vec();
        promising[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(Bundle::parse(&promising).is_err());
        promising[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(
            Bundle::parse(&promising).map_err(|error| error.expected),
            Err("a path")
        );
    }
}
