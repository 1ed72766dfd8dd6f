//! Which programs may be run: those under a folder that the operator allowed, after links are
//! resolved. Whoever holds a workspace's token can name them, and run nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

/// The folders that the operator allowed.
#[derive(Clone, Debug, Default)]
pub struct CommandDirs(Vec<PathBuf>);

/// Why a program or folder may not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// No folder is allowed at all.
    #[error("no folder of programs is allowed; start the server with `--command-dir DIR`")]
    NoDirs,
    /// It is not there.
    #[error("`{path}` is not in any allowed folder ({dirs})")]
    Missing {
        /// As it was named.
        path: String,
        /// The allowed folders.
        dirs: String,
    },
    /// It is there, but a link or `..` leads out of the allowed folders.
    #[error("`{path}` leads out of the allowed folders ({dirs})")]
    Outside {
        /// As it was named.
        path: String,
        /// The allowed folders.
        dirs: String,
    },
    /// It is not a file that may be executed.
    #[error("`{path}` is not an executable file; make it one with `chmod +x`")]
    NotExecutable {
        /// As it was named.
        path: String,
    },
    /// It is not a folder.
    #[error("`{path}` is not a folder")]
    NotAFolder {
        /// As it was named.
        path: String,
    },
}

impl CommandDirs {
    /// Takes the folders as they were given; they are resolved anew at each use, so one that
    /// appears later counts from then on.
    pub fn new(dirs: impl IntoIterator<Item = PathBuf>) -> CommandDirs {
        CommandDirs(dirs.into_iter().collect())
    }

    /// The real path of a program. A relative path is looked for in each folder in turn, and
    /// nowhere else: neither `PATH` nor the server's own folder counts.
    pub fn program(&self, path: &str) -> Result<PathBuf, ProgramError> {
        let real = self.resolve(path)?;
        let is_executable = fs::metadata(&real)
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
        if !is_executable {
            return Err(ProgramError::NotExecutable {
                path: path.to_owned(),
            });
        }
        Ok(real)
    }

    /// The real path of a folder to start in.
    pub fn folder(&self, path: &str) -> Result<PathBuf, ProgramError> {
        let real = self.resolve(path)?;
        if !real.is_dir() {
            return Err(ProgramError::NotAFolder {
                path: path.to_owned(),
            });
        }
        Ok(real)
    }

    fn resolve(&self, path: &str) -> Result<PathBuf, ProgramError> {
        if self.0.is_empty() {
            return Err(ProgramError::NoDirs);
        }
        let outside = || ProgramError::Outside {
            path: path.to_owned(),
            dirs: self.list(),
        };
        let named = Path::new(path);
        // Refused before the file system is asked, so that nobody learns what stands elsewhere.
        if named.components().any(|part| part == Component::ParentDir) {
            return Err(outside());
        }
        let roots: Vec<PathBuf> = self.0.iter().flat_map(fs::canonicalize).collect();
        let is_under_a_root = |path: &Path| {
            let mut all = roots.iter().chain(&self.0);
            all.any(|root| path.starts_with(root))
        };
        if named.is_absolute() && !is_under_a_root(named) {
            return Err(outside());
        }
        // Joining an absolute path gives that path.
        let real = roots
            .iter()
            .find_map(|root| fs::canonicalize(root.join(named)).ok())
            .ok_or_else(|| ProgramError::Missing {
                path: path.to_owned(),
                dirs: self.list(),
            })?;
        if !roots.iter().any(|root| real.starts_with(root)) {
            return Err(outside());
        }
        Ok(real)
    }

    fn list(&self) -> String {
        let dirs: Vec<_> = self.0.iter().map(|dir| dir.display().to_string()).collect();
        dirs.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Folders {
        home: tempfile::TempDir,
        dirs: CommandDirs,
    }

    /// `allowed/run.sh` (executable), `allowed/notes` (not), `elsewhere/run.sh`, and links.
    fn folders() -> Folders {
        let home = tempfile::tempdir().expect("a folder");
        let at = |path: &str| home.path().join(path);
        for dir in ["allowed/sub", "elsewhere"] {
            fs::create_dir_all(at(dir)).expect("a folder");
        }
        for (file, mode) in [
            ("allowed/run.sh", 0o755),
            ("allowed/notes", 0o644),
            ("elsewhere/run.sh", 0o755),
        ] {
            fs::write(at(file), "#!/bin/sh\n").expect("a file");
            fs::set_permissions(at(file), fs::Permissions::from_mode(mode)).expect("a mode");
        }
        symlink(at("elsewhere/run.sh"), at("allowed/out")).expect("a link");
        symlink("run.sh", at("allowed/in")).expect("a link");
        symlink(at("elsewhere"), at("allowed/folder-out")).expect("a link");
        symlink(at("allowed"), at("link-to-allowed")).expect("a link");
        let dirs = CommandDirs::new([at("absent"), at("link-to-allowed")]);
        Folders { home, dirs }
    }

    #[test]
    fn programs_under_an_allowed_folder_are_found() {
        let folders = folders();
        let real = fs::canonicalize(folders.home.path().join("allowed/run.sh")).expect("a path");
        for named in ["run.sh", "./run.sh", "in"] {
            assert_eq!(folders.dirs.program(named), Ok(real.clone()), "{named}");
        }
        let absolute = [
            folders.home.path().join("link-to-allowed/run.sh"),
            real.clone(),
        ];
        for named in absolute {
            let named = named.to_str().expect("a text");
            assert_eq!(folders.dirs.program(named), Ok(real.clone()), "{named}");
        }
    }

    #[test]
    fn what_leads_out_is_refused() {
        let folders = folders();
        let elsewhere = folders.home.path().join("elsewhere/run.sh");
        for named in [
            "out",
            "folder-out/run.sh",
            "../elsewhere/run.sh",
            "sub/../run.sh",
            "/bin/sh",
            "/no/such/file",
            elsewhere.to_str().expect("a text"),
        ] {
            let refusal = folders.dirs.program(named).expect_err(named);
            assert!(
                matches!(refusal, ProgramError::Outside { .. }),
                "{named}: {refusal}"
            );
        }
    }

    #[test]
    fn what_cannot_be_run_says_why() {
        let folders = folders();
        let check = |named: &str| folders.dirs.program(named).expect_err(named);
        assert!(matches!(check("absent.sh"), ProgramError::Missing { .. }));
        assert!(matches!(check("sh"), ProgramError::Missing { .. }));
        assert!(matches!(check("notes"), ProgramError::NotExecutable { .. }));
        assert!(matches!(check("sub"), ProgramError::NotExecutable { .. }));
        assert_eq!(
            CommandDirs::default().program("run.sh"),
            Err(ProgramError::NoDirs)
        );
    }

    #[test]
    fn folders_to_start_in_are_held_to_the_same_rule() {
        let folders = folders();
        assert!(folders.dirs.folder("sub").is_ok());
        assert!(matches!(
            folders.dirs.folder("folder-out"),
            Err(ProgramError::Outside { .. })
        ));
        assert!(matches!(
            folders.dirs.folder("run.sh"),
            Err(ProgramError::NotAFolder { .. })
        ));
    }
}
