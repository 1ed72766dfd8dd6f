//! Times, sizes and rates as a manifest writes them: `1s`, `25MiB`, `500/s`.

use std::time::Duration;

macro_rules! text_unit {
    ($module:ident, $value:ty, $parse:expr, $print:expr, $shape:literal) => {
        pub(super) mod $module {
            use serde::{Deserialize, Deserializer, Serializer};

            #[allow(unused_imports)]
            use super::*;

            pub fn deserialize<'de, D>(deserializer: D) -> Result<Option<$value>, D::Error>
            where
                D: Deserializer<'de>,
            {
                let text = String::deserialize(deserializer)?;
                let parse: fn(&str) -> Option<$value> = $parse;
                parse(&text).map(Some).ok_or_else(|| {
                    serde::de::Error::custom(format!("found `{text}`, expected {}", $shape))
                })
            }

            pub fn serialize<S>(value: &Option<$value>, serializer: S) -> Result<S::Ok, S::Error>
            where
                S: Serializer,
            {
                let print: fn(&$value) -> String = $print;
                match value {
                    Some(value) => serializer.serialize_str(&print(value)),
                    None => serializer.serialize_none(),
                }
            }
        }
    };
}

text_unit!(
    text_duration,
    Duration,
    parse_duration,
    |d| format!("{}ms", d.as_millis()),
    "a time like `500ms`, `1s` or `2m`"
);
text_unit!(
    text_size,
    usize,
    parse_size,
    |size| size.to_string(),
    "a size like `512KiB`, `25MiB` or a number of bytes"
);
text_unit!(
    text_rate,
    u32,
    parse_rate,
    |rate| format!("{rate}/s"),
    "a rate like `500/s`"
);

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number = text[..digits].parse().ok()?;
    Some((number, text[digits..].trim_start()))
}

fn parse_duration(text: &str) -> Option<Duration> {
    match split_unit(text)? {
        (number, "ms") => Some(Duration::from_millis(number)),
        (number, "s") => Some(Duration::from_secs(number)),
        (number, "m") => Some(Duration::from_secs(number.checked_mul(60)?)),
        (number, "h") => Some(Duration::from_secs(number.checked_mul(3600)?)),
        _ => None,
    }
}

fn parse_size(text: &str) -> Option<usize> {
    let (number, unit) = split_unit(text)?;
    let factor = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    usize::try_from(number.checked_mul(factor)?).ok()
}

fn parse_rate(text: &str) -> Option<u32> {
    match split_unit(text)? {
        (number, "/s") if number > 0 => u32::try_from(number).ok(),
        _ => None,
    }
}
