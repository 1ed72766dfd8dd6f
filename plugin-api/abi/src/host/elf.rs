//! Finds our section in a file, and sees to it that all that its headers speak of is there: who
//! maps a library that is cut short dies of a bus error at its first missing page.

use object::LittleEndian;
use object::elf;
use object::read::ReadRef;
use object::read::elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _};

use super::PreflightError;
use crate::section;

type FileHeader = elf::FileHeader64<LittleEndian>;

const EXPECTED_MACHINE: u16 = if cfg!(target_arch = "aarch64") {
    183
} else {
    62
};
const FILE_HEADER_LEN: u64 = 64;
const SECTION_HEADER_LEN: u64 = 64;
const PROGRAM_HEADER_LEN: u64 = 56;

/// A library has a few dozen sections and segments, and short names for them. More is not read: what a
/// stranger's file makes us read is far less than the file.
const HEADERS_MAX: u64 = 4096;
const NAMES_MAX: u64 = 1 << 20;
/// So long is our section at most: the declaration is most of it.
const SECTION_MAX: u64 = 16 << 20;

/// The bytes of our section in a whole, shared ELF file for this CPU.
pub(super) fn plugin_section<'a>(file: impl ReadRef<'a>) -> Result<&'a [u8], PreflightError> {
    let len = file.len().map_err(|()| corrupted("its length"))?;
    check_identity(file, len)?;
    let header = FileHeader::parse(file).map_err(|_| corrupted("the file header"))?;
    let endian = header.endian().map_err(|_| corrupted("the byte order"))?;
    check_kind(header.e_type(endian).0)?;

    let whole = Whole { len };
    let (programs_at, programs) = (header.e_phoff(endian), u64::from(header.e_phnum(endian)));
    few(programs, "the number of program headers")?;
    whole.holds(
        programs_at,
        programs * PROGRAM_HEADER_LEN,
        "the program headers",
    )?;
    let (sections_at, sections) = (header.e_shoff(endian), u64::from(header.e_shnum(endian)));
    if sections == 0 {
        // None, or so many that the number stands elsewhere.
        return Err(PreflightError::NotAPlugin);
    }
    few(sections, "the number of section headers")?;
    whole.holds(
        sections_at,
        sections * SECTION_HEADER_LEN,
        "the section headers",
    )?;

    let programs = header
        .program_headers(endian, file)
        .map_err(|_| corrupted("the program headers"))?;
    for program in programs {
        whole.holds(
            program.p_offset(endian),
            program.p_filesz(endian),
            "a program header",
        )?;
    }
    if programs
        .iter()
        .any(|program| program.p_type(endian) == elf::PT_INTERP)
    {
        return Err(PreflightError::NotShared {
            found: "a program".to_owned(),
        });
    }
    let sections = header
        .sections(endian, file)
        .map_err(|_| corrupted("the section headers"))?;
    for section in sections.iter() {
        if let Some((offset, size)) = section.file_range(endian) {
            whole.holds(offset, size, "a section header")?;
        }
    }
    let names = header
        .section_strings_index(endian, file)
        .and_then(|index| sections.section(index))
        .map_err(|_| corrupted("the names of sections"))?;
    let names = range(names.file_range(endian), NAMES_MAX, "the names of sections")?;
    let names = file
        .read_bytes_at(names.0, names.1)
        .map_err(|()| corrupted("the names of sections"))?;
    let is_ours = |header: &&elf::SectionHeader64<LittleEndian>| {
        let name = names.get(header.sh_name(endian) as usize..);
        let rest = name.and_then(|name| name.strip_prefix(section::NAME.as_bytes()));
        rest.is_some_and(|rest| rest.first() == Some(&0))
    };
    let ours = sections.iter().find(is_ours);
    let ours = ours.ok_or(PreflightError::NotAPlugin)?;
    let ours = range(ours.file_range(endian), SECTION_MAX, "our section")?;
    file.read_bytes_at(ours.0, ours.1)
        .map_err(|()| corrupted("our section"))
}

fn few(headers: u64, what: &str) -> Result<(), PreflightError> {
    match headers {
        ..=HEADERS_MAX => Ok(()),
        _ => Err(corrupted(what)),
    }
}

/// Offset and length of what lies in the file and is not too long.
fn range(found: Option<(u64, u64)>, max: u64, what: &str) -> Result<(u64, u64), PreflightError> {
    found
        .filter(|(_, size)| *size <= max)
        .ok_or_else(|| corrupted(what))
}

/// The sixteen bytes of identity and the machine, which mean the same in every ELF file.
fn check_identity<'a>(file: impl ReadRef<'a>, len: u64) -> Result<(), PreflightError> {
    let bytes = file
        .read_bytes_at(0, len.min(FILE_HEADER_LEN))
        .map_err(|()| corrupted("the file header"))?;
    if !bytes.starts_with(b"\x7fELF") {
        return Err(PreflightError::NotElf);
    }
    if len < FILE_HEADER_LEN {
        return Err(PreflightError::Truncated {
            found: len,
            expected: FILE_HEADER_LEN,
        });
    }
    let machine = match bytes[5] {
        2 => u16::from_be_bytes([bytes[18], bytes[19]]),
        _ => u16::from_le_bytes([bytes[18], bytes[19]]),
    };
    match (bytes[4], bytes[5], machine) {
        (2, 1, EXPECTED_MACHINE) => Ok(()),
        (class, order, machine) => Err(PreflightError::WrongArchitecture {
            found: architecture(class, order, machine),
            expected: std::env::consts::ARCH.to_owned(),
        }),
    }
}

fn architecture(class: u8, order: u8, machine: u16) -> String {
    let name = match machine {
        3 => "x86",
        8 => "mips",
        20 | 21 => "powerpc",
        22 => "s390x",
        40 => "arm",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv",
        258 => "loongarch",
        _ => return format!("an unknown CPU (ELF machine {machine})"),
    };
    let bits = if class == 1 { 32 } else { 64 };
    let order = if order == 2 {
        "big-endian"
    } else {
        "little-endian"
    };
    format!("{name} ({bits} bits, {order})")
}

fn check_kind(kind: u16) -> Result<(), PreflightError> {
    let found = match kind {
        3 => return Ok(()),
        1 => "an object file".to_owned(),
        2 => "a program".to_owned(),
        4 => "a core dump".to_owned(),
        other => format!("an ELF file of kind {other}"),
    };
    Err(PreflightError::NotShared { found })
}

struct Whole {
    len: u64,
}

impl Whole {
    fn holds(&self, offset: u64, size: u64, what: &str) -> Result<(), PreflightError> {
        let end = offset.checked_add(size).ok_or_else(|| corrupted(what))?;
        // No file of a provider is a terabyte long: such a number is damage, not a missing end.
        match end {
            end if end <= self.len => Ok(()),
            end if end >= 1 << 40 => Err(corrupted(what)),
            end => Err(PreflightError::Truncated {
                found: self.len,
                expected: end,
            }),
        }
    }
}

fn corrupted(what: &str) -> PreflightError {
    PreflightError::Corrupted {
        what: what.to_owned(),
    }
}
