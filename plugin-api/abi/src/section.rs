//! What a library says of itself without being run: the bytes of its `.trigger_plugin` section.
//!
//! All numbers little-endian: magic (8 bytes), ABI major and minor (`u16` each), flags (`u32`),
//! then, each after its length (`u32`), compiler, target, CPU features, package, version and the
//! declaration's [`crate::bundle`]. Made at compile time, so that the bytes stand in the file as
//! they are, with nothing for the dynamic linker to fill in.

/// The section's name.
pub const NAME: &str = ".trigger_plugin";
/// Its first bytes; the last but one is the format's version.
pub const MAGIC: [u8; 8] = *b"TRIGPL1\0";

/// Flag: built without optimisation's assumptions, with debug assertions.
pub const FLAG_DEBUG: u32 = 1;
/// Flag: a panic in it ends the process.
pub const FLAG_PANIC_ABORT: u32 = 2;

const FIXED_LEN: usize = 16;

/// What goes into a section.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// [`FLAG_DEBUG`] and the like.
    pub flags: u32,
    /// `rustc 1.95.0 (…)`
    pub compiler: &'a str,
    /// `x86_64-unknown-linux-gnu`
    pub target: &'a str,
    /// With commas between.
    pub cpu_features: &'a str,
    /// The crate's name.
    pub package: &'a str,
    /// The crate's version.
    pub version: &'a str,
    /// The declaration.
    pub bundle: &'a [u8],
}

impl<'a> Parts<'a> {
    const fn fields(&self) -> [&'a [u8]; 6] {
        [
            self.compiler.as_bytes(),
            self.target.as_bytes(),
            self.cpu_features.as_bytes(),
            self.package.as_bytes(),
            self.version.as_bytes(),
            self.bundle,
        ]
    }

    /// How many bytes [`Parts::encode`] makes.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        let fields = self.fields();
        let mut len = FIXED_LEN;
        let mut index = 0;
        while index < fields.len() {
            len += 4 + fields[index].len();
            index += 1;
        }
        len
    }

    /// The section's bytes. `N` must be [`Parts::encoded_len`].
    #[must_use]
    pub const fn encode<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        let mut at = put(&mut out, 0, &MAGIC);
        at = put(&mut out, at, &crate::ABI_MAJOR.to_le_bytes());
        at = put(&mut out, at, &crate::ABI_MINOR.to_le_bytes());
        at = put(&mut out, at, &self.flags.to_le_bytes());
        let fields = self.fields();
        let mut index = 0;
        while index < fields.len() {
            at = put(&mut out, at, &(fields[index].len() as u32).to_le_bytes());
            at = put(&mut out, at, fields[index]);
            index += 1;
        }
        assert!(at == N, "the section's length is not what its parts need");
        out
    }
}

const fn put<const N: usize>(out: &mut [u8; N], at: usize, bytes: &[u8]) -> usize {
    let (_, rest) = out.split_at_mut(at);
    let (place, _) = rest.split_at_mut(bytes.len());
    place.copy_from_slice(bytes);
    at + bytes.len()
}

/// A section, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Major and minor version of the interface that it was built against.
    pub abi: (u16, u16),
    /// What compiled it.
    pub compiler: String,
    /// What it was compiled for.
    pub target: String,
    /// What it asks of the CPU, with commas between.
    pub cpu_features: String,
    /// Whether it is a debug build.
    pub debug: bool,
    /// Whether a panic in it would end the process.
    pub panic_abort: bool,
    /// The crate's name.
    pub package: String,
    /// The crate's version.
    pub version: String,
    /// The declaration, see [`crate::bundle::Bundle::parse`].
    pub bundle: Vec<u8>,
}

/// Why bytes are not a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectionError {
    /// Where the reading stopped, in bytes from the section's start.
    pub offset: usize,
    /// What was expected there.
    pub expected: &'static str,
}

/// The version alone, which stands at the same place in every format: read before the rest, so
/// that a library of another major is told apart from a damaged one.
///
/// # Errors
/// When the bytes do not begin as a section does.
pub fn decode_abi(bytes: &[u8]) -> Result<(u16, u16), SectionError> {
    let fixed = bytes
        .first_chunk::<FIXED_LEN>()
        .filter(|fixed| fixed.starts_with(b"TRIGPL"))
        .ok_or(SectionError {
            offset: 0,
            expected: "the magic TRIGPL1",
        })?;
    Ok((
        u16::from_le_bytes([fixed[8], fixed[9]]),
        u16::from_le_bytes([fixed[10], fixed[11]]),
    ))
}

/// Reads a section. Every length is checked against what is there.
///
/// # Errors
/// Where it stops being one.
pub fn decode(bytes: &[u8]) -> Result<Section, SectionError> {
    let abi = decode_abi(bytes)?;
    if !bytes.starts_with(&MAGIC) {
        return Err(SectionError {
            offset: 0,
            expected: "the magic TRIGPL1",
        });
    }
    let flags = u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
    let mut fields = Fields {
        bytes,
        offset: FIXED_LEN,
    };
    let section = Section {
        abi,
        debug: flags & FLAG_DEBUG != 0,
        panic_abort: flags & FLAG_PANIC_ABORT != 0,
        compiler: fields.text("the compiler")?,
        target: fields.text("the target")?,
        cpu_features: fields.text("the CPU features")?,
        package: fields.text("the package")?,
        version: fields.text("the version")?,
        bundle: fields.bytes("the declaration")?.to_vec(),
    };
    match fields.offset == bytes.len() {
        true => Ok(section),
        false => Err(SectionError {
            offset: fields.offset,
            expected: "the end",
        }),
    }
}

struct Fields<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Fields<'a> {
    fn bytes(&mut self, expected: &'static str) -> Result<&'a [u8], SectionError> {
        let damaged = SectionError {
            offset: self.offset,
            expected,
        };
        let rest = self.bytes.get(self.offset..).ok_or(damaged)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or(damaged)?;
        let length = u32::from_le_bytes(*length) as usize;
        let field = rest.get(..length).ok_or(damaged)?;
        self.offset += 4 + length;
        Ok(field)
    }

    fn text(&mut self, expected: &'static str) -> Result<String, SectionError> {
        let damaged = SectionError {
            offset: self.offset,
            expected,
        };
        let bytes = self.bytes(expected)?;
        std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|_| damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: Parts<'static> = Parts {
        flags: FLAG_DEBUG,
        compiler: "rustc 1.95.0",
        target: "x86_64-unknown-linux-gnu",
        cpu_features: "sse2",
        package: "acme",
        version: "0.1.0",
        bundle: b"TPB1",
    };
    const BYTES: [u8; PARTS.encoded_len()] = PARTS.encode();

    #[test]
    fn what_was_encoded_is_decoded() {
        let section = decode(&BYTES).expect("it is a section");
        assert_eq!(section.abi, (crate::ABI_MAJOR, crate::ABI_MINOR));
        assert!(section.debug && !section.panic_abort);
        assert_eq!(
            (section.package.as_str(), section.version.as_str()),
            ("acme", "0.1.0")
        );
        assert_eq!(
            (section.compiler.as_str(), section.cpu_features.as_str()),
            ("rustc 1.95.0", "sse2")
        );
        assert_eq!(section.target, "x86_64-unknown-linux-gnu");
        assert_eq!(section.bundle, b"TPB1");
    }

    #[test]
    fn a_section_cut_short_anywhere_or_with_a_rest_is_refused() {
        for end in 0..BYTES.len() {
            assert!(decode(&BYTES[..end]).is_err(), "cut to {end} bytes");
        }
        let longer = [BYTES.as_slice(), b"z"].concat();
        assert_eq!(
            decode(&longer).map_err(|error| error.expected),
            Err("the end")
        );
    }
}
