//! Statements over many rows at once.
//!
//! The number of rows in one statement is a power of two, so that few texts exist and each stays
//! prepared. SQLite gets plain `?`: it looks numbered placeholders up one by one, which for a
//! thousand of them takes longer than the insert itself.

use std::sync::{Arc, RwLock};

use super::open::Backend;

/// The most rows in one statement. 64 rows of 18 columns stay far below SQLite's 32,766 and
/// PostgreSQL's 65,535 placeholders.
const ROWS_MAX: usize = 64;
const SIZES: usize = ROWS_MAX.ilog2() as usize + 1;

/// A statement's text around a list of rows.
pub(super) struct ManyRows {
    before: &'static str,
    /// One row in parentheses, `?` for each value.
    row: &'static str,
    /// What follows, with `?` for values too.
    after: &'static str,
    made: RwLock<[[Option<Arc<str>>; SIZES]; 2]>,
}

impl ManyRows {
    pub(super) const fn new(
        before: &'static str,
        row: &'static str,
        after: &'static str,
    ) -> ManyRows {
        ManyRows {
            before,
            row,
            after,
            made: RwLock::new([const { [const { None }; SIZES] }; 2]),
        }
    }

    /// The text for this many rows, which must be a size of [`chunks`].
    pub(super) fn text(&self, backend: Backend, rows: usize) -> Arc<str> {
        let size = rows.ilog2() as usize;
        let dialect = usize::from(backend == Backend::Postgres);
        let made = self
            .made
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)[dialect][size]
            .clone();
        made.unwrap_or_else(|| {
            let text: Arc<str> = self.write(backend, rows).into();
            self.made
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner)[dialect][size] =
                Some(text.clone());
            text
        })
    }

    fn write(&self, backend: Backend, rows: usize) -> String {
        let mut text = String::with_capacity(self.before.len() + rows * self.row.len() * 2);
        match (self.before.strip_prefix("insert into"), backend) {
            // A row that is refused ends the transaction, as its error does anyway. Else SQLite
            // would copy each page before it changes it, to undo this statement alone.
            (Some(rest), Backend::Sqlite) => {
                text.push_str("insert or rollback into");
                text.push_str(rest);
            }
            _ => text.push_str(self.before),
        }
        let mut number = 0;
        for row in 0..rows {
            if row > 0 {
                text.push_str(", ");
            }
            push_numbered(&mut text, self.row, backend, &mut number);
        }
        push_numbered(&mut text, self.after, backend, &mut number);
        text
    }
}

fn push_numbered(text: &mut String, template: &str, backend: Backend, number: &mut usize) {
    for piece in template.split_inclusive('?') {
        match (piece.strip_suffix('?'), backend) {
            (Some(piece), Backend::Postgres) => {
                *number += 1;
                text.push_str(piece);
                text.push('$');
                text.push_str(&number.to_string());
            }
            _ => text.push_str(piece),
        }
    }
}

/// Cuts a list into pieces of 64, 32, 16, … 1.
pub(super) fn chunks<T>(mut items: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = items.len().min(ROWS_MAX).checked_ilog2()?;
        let (chunk, rest) = items.split_at(1 << size);
        items = rest;
        Some(chunk)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    static INSERT: ManyRows =
        ManyRows::new("insert into t values ", "(?, 'a', ?)", " returning id");

    #[test]
    fn a_list_is_cut_into_powers_of_two() {
        let items = [0u8; 151];
        let sizes: Vec<usize> = chunks(&items).map(<[u8]>::len).collect();
        assert_eq!(sizes, [64, 64, 16, 4, 2, 1]);
        assert_eq!(chunks(&items[..0]).count(), 0);
    }

    #[test]
    fn placeholders_are_those_of_the_database() {
        assert_eq!(
            &*INSERT.text(Backend::Sqlite, 2),
            "insert or rollback into t values (?, 'a', ?), (?, 'a', ?) returning id"
        );
        assert_eq!(
            &*INSERT.text(Backend::Postgres, 2),
            "insert into t values ($1, 'a', $2), ($3, 'a', $4) returning id"
        );
    }
}
