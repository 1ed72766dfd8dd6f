//! Opening what lies in the folders: regular files and nothing else. A pipe or a device would hold
//! whoever opens or reads it, and with it the look at all the other files.

use std::fs::{File, Metadata, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a regular file; the error says what was found, without the path. The type is looked at after
/// the file was opened, so that nothing can take its place in between.
pub fn open_regular(path: &Path) -> Result<(File, Metadata), String> {
    let mut options = OpenOptions::new();
    // Without this flag a pipe that nobody writes to is opened when somebody does.
    options
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let file = options
        .open(path)
        .map_err(|error| format!("cannot be opened: {error}"))?;
    let metadata = file
        .metadata()
        .map_err(|error| format!("cannot be read: {error}"))?;
    if !metadata.is_file() {
        return Err("is not a regular file: put the file itself there".to_owned());
    }
    Ok((file, metadata))
}

/// The text of a regular file.
pub fn read_text(path: &Path) -> Result<String, String> {
    let (mut file, _) = open_regular(path)?;
    let mut text = String::new();
    file.read_to_string(&mut text)
        .map_err(|error| format!("cannot be read: {error}"))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_pipe_that_nobody_writes_to_is_refused_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe.yaml");
        let made = Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("mkfifo runs").success());
        for path in [&pipe, Path::new("/dev/zero"), folder.path()] {
            let error = read_text(path).expect_err("no regular file");
            assert!(error.contains("is not a regular file"), "{error}");
        }
        let file = folder.path().join("a.yaml");
        std::fs::write(&file, "provider: a\n").expect("written");
        assert_eq!(read_text(&file).as_deref(), Ok("provider: a\n"));
    }
}
