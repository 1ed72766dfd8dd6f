//! Selections with optional conditions, and pages of them.

use sqlx::AnyConnection;

use super::StoreError;
use super::sql::{Bind, FromRow, Statement};
use crate::model::{Page, PageQuery};

type BindLater = Box<dyn FnOnce(&mut Statement<'static>) + Send>;

/// A `select` that grows by conditions. All text in it is a constant of the store's.
pub(super) struct Select {
    operation: &'static str,
    text: String,
    values: Vec<BindLater>,
}

impl Select {
    /// `from` reads `select … from …`.
    pub(super) fn new(operation: &'static str, from: &str) -> Select {
        Select {
            operation,
            text: format!("{from} where true"),
            values: Vec::new(),
        }
    }

    /// Adds `and CONDITION`, which takes no value.
    pub(super) fn and(mut self, condition: &'static str) -> Select {
        self.text.push_str(" and ");
        self.text.push_str(condition);
        self
    }

    /// Adds `and CONDITION $n`.
    pub(super) fn and_value(
        mut self,
        condition: &'static str,
        value: impl Bind<'static> + Send + 'static,
    ) -> Select {
        self = self.and(condition);
        self.values
            .push(Box::new(move |statement| statement.push(value)));
        self.text.push_str(&format!(" ${}", self.values.len()));
        self
    }

    /// The same if there is a value.
    pub(super) fn and_some(
        self,
        condition: &'static str,
        value: Option<impl Bind<'static> + Send + 'static>,
    ) -> Select {
        match value {
            Some(value) => self.and_value(condition, value),
            None => self,
        }
    }

    /// One page, newest first; `id` names the column and reads the cursor from an item.
    pub(super) async fn page<T: FromRow>(
        self,
        connection: &mut AnyConnection,
        query: &PageQuery,
        id: impl Fn(&T) -> &str,
    ) -> Result<Page<T>, StoreError> {
        let limit = query.limit_bounded();
        let mut select = self.and_some("id <", query.cursor.clone());
        select
            .text
            .push_str(&format!(" order by id desc limit {}", i64::from(limit) + 1));
        let mut items: Vec<T> = select.statement().all(connection).await?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items
            .last()
            .filter(|_| more)
            .map(|item| id(item).to_owned());
        Ok(Page { items, next })
    }

    fn statement(self) -> Statement<'static> {
        let mut statement = Statement::composed(self.operation, self.text);
        for value in self.values {
            value(&mut statement);
        }
        statement
    }
}
