//! Printing: one JSON document for scripts, tables and lines for people.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::table::{Paint, is_coloured, one_line, painted};

/// Prints one document.
pub fn print_json(value: &Value) {
    println!("{value:#}");
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
        println!("{}", faint(&format!("more: --cursor {next}")));
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
        println!("{}{gap}{}", faint(label), one_line(value));
    }
}

/// A value under a heading, whole: JSON laid out, texts as they are but for control characters.
pub fn print_block(heading: &str, value: &Value) {
    let body = match value {
        Value::Null => return,
        Value::String(text) if text.is_empty() => return,
        Value::String(text) => safe(text),
        other => format!("{other:#}"),
    };
    println!("\n{}\n{}", faint(heading), body.trim_end());
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

/// Control characters but line ends and tabs could steer the terminal.
fn safe(text: &str) -> String {
    let keep = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars()
        .map(|c| if keep(c) { c } else { ' ' })
        .collect()
}
