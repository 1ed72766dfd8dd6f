//! Lists of globs: `*` stays within a path segment, `**` crosses, `!glob` takes out again.

use globset::{GlobBuilder, GlobMatcher};

/// Globs in the order they were given; the last that matches decides.
#[derive(Debug, Clone)]
pub struct Globs {
    patterns: Vec<(Sense, GlobMatcher)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sense {
    Takes,
    TakesOut,
}

impl Globs {
    /// Compiles `patterns`; an error names the pattern and what is wrong with it.
    pub fn new<'a>(
        patterns: impl IntoIterator<Item = &'a str>,
        ignore_case: bool,
    ) -> Result<Self, String> {
        let compile = |text: &'a str| {
            let (sense, glob) = match text.strip_prefix('!') {
                Some(rest) => (Sense::TakesOut, rest),
                None => (Sense::Takes, text),
            };
            let built = GlobBuilder::new(glob)
                .literal_separator(true)
                .backslash_escape(true)
                .case_insensitive(ignore_case)
                .build()
                .map_err(|error| format!("`{text}` is not a glob: {}", error.kind()))?;
            Ok((sense, built.compile_matcher()))
        };
        let patterns = patterns
            .into_iter()
            .map(compile)
            .collect::<Result<_, String>>()?;
        Ok(Self { patterns })
    }

    /// With only `!` patterns, everything else matches.
    pub fn matches(&self, text: &str) -> bool {
        let at_first = self
            .patterns
            .iter()
            .all(|(sense, _)| *sense == Sense::TakesOut);
        let decides = |(sense, glob): &(Sense, GlobMatcher)| {
            glob.is_match(text).then_some(*sense == Sense::Takes)
        };
        self.patterns
            .iter()
            .rev()
            .find_map(decides)
            .unwrap_or(at_first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(patterns: &[&str], matching: &[&str], others: &[&str]) {
        let globs = Globs::new(patterns.iter().copied(), false).unwrap();
        for text in matching {
            assert!(globs.matches(text), "{patterns:?} should match {text}");
        }
        for text in others {
            assert!(!globs.matches(text), "{patterns:?} should not match {text}");
        }
    }

    #[test]
    fn a_star_stays_within_a_segment_and_two_cross() {
        check(
            &["release/*"],
            &["release/1"],
            &["release/1/2", "release", "xrelease/1"],
        );
        check(&["release/**"], &["release/1", "release/1/2"], &["main"]);
        check(&["**/*.rs"], &["a.rs", "src/deep/a.rs"], &["a.rsx"]);
        check(
            &["src/**/mod.rs"],
            &["src/mod.rs", "src/a/b/mod.rs"],
            &["mod.rs"],
        );
        check(
            &["v[0-9].?", "{main,dev}"],
            &["v1.2", "main", "dev"],
            &["v10.2", "maindev", "v1."],
        );
        check(&["main"], &["main"], &["Main", "mainline"]);
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        check(
            &["**", "!docs/**", "docs/api/**"],
            &["a", "docs/api/x"],
            &["docs/x"],
        );
        check(&["!docs/**"], &["src/a"], &["docs/a"]);
    }

    #[test]
    fn a_broken_glob_is_named() {
        let error = Globs::new(["ok", "[a"], false).unwrap_err();
        assert!(error.contains("`[a`"), "{error}");
    }
}
