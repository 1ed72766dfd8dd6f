//! Files that are not what they should be are refused, each for its own reason.

use std::fs;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::process::Command;

use tempfile::tempdir;
use trigger_plugin_abi::bundle::Bundle;
use trigger_plugin_abi::host::{self, Library, OpenError, PreflightError, Section};
use trigger_plugin_abi::section::MAGIC;
use trigger_plugin_api::declaration::Declaration;

use crate::support::{compile_c, fixture_library};

const PLAIN: &str = "int answer(void) { return 42; }\n";

fn preflight(bytes: &[u8]) -> Result<Section, PreflightError> {
    host::preflight(Cursor::new(bytes))
}

#[test]
fn a_library_cut_short_anywhere_is_refused() {
    let whole = library_bytes();
    assert!(preflight(&whole).is_ok());
    let steps = 2000;
    for step in 0..steps {
        let cut = &whole[..whole.len() * step / steps];
        assert!(
            preflight(cut).is_err(),
            "cut to {} of {} bytes",
            cut.len(),
            whole.len()
        );
    }
    let cut = preflight(&whole[..whole.len() - 1]).expect_err("its last byte is missing");
    assert_eq!(cut.kind(), "truncated", "{cut}");
    let expected = format!("it has {} bytes", whole.len() - 1);
    assert!(cut.to_string().contains(&expected), "{cut}");
}

#[test]
fn a_library_with_damaged_headers_is_refused_or_read_but_never_panics() {
    let whole = library_bytes();
    // Each byte of the file header, then of the section headers, turned around.
    let sections_at = u64::from_le_bytes(whole[40..48].try_into().expect("eight bytes")) as usize;
    let mut refused = 0;
    for at in (0..64).chain(sections_at..whole.len()) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        refused += usize::from(preflight(&damaged).is_err());
    }
    assert!(refused > 40, "only {refused} were refused");

    let mut far = whole.clone();
    far[40..48].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(
        preflight(&far).expect_err("its headers lie nowhere").kind(),
        "corrupted"
    );
}

/// What an inspection does with a library that it was given, whoever damaged it.
#[test]
fn a_library_damaged_anywhere_is_refused_or_read_but_never_panics() {
    let mut library = library_bytes();
    let whole = preflight(&library).expect("it is good");
    let section = section_at(&library);
    let headers = library.len() - 64 * 1024;
    let mut seed = 7_u64;
    let mut below = |bound: usize| {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (seed >> 33) as usize % bound
    };
    let (mut refused, mut other) = (0, 0);
    for round in 0..2000 {
        let at = match round % 4 {
            0 => below(1024),
            1 => headers + below(64 * 1024),
            2 => section + below(whole.bundle.len()),
            _ => below(library.len()),
        };
        let before = library[at];
        library[at] ^= 1 << below(8);
        match preflight(&library) {
            Err(_) => refused += 1,
            Ok(found) if found == whole => {}
            Ok(found) => {
                other += 1;
                if let Ok(bundle) = Bundle::parse(&found.bundle) {
                    let _ = Declaration::load(&bundle);
                }
            }
        }
        library[at] = before;
    }
    assert!(
        refused > 100 && other > 100,
        "{refused} refused, {other} others"
    );
    assert_eq!(preflight(&library), Ok(whole));
}

/// Counts the bytes that are read of a file.
struct Counted<'a>(Cursor<&'a [u8]>, &'a mut usize);

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        *self.1 += read;
        Ok(read)
    }
}

impl Seek for Counted<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn little_of_a_library_is_read_whatever_it_says() {
    let read_of = |bytes: &[u8]| {
        let mut count = 0;
        let looked = host::preflight(Counted(Cursor::new(bytes), &mut count));
        (looked, count)
    };
    let whole = library_bytes();
    let (looked, read) = read_of(&whole);
    let section = looked.expect("it is good");
    assert!(
        read < section.bundle.len() + 64 * 1024,
        "{read} bytes were read"
    );

    // So many section headers; as many program headers; and where the names of sections lie.
    let names_at = u64::from_le_bytes(whole[40..48].try_into().expect("eight bytes")) as usize
        + 64 * usize::from(u16::from_le_bytes([whole[62], whole[63]]));
    let all = (whole.len() as u64).to_le_bytes();
    let claims: [(usize, &[u8], &str); 4] = [
        (60, &u16::MAX.to_le_bytes(), "corrupted"),
        (60, &[0, 0], "not_a_plugin"),
        (56, &u16::MAX.to_le_bytes(), "corrupted"),
        (names_at + 24, &[&[0; 8], &all[..]].concat(), "corrupted"),
    ];
    assert!(
        whole.len() > 2 << 20,
        "the file is longer than names may be"
    );
    for (at, claim, kind) in claims {
        let mut bytes = whole.clone();
        bytes[at..at + claim.len()].copy_from_slice(claim);
        let (looked, read) = read_of(&bytes);
        assert_eq!(looked.expect_err("it says too much").kind(), kind, "{at}");
        assert!(read < 64 * 1024, "{at}: {read} bytes were read");
    }
}

#[test]
fn a_damaged_section_is_refused_with_the_place_of_the_damage() {
    let mut library = library_bytes();
    let at = section_at(&library);
    library[at + 16..at + 20].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(
        preflight(&library),
        Err(PreflightError::DamagedSection {
            offset: 16,
            expected: "the compiler"
        })
    );
}

#[test]
fn a_library_for_another_cpu_is_refused_by_name() {
    let mut library = library_bytes();
    let other: u16 = if cfg!(target_arch = "aarch64") {
        62
    } else {
        183
    };
    library[18..20].copy_from_slice(&other.to_le_bytes());
    let error = preflight(&library).expect_err("it is for another CPU");
    assert_eq!(error.kind(), "wrong_architecture");
    let name = if cfg!(target_arch = "aarch64") {
        "x86_64"
    } else {
        "aarch64"
    };
    assert!(error.to_string().contains(name), "{error}");
}

#[test]
fn a_library_for_another_c_library_is_refused() {
    let mut library = library_bytes();
    let at = section_at(&library);
    let end = (at + 200).min(library.len());
    let gnu = library[at..end]
        .windows(5)
        .position(|bytes| bytes == b"linux")
        .expect("a target");
    library[at + gnu..at + gnu + 5].copy_from_slice(b"other");
    assert_eq!(
        preflight(&library)
            .expect_err("it is for another system")
            .kind(),
        "wrong_target"
    );
}

#[test]
fn a_library_of_another_major_is_refused_with_both_versions() {
    let mut library = library_bytes();
    let at = section_at(&library);
    library[at + 8..at + 12].copy_from_slice(&[2, 0, 3, 0]);
    let error = preflight(&library).expect_err("it is of another major");
    assert_eq!(
        error,
        PreflightError::AbiMajor {
            found: (2, 3),
            expected: 1
        }
    );
    assert!(error.to_string().contains("2.3"), "{error}");
}

#[test]
fn a_library_that_would_end_the_host_by_a_panic_is_refused() {
    let mut library = library_bytes();
    let at = section_at(&library);
    library[at + 12] |= 2;
    assert_eq!(preflight(&library), Err(PreflightError::PanicAbort));
}

#[test]
fn files_that_are_no_libraries_are_refused_by_what_they_are() {
    assert_eq!(preflight(b"#!/bin/sh\n"), Err(PreflightError::NotElf));
    let program =
        fs::read(std::env::current_exe().expect("a test has a path")).expect("it is ours");
    assert_eq!(
        preflight(&program).expect_err("it is a program").kind(),
        "not_shared"
    );
}

#[test]
fn a_plain_library_is_refused_by_preflight_and_by_opening() {
    let dir = tempdir().expect("there is room");
    let plain = compile_c(dir.path(), "plain", PLAIN, &[]);
    let bytes = fs::read(&plain).expect("it was compiled");
    assert_eq!(preflight(&bytes), Err(PreflightError::NotAPlugin));
    assert!(matches!(
        Library::open(&plain),
        Err(OpenError::NoEntry { .. })
    ));
}

#[test]
fn a_library_with_an_undefined_symbol_is_refused_at_once_and_not_at_its_first_call() {
    let dir = tempdir().expect("there is room");
    let source = "int nobody_has_this(void);\nint call(void) { return nobody_has_this(); }\n";
    let library = compile_c(dir.path(), "undefined", source, &[]);
    let error = Library::open(&library).err().expect("a symbol is missing");
    assert!(error.to_string().contains("nobody_has_this"), "{error}");
}

#[test]
fn a_library_whose_dependency_is_missing_is_refused_by_its_name() {
    let dir = tempdir().expect("there is room");
    let dependency = compile_c(dir.path(), "libneeded", PLAIN, &[]);
    let source = "int answer(void);\nint call(void) { return answer(); }\n";
    let folder = format!("-L{}", dir.path().display());
    let library = compile_c(dir.path(), "needing", source, &[&folder, "-l:libneeded.so"]);
    fs::remove_file(dependency).expect("it is ours");
    let error = Library::open(&library)
        .err()
        .expect("its dependency is missing");
    assert!(error.to_string().contains("libneeded.so"), "{error}");
}

#[test]
fn a_constructor_that_exits_takes_only_the_process_along_that_opens_it() {
    const CHILD: &str = "TRIGGER_TEST_EXITING_LIBRARY";
    if let Some(library) = std::env::var_os(CHILD) {
        drop(Library::open(library.as_ref()));
        return;
    }
    let dir = tempdir().expect("there is room");
    let source =
        "#include <stdlib.h>\n__attribute__((constructor)) static void start(void) { _Exit(7); }\n";
    let library = compile_c(dir.path(), "exiting", source, &[]);
    let test = std::env::current_exe().expect("this test has a path");
    let name = "refused::a_constructor_that_exits_takes_only_the_process_along_that_opens_it";
    let child = Command::new(test)
        .args(["--exact", name])
        .env(CHILD, library)
        .output()
        .expect("this test can be run again");
    assert_eq!(child.status.code(), Some(7));
}

fn library_bytes() -> Vec<u8> {
    fs::read(fixture_library()).expect("the fixture was built")
}

/// Where our section begins: the magic followed by our version. The library's code holds the
/// magic too.
fn section_at(library: &[u8]) -> usize {
    let mut start = MAGIC.to_vec();
    start.extend(trigger_plugin_abi::ABI_MAJOR.to_le_bytes());
    library
        .windows(start.len())
        .position(|bytes| bytes == start)
        .expect("the library has our section")
}
