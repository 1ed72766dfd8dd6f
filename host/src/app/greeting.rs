//! What the server says once when it is ready: where it is, and where the admin token is.

use std::path::Path;

use super::logging;

/// Where it is, and the token: shown once, like every token.
pub(super) fn greet(url: &str, token_file: &Path, first_token: Option<&str>) {
    let token = token_line(token_file, first_token, token_file.is_file());
    logging::greet(&format!("triggerd serves on {url}\n{token}\n"));
}

/// The first token is kept where the first host of a database has its data; on another host, or where
/// somebody took it away, there is none to point to.
fn token_line(token_file: &Path, first_token: Option<&str>, is_there: bool) -> String {
    let file = token_file.display();
    match (first_token, is_there) {
        (Some(token), _) => format!("first admin token (shown once, kept in {file}): {token}"),
        (None, true) => format!("the admin token is the one in {file}"),
        (None, false) => {
            "there are tokens already: the first admin token was shown when the first \
             server of this database started, which kept it in admin.token in its data folder"
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_not_pointed_to() {
        let file = Path::new("/data/admin.token");
        let first = token_line(file, Some("tt_x"), true);
        assert_eq!(
            first,
            "first admin token (shown once, kept in /data/admin.token): tt_x"
        );
        let again = token_line(file, None, true);
        assert_eq!(again, "the admin token is the one in /data/admin.token");
        let elsewhere = token_line(file, None, false);
        assert!(!elsewhere.contains("/data"), "{elsewhere}");
    }
}
