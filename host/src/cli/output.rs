//! Printing: one JSON document for scripts, tables and lines for people.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::table::{Paint, is_coloured, one_line, painted};

/// Prints one document.
pub fn print_json(value: &Value) {
    print_line(json_text(value));
}

/// A text of an answer, empty if it is absent.
pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// A time of an answer in the local time zone: `2026-11-21 01:59:06`.
pub fn local_time(value: &Value, key: &str) -> String {
    let Some(text) = value[key].as_str() else {
        return String::new();
    };
    match text.parse::<Timestamp>() {
        Ok(at) => at
            .to_zoned(TimeZone::system())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string(),
        Err(_) => one_line(text),
    }
}

/// The items of a list.
pub fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map_or(&[], Vec::as_slice)
}

/// Says that there is more, if there is.
pub fn print_next(list: &Value) {
    if let Some(next) = list["next"].as_str() {
        print_line(faint(&format!("more: --cursor {next}")));
    }
}

/// `label: value` lines, aligned; empty values are left out.
pub fn print_facts(facts: &[(&str, String)]) {
    let shown = facts.iter().filter(|(_, value)| !value.is_empty());
    let width = shown
        .clone()
        .map(|(label, _)| label.chars().count())
        .max()
        .unwrap_or(0);
    for (label, value) in shown {
        let gap = " ".repeat(width - label.chars().count() + 2);
        // One line, and whole: what is shown by itself has the room.
        let value = safe(value).replace('\n', " ");
        print_line(format_args!("{}{gap}{value}", faint(label)));
    }
}

/// A value under a heading, whole: JSON laid out, texts as they are but for control characters.
pub fn print_block(heading: &str, value: &Value) {
    let body = match value {
        Value::Null => return,
        Value::String(text) if text.is_empty() => return,
        Value::String(text) => safe(text),
        other => json_text(other),
    };
    print_line(format_args!("\n{}\n{}", faint(heading), body.trim_end()));
}

/// A line that matters less.
pub fn faint(text: &str) -> String {
    painted(text, Paint::Faint, is_coloured())
}

/// As many words as are right for a number: `1 job`, `2 jobs`.
pub fn counted(count: usize, word: &str) -> String {
    if count == 1 {
        format!("1 {word}")
    } else {
        format!("{count} {word}s")
    }
}

/// Prints one line on standard output.
pub fn print_line(line: impl Display) {
    print_text(&format!("{line}\n"));
}

/// Prints a text on standard output. Who reads it may have seen enough (`| head`): the rest is
/// then dropped, and the command ends as it would have.
pub fn print_text(text: &str) {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("triggerd: the answer cannot be written: {error}");
            std::process::exit(1);
        }
        _ => {}
    }
}

/// Whether a character steers the terminal, or turns the direction of what follows so that it
/// reads as something else.
pub fn steers(c: char) -> bool {
    let turns = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    c.is_control() || turns
}

/// JSON laid out. What steers can only stand in texts, where its escape means the same.
fn json_text(value: &Value) -> String {
    let laid_out = format!("{value:#}");
    let mut text = String::with_capacity(laid_out.len());
    for c in laid_out.chars() {
        if steers(c) && c != '\n' {
            text.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            text.push(c);
        }
    }
    text
}

/// A text without what steers, but for line ends and tabs.
pub fn safe(text: &str) -> String {
    let keep = |c: char| !steers(c) || matches!(c, '\n' | '\t');
    text.chars()
        .map(|c| if keep(c) { c } else { ' ' })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STEERING: &str = "a\u{1b}[1m\u{7f}\u{9b}2J\u{202e}\u{2066}\u{200f}z";

    #[test]
    fn json_shows_what_steers_escaped_and_means_the_same() {
        let value = json!({ STEERING: [STEERING, "ä\n"] });
        let text = json_text(&value);
        assert!(!text.chars().any(|c| steers(c) && c != '\n'), "{text:?}");
        assert!(text.contains("\\u009b2J\\u202e"), "{text}");
        let read: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read, value);
    }

    #[test]
    fn a_text_is_shown_without_what_steers() {
        assert_eq!(safe(STEERING), "a [1m  2J   z");
        assert_eq!(safe("a\n\tb"), "a\n\tb");
    }
}
