//! What statements run on: connections of the pools, reached through `sqlx::Any` since one text
//! serves two databases, and the direct one ([`super::direct`]).

use sqlx::any::AnyArguments;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, Arguments, Encode, Executor, Type};

use super::StoreError;
use super::database::WriterConnection;
use super::sql::{FromRow, Row, Statement, Value, within_time};
use super::transaction::Transaction;

pub(super) trait Connection: Send {
    /// How many rows it changed.
    fn run(
        &mut self,
        statement: Statement<'_>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    fn all<T: FromRow>(
        &mut self,
        statement: Statement<'_>,
    ) -> impl Future<Output = Result<Vec<T>, StoreError>> + Send;

    /// The first row, if there is one.
    fn one<T: FromRow>(
        &mut self,
        statement: Statement<'_>,
    ) -> impl Future<Output = Result<Option<T>, StoreError>> + Send;
}

impl Connection for AnyConnection {
    async fn run(&mut self, statement: Statement<'_>) -> Result<u64, StoreError> {
        let query = sqlx::query_with(statement.text, arguments(statement.values));
        within_time(statement.operation, self.execute(query))
            .await
            .map(|done| done.rows_affected())
    }

    async fn all<T: FromRow>(&mut self, statement: Statement<'_>) -> Result<Vec<T>, StoreError> {
        let query = sqlx::query_with(statement.text, arguments(statement.values));
        let rows = within_time(statement.operation, self.fetch_all(query)).await?;
        rows.iter().map(|row| T::from_row(&Row::Any(row))).collect()
    }

    async fn one<T: FromRow>(&mut self, statement: Statement<'_>) -> Result<Option<T>, StoreError> {
        let query = sqlx::query_with(statement.text, arguments(statement.values));
        let row = within_time(statement.operation, self.fetch_optional(query)).await?;
        row.as_ref()
            .map(|row| T::from_row(&Row::Any(row)))
            .transpose()
    }
}

macro_rules! connections {
    ($($type:ty)*) => {$(
        impl Connection for $type {
            async fn run(&mut self, statement: Statement<'_>) -> Result<u64, StoreError> {
                AnyConnection::run(self, statement).await
            }

            async fn all<T: FromRow>(&mut self, statement: Statement<'_>) -> Result<Vec<T>, StoreError> {
                AnyConnection::all(self, statement).await
            }

            async fn one<T: FromRow>(
                &mut self,
                statement: Statement<'_>,
            ) -> Result<Option<T>, StoreError> {
                AnyConnection::one(self, statement).await
            }
        }
    )*};
}

connections! { PoolConnection<Any> WriterConnection Transaction }

fn arguments(values: Vec<Value<'_>>) -> AnyArguments {
    let mut arguments = AnyArguments::default();
    for value in values {
        match value {
            Value::Text(text) => add(&mut arguments, text.map(std::borrow::Cow::into_owned)),
            Value::Number(number) => add(&mut arguments, number),
            Value::Bytes(bytes) => add(&mut arguments, bytes.map(Vec::from)),
        }
    }
    arguments
}

fn add<'q, T: Encode<'q, Any> + Type<Any>>(arguments: &mut AnyArguments, value: T) {
    arguments
        .add(value)
        .expect("invariant: texts, numbers and bytes encode without fail");
}
