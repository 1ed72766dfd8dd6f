//! Columns for people.

use serde_json::Value;

/// Longer cells are cut, unless they stand in the last column.
const CELL_MAX: usize = 60;

/// A column: its title, and where its value stands in an item (a JSON pointer).
pub type Column = (&'static str, &'static str);

/// Prints items as aligned columns; says so if there are none.
pub fn print(columns: &[Column], items: &[Value], none: &str) {
    if items.is_empty() {
        println!("{none}");
        return;
    }
    print!("{}", text(columns, items));
}

/// Prints the fields of one item, a line each.
pub fn print_item(item: &Value) {
    let fields = item.as_object().into_iter().flatten();
    let width = fields.clone().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, value) in fields.filter(|(_, value)| !value.is_null()) {
        let shown = printable(&cell(value));
        let mut lines = shown.lines();
        println!("{name:width$}  {}", lines.next().unwrap_or_default());
        for line in lines {
            println!("{:width$}  {line}", "");
        }
    }
}

/// Prints what a program wrote, without its control characters.
pub fn print_text(text: &str) {
    println!("{}", printable(text.trim_end()));
}

fn text(columns: &[Column], items: &[Value]) -> String {
    let last = columns.len().saturating_sub(1);
    let mut rows: Vec<Vec<String>> = vec![columns.iter().map(|(title, _)| (*title).to_owned()).collect()];
    for item in items {
        let cells = columns.iter().enumerate().map(|(index, (_, pointer))| {
            let shown = one_line(&cell(item.pointer(pointer).unwrap_or(&Value::Null)));
            if index == last { shown } else { cut(shown) }
        });
        rows.push(cells.collect());
    }
    let widths: Vec<usize> = (0..columns.len())
        .map(|index| rows.iter().map(|row| row[index].chars().count()).max().unwrap_or_default())
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count()));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        Value::Object(_) | Value::Array(_) => serde_json::to_string_pretty(value).unwrap_or_default(),
        other => other.to_string(),
    }
}

/// Control characters of what strangers sent do not reach the terminal.
fn printable(text: &str) -> String {
    let shown = |letter: char| match letter {
        '\n' | '\t' => letter,
        _ if letter.is_control() => '\u{fffd}',
        _ => letter,
    };
    text.chars().map(shown).collect()
}

/// The same on one line.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut blank = false;
    for letter in text.chars() {
        if letter.is_whitespace() {
            blank = !line.is_empty();
        } else {
            if std::mem::take(&mut blank) {
                line.push(' ');
            }
            line.push(if letter.is_control() { '\u{fffd}' } else { letter });
        }
    }
    line
}

fn cut(text: String) -> String {
    if text.chars().count() <= CELL_MAX {
        return text;
    }
    let mut short: String = text.chars().take(CELL_MAX - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_aligned_and_control_characters_are_shown_as_such() {
        let items = [
            json!({"id": "job_1", "state": "done", "result": {"a": 1}}),
            json!({"id": "job_22", "state": null, "result": "one\u{1b}[31m\ntwo"}),
        ];
        expect![[r#"
            ID      STATE  RESULT
            job_1   done   { "a": 1 }
            job_22  -      one�[31m two
        "#]]
        .assert_eq(&text(&[("ID", "/id"), ("STATE", "/state"), ("RESULT", "/result")], &items));
    }
}
