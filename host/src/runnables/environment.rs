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

/// Names of the right form that are refused all the same: with them, whoever may write a spec could
/// make a harmless program load other code, read other files or talk to somebody else. Loaders,
/// shells, interpreters and libraries take instructions from them.
const REFUSED: &[&str] = &[
    "ALL_PROXY",
    "BASHOPTS",
    "BROWSER",
    "CDPATH",
    "CLASSPATH",
    "EDITOR",
    "ENV",
    "FTP_PROXY",
    "GLOBIGNORE",
    "HOME",
    "HOSTALIASES",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "IFS",
    "INPUTRC",
    "JDK_JAVA_OPTIONS",
    "LESSCLOSE",
    "LESSOPEN",
    "LOCALDOMAIN",
    "LOCPATH",
    "MAKEFILES",
    "MAKEFLAGS",
    "NETRC",
    "NLSPATH",
    "NO_PROXY",
    "OLDPWD",
    "PAGER",
    "PATH",
    "PROMPT_COMMAND",
    "PS4",
    "PHPRC",
    "PWD",
    "RES_OPTIONS",
    "SHELL",
    "SHELLOPTS",
    "SSH_ASKPASS",
    "SSH_AUTH_SOCK",
    "TEMP",
    "TMP",
    "TMPDIR",
    "TZDIR",
    "VISUAL",
    "WGETRC",
    "ZDOTDIR",
];
const REFUSED_PREFIXES: &[&str] = &[
    "BASH_",
    "BUNDLE_",
    "CARGO_",
    "CURL_",
    "DOTNET_",
    "DYLD_",
    "ELECTRON_",
    "GCONV_",
    "GEM_",
    "GIO_",
    "GIT_",
    "GLIBC_",
    "GNUTLS_",
    "GODEBUG",
    "GOENV",
    "GOFLAGS",
    "GOPATH",
    "GOPROXY",
    "GOROOT",
    "GTK_",
    "JAVA_",
    "KRB5_",
    "LD_",
    "LIBC_",
    "LUA_",
    "MALLOC_",
    "NODE_",
    "NPM_CONFIG_",
    "OPENSSL_",
    "PERL",
    "PHP_",
    "PYTHON",
    "QT_",
    "REQUESTS_CA_",
    "RUBY",
    "RUSTC",
    "SSL_",
    "SUDO_",
    "TERMINFO",
    "TRIGGERD_",
    "XDG_",
];
const NAME_MAX: usize = 64;

/// Whether a program may be given a variable of this name; the error says which names it may.
pub fn check_variable_name(name: &str) -> Result<(), &'static str> {
    let has_form = name.len() <= NAME_MAX
        && name.starts_with(|first: char| first.is_ascii_uppercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if !has_form {
        return Err("a name like API_KEY: A to Z, 0 to 9 and `_`, a letter first, at most 64 long");
    }
    let is_refused = REFUSED.contains(&name)
        || REFUSED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix));
    if is_refused {
        return Err("another name: programs take instructions from this one, or the host sets it");
    }
    Ok(())
}

/// Checks a declared variable. Its value is not shown in the mistake: it may be a secret.
pub(super) fn check(field: &str, name: &str, value: &str) -> Result<(), SpecError> {
    let place = format!("{field}.{}", name.escape_debug());
    if let Err(expected) = check_variable_name(name) {
        return Err(SpecError::new(
            place,
            "a name that may not be set",
            expected,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_variables_win() {
        let job = JobContext {
            job_id: "job_00000000000000000000000000".parse().expect("an id"),
            attempt: 2,
            workspace: "default".into(),
            runnable: "f/t/echo".into(),
            trigger: None,
            event: None,
            arguments: "{}".into(),
        };
        let declared = ["PATH", "HOME", JOB_ID, ATTEMPT, "TRIGGERD_WORKSPACE", "OWN"];
        let declared = declared.map(|name| (name, "forged"));
        let all = build(&job, Path::new("/srv/x"), declared.into_iter());
        let forged: Vec<&&str> = all
            .iter()
            .filter(|(_, value)| value.to_str() == Some("forged"))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(forged, [&"OWN"]);
    }

    #[test]
    fn names_of_one_form_are_allowed_unless_they_steer_programs() {
        for name in [
            "A", "API_KEY", "X2", "LANG", "TZ", "LC_ALL", "HOMEPAGE", "PATHS",
        ] {
            assert_eq!(check_variable_name(name), Ok(()), "{name}");
        }
        let long = "A".repeat(65);
        let of_another_form = [
            "",
            "_A",
            "1A",
            "a",
            "Api_Key",
            "A-B",
            "A B",
            "A=B",
            "A\n",
            "\u{c4}",
            "http_proxy",
            &long,
        ];
        for name in of_another_form {
            assert!(
                check_variable_name(name).is_err_and(|said| said.contains("like API_KEY")),
                "{name}"
            );
        }
        let that_steer = [
            "PATH",
            "LD_PRELOAD",
            "BASH_ENV",
            "PYTHONPATH",
            "NODE_OPTIONS",
            "HTTPS_PROXY",
            "IFS",
            "GIT_SSH_COMMAND",
            "PERL5OPT",
            "RUBYOPT",
            "JAVA_TOOL_OPTIONS",
            "SSL_CERT_FILE",
            "GODEBUG",
            "LESSOPEN",
            "TMPDIR",
            "TRIGGERD_JOB_ID",
            "HOME",
        ];
        for name in that_steer {
            assert!(
                check_variable_name(name).is_err_and(|said| said.starts_with("another")),
                "{name}"
            );
        }
    }
}
