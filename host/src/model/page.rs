//! Pages of a list: newest first, the id of the last item is the cursor.

/// Which part of a list is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageQuery {
    /// The `next` of the page before; none for the first page.
    pub cursor: Option<String>,
    /// How many items at most; the store keeps it between 1 and [`PageQuery::LIMIT_MAX`].
    pub limit: u32,
}

impl PageQuery {
    /// The most items that one page holds.
    pub const LIMIT_MAX: u32 = 1000;

    /// The first page with this many items.
    pub fn first(limit: u32) -> PageQuery {
        PageQuery {
            cursor: None,
            limit,
        }
    }

    /// The limit within its bounds.
    pub fn limit_bounded(&self) -> u32 {
        self.limit.clamp(1, Self::LIMIT_MAX)
    }
}

impl Default for PageQuery {
    fn default() -> Self {
        PageQuery::first(50)
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Newest first.
    pub items: Vec<T>,
    /// The cursor of the next page; none on the last.
    pub next: Option<String>,
}
