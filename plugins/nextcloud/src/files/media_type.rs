//! Media types by the endings of names, which is how Nextcloud itself tells them.
//!
//! Events do not carry the type. The table follows Nextcloud's `mimetypemapping`, as far as people
//! filter by it; a type that is not in it is refused rather than never matched.

use trigger_plugin_api::prelude::*;

/// A type and the endings that mean it.
const TYPES: &[(&str, &[&str])] = &[
    ("application/epub+zip", &["epub"]),
    ("application/gzip", &["gz", "tgz"]),
    ("application/javascript", &["js", "mjs"]),
    ("application/json", &["json"]),
    ("application/msword", &["doc", "dot"]),
    ("application/pdf", &["pdf"]),
    ("application/pgp-keys", &["asc"]),
    ("application/postscript", &["ps", "eps", "ai"]),
    ("application/rtf", &["rtf"]),
    ("application/sql", &["sql"]),
    ("application/vnd.ms-excel", &["xls", "xlt"]),
    ("application/vnd.ms-outlook", &["msg"]),
    ("application/vnd.ms-powerpoint", &["ppt", "pps"]),
    ("application/vnd.oasis.opendocument.graphics", &["odg"]),
    ("application/vnd.oasis.opendocument.presentation", &["odp"]),
    ("application/vnd.oasis.opendocument.spreadsheet", &["ods"]),
    ("application/vnd.oasis.opendocument.text", &["odt"]),
    (
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        &["pptx"],
    ),
    (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        &["xlsx"],
    ),
    (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        &["docx"],
    ),
    ("application/vnd.visio", &["vsd", "vsdx"]),
    ("application/x-7z-compressed", &["7z"]),
    ("application/x-bzip2", &["bz2"]),
    ("application/x-photoshop", &["psd"]),
    ("application/x-rar-compressed", &["rar"]),
    ("application/x-tar", &["tar"]),
    ("application/x-tex", &["tex"]),
    ("application/xml", &["xml"]),
    ("application/yaml", &["yaml", "yml"]),
    ("application/zip", &["zip"]),
    ("audio/aac", &["aac"]),
    ("audio/flac", &["flac"]),
    ("audio/midi", &["mid", "midi"]),
    ("audio/mp4", &["m4a", "m4b"]),
    ("audio/mpeg", &["mp3"]),
    ("audio/ogg", &["ogg", "oga", "opus"]),
    ("audio/wav", &["wav"]),
    ("audio/webm", &["weba"]),
    ("font/otf", &["otf"]),
    ("font/ttf", &["ttf"]),
    ("font/woff", &["woff", "woff2"]),
    ("image/avif", &["avif"]),
    ("image/bmp", &["bmp"]),
    ("image/gif", &["gif"]),
    ("image/heic", &["heic"]),
    ("image/heif", &["heif"]),
    ("image/jpeg", &["jpg", "jpeg", "jpe"]),
    ("image/jxl", &["jxl"]),
    ("image/png", &["png"]),
    ("image/svg+xml", &["svg"]),
    ("image/tiff", &["tif", "tiff"]),
    ("image/webp", &["webp"]),
    (
        "image/x-dcraw",
        &["arw", "cr2", "cr3", "dng", "nef", "orf", "raf", "rw2"],
    ),
    ("image/x-xcf", &["xcf"]),
    ("message/rfc822", &["eml"]),
    ("text/calendar", &["ics"]),
    ("text/css", &["css"]),
    ("text/csv", &["csv"]),
    ("text/html", &["html", "htm"]),
    ("text/markdown", &["md", "markdown"]),
    ("text/plain", &["txt", "text", "log", "conf", "cfg", "ini"]),
    ("text/vcard", &["vcf"]),
    ("video/mp4", &["mp4", "m4v"]),
    ("video/mpeg", &["mpg", "mpeg"]),
    ("video/ogg", &["ogv"]),
    ("video/quicktime", &["mov", "qt"]),
    ("video/webm", &["webm"]),
    ("video/x-matroska", &["mkv"]),
    ("video/x-msvideo", &["avi"]),
];

/// The endings of a type such as `application/pdf`, or of all of a kind such as `image/*`.
///
/// # Errors
/// `INVALID_INPUT` when no ending is known for it.
pub fn endings(wanted: &str) -> Result<Vec<&'static str>> {
    let wanted = wanted.trim().to_ascii_lowercase();
    let fits = |name: &str| match wanted.strip_suffix('*') {
        Some(kind) => kind.ends_with('/') && name.starts_with(kind),
        None => name == wanted,
    };
    let found: Vec<&str> = TYPES
        .iter()
        .filter(|(name, _)| fits(name))
        .flat_map(|(_, endings)| endings.iter().copied())
        .collect();
    if found.is_empty() {
        return Err(Error::invalid_input(format!(
            "no ending of a name is known for the media type `{wanted}`; such types as `application/pdf` and `image/*` are, and for others there are paths: `**/*.xyz`"
        )));
    }
    Ok(found)
}

/// Whether a name has one of these endings, in either case.
pub fn has_ending(name: &str, endings: &[&str]) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    ending.is_some_and(|ending| endings.iter().any(|each| each.eq_ignore_ascii_case(ending)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_told_by_the_ending_of_the_name() {
        for (wanted, name, is_it) in [
            ("application/pdf", "letter.pdf", true),
            ("application/PDF", "LETTER.PDF", true),
            ("image/*", "photo.jpeg", true),
            ("image/*", "photo.jpeg.txt", false),
            ("text/plain", "txt", false),
            ("text/plain", ".txt", true),
        ] {
            let endings = endings(wanted).unwrap();
            assert_eq!(has_ending(name, &endings), is_it, "{wanted} {name}");
        }
    }

    #[test]
    fn a_type_that_no_ending_means_is_refused() {
        for wanted in ["application/x-unheard-of", "pdf", "*", "image", "", "im*"] {
            let error = endings(wanted).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidInput, "{wanted}");
        }
    }
}
