//! The environment of a program: clean, the job's own variables, and what the spec declares.

use std::collections::BTreeMap;
use std::path::Path;

use crate::runnables::job::JobContext;
use crate::runnables::spec::SpecError;

/// Where programs that a script calls are found.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The job, in the environment of its program.
pub(super) const JOB_ID: &str = "TRIGGERD_JOB_ID";
/// The number of the attempt.
pub(super) const ATTEMPT: &str = "TRIGGERD_ATTEMPT";

/// Names with which whoever may write a spec could make a harmless program run other code: loaders,
/// shells and interpreters take instructions from them.
const REFUSED: &[&str] = &[
    "BASHOPTS",
    "BASH_ENV",
    "BROWSER",
    "CDPATH",
    "EDITOR",
    "ENV",
    "GCONV_PATH",
    "GLOBIGNORE",
    "HOME",
    "HOSTALIASES",
    "IFS",
    "JDK_JAVA_OPTIONS",
    "LESSOPEN",
    "LOCALDOMAIN",
    "LOCPATH",
    "MAKEFLAGS",
    "NLSPATH",
    "OPENSSL_CONF",
    "PAGER",
    "PATH",
    "PERLLIB",
    "PROMPT_COMMAND",
    "PS4",
    "RES_OPTIONS",
    "SHELL",
    "SHELLOPTS",
    "VISUAL",
    "ZDOTDIR",
    "_JAVA_OPTIONS",
];
const REFUSED_PREFIXES: &[&str] = &[
    "BASH_FUNC_",
    "DYLD_",
    "GIT_",
    "GLIBC_",
    "JAVA_TOOL",
    "LD_",
    "LUA_",
    "MALLOC_",
    "NODE_",
    "PERL5",
    "PHP",
    "PYTHON",
    "RUBY",
    "TRIGGERD_",
];

/// Checks a declared variable. Its value is not shown in the mistake: it may be a secret.
pub(super) fn check(field: &str, name: &str, value: &str) -> Result<(), SpecError> {
    let place = format!("{field}.{}", name.escape_debug());
    let mut letters = name.bytes();
    let is_name = letters
        .next()
        .is_some_and(|first| first == b'_' || first.is_ascii_alphabetic())
        && letters.all(|letter| letter == b'_' || letter.is_ascii_alphanumeric());
    if !is_name {
        return Err(SpecError::new(
            place,
            "no variable name",
            "letters, digits and `_`",
        ));
    }
    let is_refused = REFUSED.contains(&name)
        || REFUSED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix));
    if is_refused {
        return Err(SpecError::new(
            place,
            "a variable that programs take instructions from or that the host sets",
            "another name",
        ));
    }
    if value.contains('\0') {
        return Err(SpecError::new(place, "NUL", "text without NUL"));
    }
    Ok(())
}

/// All variables of a program: declared ones first, so that the host's own win.
pub(super) fn build<'a>(
    job: &'a JobContext,
    home: &'a Path,
    declared: impl Iterator<Item = (&'a str, &'a str)>,
) -> BTreeMap<&'a str, std::borrow::Cow<'a, std::ffi::OsStr>> {
    let text = |text: &'a str| std::borrow::Cow::Borrowed(std::ffi::OsStr::new(text));
    let mut variables: BTreeMap<_, _> = declared.map(|(name, value)| (name, text(value))).collect();
    variables.insert("PATH", text(PATH));
    variables.insert("HOME", home.as_os_str().into());
    variables.entry("LANG").or_insert(text("C.UTF-8"));
    variables.insert(JOB_ID, text(job.job_id.as_str()));
    variables.insert(
        ATTEMPT,
        std::ffi::OsString::from(job.attempt.to_string()).into(),
    );
    variables.insert("TRIGGERD_WORKSPACE", text(&job.workspace));
    variables.insert("TRIGGERD_RUNNABLE", text(&job.runnable));
    if let Some(trigger) = &job.trigger {
        variables.insert("TRIGGERD_TRIGGER", text(trigger));
    }
    if let Some(event) = &job.event {
        variables.insert("TRIGGERD_EVENT", text(&event.name));
        variables.insert("TRIGGERD_EVENT_ID", text(event.id.as_str()));
        variables.insert("TRIGGERD_PROVIDER", text(&event.provider));
        variables.insert("TRIGGERD_SUBSCRIPTION", text(&event.subscription));
    }
    variables
}
