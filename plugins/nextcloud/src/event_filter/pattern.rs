//! Regular expressions as Nextcloud reads them: a text `/…/flags`, handed to PCRE as it is.
//!
//! A text with that shape is an expression even if it was meant as a path: `/alice/files/inbox` is
//! the expression `alice/files` with the flags `inbox`, which PCRE refuses, so that nothing ever matches.

use globset::GlobBuilder;
use regex_syntax::ast::ErrorKind;
use regex_syntax::ast::parse::ParserBuilder;
use trigger_plugin_api::prelude::*;

/// What PHP knows of flags behind the last slash.
const FLAGS: &str = "imsxADSUXJun";
/// What the two dialects read differently.
const NOT_IN_PCRE: [(&str, &str); 6] = [
    (r"\u", r"\x{…}"),
    (r"\U", r"\x{…}"),
    (r"\<", r"\b"),
    (r"\>", r"\b"),
    (r"\b{", r"\b"),
    ("(?R", "a plain expression"),
];

/// The expression and the flags of a text that Nextcloud takes for a regular expression.
pub fn parts(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix('/')?;
    let rest = rest.strip_suffix('\n').unwrap_or(rest);
    let (body, flags) = rest.rsplit_once('/')?;
    let is_one = !body.contains('\n') && flags.bytes().all(|flag| flag.is_ascii_alphabetic());
    is_one.then_some((body, flags))
}

/// Whether PCRE takes an expression with its flags; the error is a sentence about it.
pub fn check(body: &str, flags: &str) -> Result<(), String> {
    if let Some(flag) = flags.chars().find(|flag| !FLAGS.contains(*flag)) {
        return Err(format!(
            "is read as a regular expression with the flags `{flags}`, and there is no flag `{flag}`; a path is written as an expression, with `\\/` for each slash"
        ));
    }
    if has_bare_slash(body) {
        return Err(
            "is read as a regular expression, in which every slash must be `\\/`".to_owned(),
        );
    }
    for (found, instead) in NOT_IN_PCRE {
        if body.replace(r"\\", "").contains(found) {
            return Err(format!(
                "has `{found}`, which PCRE reads otherwise; use {instead}"
            ));
        }
    }
    let mut parser = ParserBuilder::new()
        .ignore_whitespace(flags.contains('x'))
        .build();
    match parser.parse(body) {
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            ErrorKind::UnsupportedLookAround | ErrorKind::UnsupportedBackreference => Err(format!(
                "has {}, which cannot be checked here and is not sent unchecked; combine conditions by $and, $or and $nor instead",
                &body[error.span().start.offset..error.span().end.offset]
            )),
            kind => Err(format!(
                "is no regular expression: {kind}, at character {}",
                error.span().start.offset + 1
            )),
        },
    }
}

/// The expression for paths, below the files of any owner or with an owner, that `body` matches.
pub fn at_path(body: &str) -> String {
    format!(r"/^\/(?:[^\/]+\/files\/)?{body}$/sD")
}

/// The expression for names with one of these endings.
pub fn at_end(endings: &[&str]) -> String {
    format!(r"/\.(?:{})$/iD", endings.join("|"))
}

/// A glob as the body of an expression, by the engine that triggers' globs are matched with.
///
/// # Errors
/// `INVALID_INPUT` naming the glob that is none.
pub fn of_glob(glob: &str) -> Result<String> {
    let built = GlobBuilder::new(glob)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map_err(|error| {
            Error::invalid_input(format!(
                "parameters.paths has `{glob}`, which is not a glob: {}",
                error.kind()
            ))
        })?;
    let body = built.regex();
    let body = body.strip_prefix("(?-u)").unwrap_or(body);
    let body = body.strip_prefix('^').unwrap_or(body);
    let body = body.strip_suffix('$').unwrap_or(body);
    Ok(escape_slashes(body))
}

/// A text as an expression that matches it and nothing else.
pub fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, letter| {
        // Neither `_` nor these two mean anything by themselves, and escaped they may.
        if letter.is_ascii_punctuation() && !"_<>".contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
        escaped
    })
}

fn escape_slashes(body: &str) -> String {
    let mut escaped = String::with_capacity(body.len() + 8);
    let mut is_escaped = false;
    for letter in body.chars() {
        if letter == '/' && !is_escaped {
            escaped.push('\\');
        }
        is_escaped = letter == '\\' && !is_escaped;
        escaped.push(letter);
    }
    escaped
}

fn has_bare_slash(body: &str) -> bool {
    escape_slashes(body) != body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_between_slashes_is_an_expression_to_nextcloud() {
        for (text, found) in [
            (r"/^\/alice\//", Some((r"^\/alice\/", ""))),
            ("/admin_.*/i", Some(("admin_.*", "i"))),
            ("/alice/files/inbox", Some(("alice/files", "inbox"))),
            ("/alice/files/inbox/", Some(("alice/files/inbox", ""))),
            ("/alice/files/a.txt", None),
            ("alice", None),
            ("/alice", None),
            ("//", Some(("", ""))),
        ] {
            assert_eq!(parts(text), found, "{text}");
        }
    }

    #[test]
    fn what_pcre_would_refuse_is_refused() {
        for (text, why) in [
            ("/alice/files/inbox", "no flag"),
            ("/alice/files/inbox/", "every slash"),
            ("/(a/", "unclosed group"),
            ("/[a/", "unclosed character class"),
            ("/a**b(/", "unclosed group"),
            ("/*a/", "repetition operator missing expression"),
            ("/(?=a)b/", "(?="),
            (r"/(a)\1/", r"\1"),
            (r"/\u00e4/", r"\x{…}"),
        ] {
            let (body, flags) = parts(text).unwrap();
            let error = check(body, flags).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        for text in [
            r"/^\/[^\/]+\/files\/.*\.pdf$/iu",
            "/a/",
            r"/\\/",
            "/ a # b/x",
            "/ö/",
        ] {
            let (body, flags) = parts(text).unwrap();
            assert_eq!(check(body, flags), Ok(()), "{text}");
        }
    }

    #[test]
    fn globs_and_texts_become_expressions_that_pass_the_check() {
        for glob in [
            "inbox/*.pdf",
            "**/a[bc]/{d,e}?.txt",
            "**",
            "x/**/y",
            "wörld/!#~",
            "[!/]x",
        ] {
            let text = at_path(&of_glob(glob).unwrap());
            let (body, flags) = parts(&text).unwrap();
            assert_eq!(check(body, flags), Ok(()), "{text}");
        }
        assert_eq!(of_glob("inbox/*.pdf").unwrap(), r"inbox\/[^\/]*\.pdf");
        assert_eq!(escape("a.b/c-d_e ö"), r"a\.b\/c\-d_e ö");
        let error = of_glob("[a").unwrap_err();
        assert!(
            error.message.contains("parameters.paths has `[a`"),
            "{error}"
        );
    }
}
