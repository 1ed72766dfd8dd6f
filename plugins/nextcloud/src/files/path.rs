//! A path as Nextcloud sends it, `/alice/files/inbox/a.pdf`, beside the one that people see, `/inbox/a.pdf`.
//!
//! A pattern may mean either: operators know the second, and with the first they can name an owner.

use trigger_plugin_api::prelude::*;
use trigger_plugin_api::rules::glob::Globs;

/// Where a file is. Both parts are without a slash at their beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilePath<'p> {
    /// With owner and area: `alice/files/inbox/a.pdf`.
    whole: &'p str,
    /// Below the owner's files; absent in the trash bin and the like.
    shown: Option<&'p str>,
}

/// Globs in the order they were given; the last that matches decides, as in the declared filters.
#[derive(Debug)]
pub struct PathGlobs {
    patterns: Vec<(Sense, Globs)>,
}

/// Whether a glob takes paths or, with its leading `!`, takes them out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sense {
    Takes,
    TakesOut,
}

impl<'p> FilePath<'p> {
    /// Reads what an event says.
    pub fn of(path: &'p str) -> Self {
        let whole = path.trim_start_matches('/');
        let within = whole.split_once('/').map(|(_, rest)| rest);
        let shown = within.and_then(|within| match within.strip_prefix("files") {
            Some("") => Some(""),
            Some(rest) => rest.strip_prefix('/'),
            None => None,
        });
        Self { whole, shown }
    }

    /// Whether it is this folder or lies below it.
    pub fn lies_in(&self, folder: &str) -> bool {
        let folder = folder.trim_matches('/');
        let below = |path: &str| {
            path.strip_prefix(folder)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        folder.is_empty() || below(self.whole) || self.shown.is_some_and(below)
    }

    /// The last part of the path.
    pub fn name(&self) -> &'p str {
        self.whole.rsplit('/').next().unwrap_or(self.whole)
    }
}

impl PathGlobs {
    /// Compiles globs.
    ///
    /// # Errors
    /// `INVALID_INPUT` naming the glob that is none.
    pub fn new<'g>(globs: impl IntoIterator<Item = &'g str>) -> Result<Self> {
        let compile = |glob: &'g str| {
            let (sense, pattern) = sense(glob);
            let compiled = Globs::new([pattern], false).map_err(Error::invalid_input)?;
            Ok((sense, compiled))
        };
        Ok(Self {
            patterns: globs.into_iter().map(compile).collect::<Result<_>>()?,
        })
    }

    /// With only `!` patterns, everything else matches.
    pub fn matches(&self, path: &FilePath<'_>) -> bool {
        let at_first = self
            .patterns
            .iter()
            .all(|(sense, _)| *sense == Sense::TakesOut);
        let fits = |globs: &Globs| {
            globs.matches(path.whole) || path.shown.is_some_and(|shown| globs.matches(shown))
        };
        let deciding = self.patterns.iter().rev().find(|(_, globs)| fits(globs));
        deciding.map_or(at_first, |(sense, _)| *sense == Sense::Takes)
    }
}

/// What a glob does, and the glob without `!` and without the slash that stands for the top.
pub fn sense(glob: &str) -> (Sense, &str) {
    let (sense, pattern) = match glob.strip_prefix('!') {
        Some(pattern) => (Sense::TakesOut, pattern),
        None => (Sense::Takes, glob),
    };
    (sense, pattern.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(globs: &[&str], path: &str, matches: bool) {
        let compiled = PathGlobs::new(globs.iter().copied()).unwrap();
        assert_eq!(
            compiled.matches(&FilePath::of(path)),
            matches,
            "{globs:?} {path}"
        );
    }

    #[test]
    fn a_glob_means_the_path_that_people_see_or_the_one_with_its_owner() {
        for (glob, matches) in [
            ("/inbox/*.pdf", true),
            ("inbox/*.pdf", true),
            ("/alice/files/inbox/*.pdf", true),
            ("/*/files/inbox/**", true),
            ("**/*.pdf", true),
            ("/bob/files/inbox/*.pdf", false),
            ("*.pdf", false),
            ("/inbox", false),
        ] {
            check(&[glob], "/alice/files/inbox/a.pdf", matches);
        }
    }

    #[test]
    fn what_is_taken_out_is_out_under_either_path() {
        check(&["!/drafts/**"], "/alice/files/drafts/a.txt", false);
        check(&["!/drafts/**"], "/alice/files/inbox/a.txt", true);
        check(&["**", "!/alice/**", "/x/a"], "/alice/files/x/a", true);
        check(&["**", "!/alice/**"], "/alice/files/x/b", false);
    }

    #[test]
    fn outside_of_the_files_a_path_is_matched_whole() {
        let trashed = "/alice/files_trashbin/files/a.txt.d1795213590";
        check(&["/files_trashbin/**"], trashed, false);
        check(&["/alice/files_trashbin/**"], trashed, true);
        check(&["**"], trashed, true);
    }

    #[test]
    fn a_folder_holds_itself_and_what_is_below_it() {
        for (folder, path, lies) in [
            ("/inbox", "/alice/files/inbox", true),
            ("/inbox/", "/alice/files/inbox/deep/a.txt", true),
            ("inbox", "/alice/files/inbox2/a.txt", false),
            ("/alice/files/inbox", "/alice/files/inbox/a.txt", true),
            ("/", "/alice/files/a.txt", true),
            ("/files", "/alice/files/a.txt", false),
        ] {
            assert_eq!(FilePath::of(path).lies_in(folder), lies, "{folder} {path}");
        }
    }
}
