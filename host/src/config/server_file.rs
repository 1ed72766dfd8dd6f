//! `server.json` in the data directory: how clients on the same machine find the server by
//! themselves. It holds no secret, only the path of the file that does.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

const NAME: &str = "server.json";

/// What a running server says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFile {
    /// The base of its API, as this machine reaches it.
    pub url: String,
    /// The file with the first admin token.
    pub admin_token_file: PathBuf,
    /// The process that wrote this.
    pub pid: u32,
}

impl ServerFile {
    /// Writes it into `data`, in one step, so that a reader never sees half of it.
    pub fn write(&self, data: &Path) -> io::Result<()> {
        let draft = data.join(format!(".{NAME}.{}", self.pid));
        std::fs::write(&draft, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(draft, data.join(NAME))
    }

    /// Takes it away again at the end, unless another server has written its own since.
    pub fn remove(&self, data: &Path) {
        if ServerFile::read(data).as_ref() == Some(self) {
            // A file that cannot be removed is overwritten by the next start.
            let _ = std::fs::remove_file(data.join(NAME));
        }
    }

    /// What the server of this data directory said; `None` if none did.
    pub fn read(data: &Path) -> Option<ServerFile> {
        let text = std::fs::read(data.join(NAME)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// The first of these data directories whose server said something.
    pub fn find(directories: &[PathBuf]) -> Option<ServerFile> {
        directories.iter().find_map(|data| ServerFile::read(data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_finds_the_server_by_its_file() {
        let data = tempfile::tempdir().expect("a folder");
        let file = ServerFile {
            url: "http://127.0.0.1:8080".into(),
            admin_token_file: data.path().join("admin.token"),
            pid: 7,
        };
        let places = [PathBuf::from("/nowhere"), data.path().to_owned()];
        assert_eq!(ServerFile::find(&places), None);
        file.write(data.path()).expect("it is written");
        assert_eq!(ServerFile::find(&places), Some(file.clone()));

        let later = ServerFile {
            pid: 8,
            ..file.clone()
        };
        later.write(data.path()).expect("it is written");
        file.remove(data.path());
        assert_eq!(
            ServerFile::read(data.path()),
            Some(later),
            "another server's file stays"
        );
    }
}
