//! Tables for people: aligned columns, colours only on a terminal.

use std::io::IsTerminal as _;

use super::output::{print_text, steers};

/// How a cell is painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Paint {
    #[default]
    Plain,
    Good,
    Busy,
    Bad,
    Faint,
}

/// A cell.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    pub text: String,
    pub paint: Paint,
}

impl Cell {
    pub fn plain(text: impl Into<String>) -> Cell {
        Cell {
            text: one_line(&text.into()),
            paint: Paint::Plain,
        }
    }

    /// Not cut off, however long it is: for the last column, where a terminal wraps it.
    pub fn whole(text: &str) -> Cell {
        Cell {
            text: unsteered(text),
            paint: Paint::Plain,
        }
    }

    pub fn faint(text: impl Into<String>) -> Cell {
        Cell {
            paint: Paint::Faint,
            ..Cell::plain(text)
        }
    }

    /// A state or outcome, in its colour.
    pub fn state(text: &str) -> Cell {
        let paint = match text {
            "done" | "ok" | "active" | "enabled" | "loaded" | "handled" | "accepted"
            | "created" => Paint::Good,
            "ready" | "running" | "pending" | "answered" | "updated" | "discovered" => Paint::Busy,
            "dead" | "failed" | "timeout" | "refused" | "lost" | "degraded" | "quarantined"
            | "missing" | "deleted" | "needs_reconnect" => Paint::Bad,
            _ => Paint::Faint,
        };
        Cell {
            paint,
            ..Cell::plain(text)
        }
    }
}

/// Rows under a head.
#[derive(Debug)]
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub fn new(head: &[&'static str]) -> Table {
        Table {
            head: head.to_vec(),
            rows: Vec::new(),
        }
    }

    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// As standard output takes it.
    pub fn print(&self) {
        print_text(&self.render(is_coloured()));
    }

    fn render(&self, coloured: bool) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let widest = cells
                .map(|cell| cell.text.chars().count())
                .max()
                .unwrap_or(0);
            widest.max(self.head.get(column).map_or(0, |head| head.chars().count()))
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let head = self.head.iter().map(|head| Cell::faint(*head)).collect();
        let mut text = String::new();
        for row in std::iter::once(&head).chain(&self.rows) {
            let mut line = String::new();
            let last = row.len().saturating_sub(1);
            for (column, cell) in row.iter().enumerate() {
                line.push_str(&painted(&cell.text, cell.paint, coloured));
                if column < last {
                    let used = cell.text.chars().count();
                    let gap = widths.get(column).map_or(0, |width| width - used) + 2;
                    line.push_str(&" ".repeat(gap));
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Whether standard output takes colours.
pub fn is_coloured() -> bool {
    let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !is_refused && std::io::stdout().is_terminal()
}

/// The text in its colour.
pub fn painted(text: &str, paint: Paint, coloured: bool) -> String {
    let code = match paint {
        Paint::Good => "32",
        Paint::Busy => "33",
        Paint::Bad => "31",
        Paint::Faint => "2",
        Paint::Plain => return text.to_owned(),
    };
    if !coloured || text.is_empty() {
        return text.to_owned();
    }
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// What was stored may come from anyone: nothing that steers it reaches the terminal.
pub fn one_line(text: &str) -> String {
    const LONGEST: usize = 120;
    let cut = text
        .char_indices()
        .nth(LONGEST)
        .map_or(text, |(end, _)| &text[..end]);
    let mut line = unsteered(cut);
    if text.chars().nth(LONGEST).is_some() {
        line.push('…');
    }
    line
}

/// The same, whole.
pub fn unsteered(text: &str) -> String {
    text.chars()
        .map(|c| if steers(c) { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["ID", "STATE", "RUNNABLE"]);
        table.row(vec![
            Cell::plain("job_1"),
            Cell::state("done"),
            Cell::plain("f/demo/record"),
        ]);
        table.row(vec![
            Cell::plain("job_22"),
            Cell::state("cancelled"),
            Cell::plain("f/x/y"),
        ]);
        expect![[r#"
            ID      STATE      RUNNABLE
            job_1   done       f/demo/record
            job_22  cancelled  f/x/y
        "#]]
        .assert_eq(&table.render(false));
    }

    #[test]
    fn colours_do_not_move_columns() {
        let mut table = Table::new(&["STATE", "X"]);
        table.row(vec![Cell::state("done"), Cell::plain("1")]);
        let plain = table
            .render(true)
            .replace("\x1b[32m", "")
            .replace("\x1b[2m", "");
        assert_eq!(plain.replace("\x1b[0m", ""), table.render(false));
    }

    #[test]
    fn what_a_stranger_stored_cannot_steer_the_terminal() {
        assert_eq!(one_line("a\x1b[31mb\r\nc"), "a [31mb  c");
        assert_eq!(one_line("a\u{9b}2Jb\u{7f}c\u{202e}d"), "a 2Jb c d");
        assert_eq!(one_line(&"ä".repeat(200)).chars().count(), 121);
        assert_eq!(one_line(&"ä".repeat(120)).chars().count(), 120);
        let long = format!("a\n{}", "x".repeat(200));
        assert_eq!(Cell::whole(&long).text, long.replace('\n', " "));
    }
}
