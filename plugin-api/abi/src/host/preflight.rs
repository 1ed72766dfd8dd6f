//! Looks at a library's file before anything of it runs.

use std::fmt;
use std::io::{Read, Seek};

use object::ReadCache;

use super::elf;
use crate::ABI_MAJOR;
use crate::section::{self, Section};

/// Why a file is not a provider library that this host can open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PreflightError {
    /// Not an ELF file at all.
    NotElf,
    /// An ELF file, but not a shared library.
    NotShared {
        /// What it is.
        found: String,
    },
    /// The file ends before what its headers speak of.
    Truncated {
        /// The file's length in bytes.
        found: u64,
        /// The least that it would need.
        expected: u64,
    },
    /// The headers contradict themselves.
    Corrupted {
        /// What cannot be read.
        what: String,
    },
    /// Built for another CPU.
    WrongArchitecture {
        /// The file's.
        found: String,
        /// The host's.
        expected: String,
    },
    /// Built for the same CPU but another system or C library.
    WrongTarget {
        /// The file's.
        found: String,
        /// The host's.
        expected: String,
    },
    /// Built for instructions that this CPU does not have.
    CpuFeature {
        /// What is missing.
        missing: String,
    },
    /// A shared library without our section.
    NotAPlugin,
    /// A provider library whose section cannot be read.
    DamagedSection {
        /// Bytes from the section's start.
        offset: usize,
        /// What was expected there.
        expected: &'static str,
    },
    /// Built against another major version of the interface.
    AbiMajor {
        /// The file's version.
        found: (u16, u16),
        /// The host's major version.
        expected: u16,
    },
    /// A panic in it would end the host.
    PanicAbort,
}

impl PreflightError {
    /// A word for logs and lists, the same for every file that is refused for this reason.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotElf => "not_elf",
            Self::NotShared { .. } => "not_shared",
            Self::Truncated { .. } => "truncated",
            Self::Corrupted { .. } => "corrupted",
            Self::WrongArchitecture { .. } => "wrong_architecture",
            Self::WrongTarget { .. } => "wrong_target",
            Self::CpuFeature { .. } => "cpu_feature",
            Self::NotAPlugin => "not_a_plugin",
            Self::DamagedSection { .. } => "damaged_section",
            Self::AbiMajor { .. } => "abi_major",
            Self::PanicAbort => "panic_abort",
        }
    }
}

impl fmt::Display for PreflightError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => f.write_str("this is not an ELF file; expected a provider library (.so)"),
            Self::NotShared { found } => {
                write!(f, "this is {found}; expected a shared library, built with crate-type \"cdylib\"")
            }
            Self::Truncated { found, expected } => write!(
                f,
                "the file is cut short: it has {found} bytes and its headers speak of {expected}; copy it again"
            ),
            Self::Corrupted { what } => write!(f, "the file is damaged: cannot read {what}; copy it again"),
            Self::WrongArchitecture { found, expected } => {
                write!(f, "built for {found}; this host runs on {expected}; build it for {expected}")
            }
            Self::WrongTarget { found, expected } => {
                write!(f, "built for {found}; this host is {expected}; build it for that target")
            }
            Self::CpuFeature { missing } => write!(
                f,
                "built for the CPU feature {missing}, which this CPU does not have; build it without target-cpu=native"
            ),
            Self::NotAPlugin => write!(
                f,
                "a shared library without the section {}; expected a provider exported by export_provider!",
                section::NAME
            ),
            Self::DamagedSection { offset, expected } => write!(
                f,
                "the section {} is damaged at byte {offset}: expected {expected}; build it again",
                section::NAME
            ),
            Self::AbiMajor { found: (major, minor), expected } => write!(
                f,
                "built against version {major}.{minor} of the plugin interface; this host speaks {expected}.x; build it against that"
            ),
            Self::PanicAbort => f.write_str(
                "built with panic = \"abort\", by which a panic would end the host; build it with panic = \"unwind\"",
            ),
        }
    }
}

impl std::error::Error for PreflightError {}

/// Reads what a library says of itself, and refuses one that must not be opened. Runs nothing of
/// it and reads nothing but headers and that section, each offset checked against the file's length.
///
/// # Errors
/// The first reason to refuse it. What cannot be read counts as damaged.
pub fn preflight(file: impl Read + Seek) -> Result<Section, PreflightError> {
    let file = ReadCache::new(file);
    let section_bytes = elf::plugin_section(&file)?;
    let damaged = |error: section::SectionError| PreflightError::DamagedSection {
        offset: error.offset,
        expected: error.expected,
    };
    let found = section::decode_abi(section_bytes).map_err(damaged)?;
    if found.0 != ABI_MAJOR {
        return Err(PreflightError::AbiMajor {
            found,
            expected: ABI_MAJOR,
        });
    }
    let section = section::decode(section_bytes).map_err(damaged)?;
    if section.panic_abort {
        return Err(PreflightError::PanicAbort);
    }
    let expected = host_target();
    if !target_fits(&section.target, &expected) {
        return Err(PreflightError::WrongTarget {
            found: section.target,
            expected,
        });
    }
    match section
        .cpu_features
        .split(',')
        .find(|feature| !cpu_has(feature))
    {
        Some(missing) => Err(PreflightError::CpuFeature {
            missing: missing.to_owned(),
        }),
        None => Ok(section),
    }
}

/// `x86_64-linux-gnu`, without the vendor, which decides nothing.
fn host_target() -> String {
    let env = if cfg!(target_env = "musl") {
        "musl"
    } else {
        "gnu"
    };
    format!("{}-{}-{env}", std::env::consts::ARCH, std::env::consts::OS)
}

fn target_fits(found: &str, expected: &str) -> bool {
    let mut parts = found.split('-');
    expected
        .split('-')
        .all(|wanted| parts.any(|part| part == wanted))
}

/// Whether this CPU has the feature. Those that are not in the table belong to every CPU of the
/// architecture, or are no instructions at all.
#[cfg(target_arch = "x86_64")]
fn cpu_has(feature: &str) -> bool {
    macro_rules! detect {
        ($($name:tt)*) => {
            match feature {
                $($name => std::arch::is_x86_feature_detected!($name),)*
                _ => true,
            }
        };
    }
    detect!(
        "sse3" "ssse3" "sse4.1" "sse4.2" "popcnt" "avx" "avx2" "fma" "f16c" "bmi1" "bmi2" "lzcnt"
        "movbe" "aes" "pclmulqdq" "rdrand" "rdseed" "adx" "sha" "gfni" "vaes" "vpclmulqdq"
        "cmpxchg16b" "avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl" "avx512ifma"
        "avx512vbmi" "avx512vbmi2" "avx512vnni" "avx512bitalg" "avx512vpopcntdq" "avx512bf16"
        "avx512fp16"
    )
}

/// As above; other architectures are told apart by the ELF header alone.
#[cfg(not(target_arch = "x86_64"))]
fn cpu_has(_feature: &str) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn a_target_fits_whatever_its_vendor() {
        assert!(target_fits("x86_64-unknown-linux-gnu", "x86_64-linux-gnu"));
        assert!(!target_fits(
            "x86_64-unknown-linux-musl",
            "x86_64-linux-gnu"
        ));
        assert!(!target_fits(
            "aarch64-unknown-linux-gnu",
            "x86_64-linux-gnu"
        ));
        assert!(!target_fits("", "x86_64-linux-gnu"));
    }

    #[test]
    fn bytes_of_no_kind_are_refused_without_a_panic() {
        let preflight = |bytes: &[u8]| preflight(Cursor::new(bytes));
        assert_eq!(preflight(b""), Err(PreflightError::NotElf));
        assert_eq!(preflight(b"#!/bin/sh\n"), Err(PreflightError::NotElf));
        assert!(matches!(
            preflight(b"\x7fELF\x02\x01\x01"),
            Err(PreflightError::Truncated { .. })
        ));
    }
}
