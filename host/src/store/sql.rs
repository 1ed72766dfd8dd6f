//! Statements: binding values, running, reading rows. The only file that knows the driver's types.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{
    AnyConnection, Arguments, AssertSqlSafe, Encode, Executor, Row as _, SqlSafeStr, SqlStr, Type,
};

use super::StoreError;
use crate::clock::Millis;

/// One statement with its values.
pub(super) struct Statement {
    operation: &'static str,
    text: SqlStr,
    arguments: AnyArguments,
}

impl Statement {
    /// `operation` is what an error says: a verb and its object.
    pub(super) fn new(operation: &'static str, text: &'static str) -> Statement {
        Statement {
            operation,
            text: text.into_sql_str(),
            arguments: AnyArguments::default(),
        }
    }

    /// With a text put together from constants of this module.
    pub(super) fn composed(operation: &'static str, text: impl Into<Arc<str>>) -> Statement {
        Statement {
            operation,
            text: AssertSqlSafe(text.into()).into_sql_str(),
            arguments: AnyArguments::default(),
        }
    }

    pub(super) fn bind(mut self, value: impl Bind) -> Statement {
        self.push(value);
        self
    }

    pub(super) fn push(&mut self, value: impl Bind) {
        value.bind_to(&mut self.arguments);
    }

    /// Runs it; returns how many rows it changed.
    pub(super) async fn run(self, connection: &mut AnyConnection) -> Result<u64, StoreError> {
        let run = connection.execute(sqlx::query_with(self.text, self.arguments));
        within_time(self.operation, run)
            .await
            .map(|done| done.rows_affected())
    }

    pub(super) async fn all<T: FromRow>(
        self,
        connection: &mut AnyConnection,
    ) -> Result<Vec<T>, StoreError> {
        let fetch = connection.fetch_all(sqlx::query_with(self.text, self.arguments));
        let rows = within_time(self.operation, fetch).await?;
        rows.iter().map(|row| T::from_row(&Row(row))).collect()
    }

    /// The first row, if there is one.
    pub(super) async fn one<T: FromRow>(
        self,
        connection: &mut AnyConnection,
    ) -> Result<Option<T>, StoreError> {
        let fetch = connection.fetch_optional(sqlx::query_with(self.text, self.arguments));
        let row = within_time(self.operation, fetch).await?;
        row.as_ref().map(|row| T::from_row(&Row(row))).transpose()
    }
}

/// No statement of ours takes this long; a server that was cut off would else be waited for until the
/// network gives up, which takes a quarter of an hour.
const STATEMENT_MAX: Duration = Duration::from_secs(15);

/// The outcome of an operation of the driver, or that the database is unavailable.
pub(super) async fn within_time<T>(
    operation: &'static str,
    running: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(STATEMENT_MAX, running).await {
        Ok(done) => done.map_err(|error| StoreError::of(operation, error)),
        Err(_) => Err(StoreError::unavailable(operation, "it took too long")),
    }
}

/// What may be bound to a placeholder.
pub(super) trait Bind {
    fn bind_to(self, arguments: &mut AnyArguments);
}

fn add<'q, T: Encode<'q, sqlx::Any> + Type<sqlx::Any>>(arguments: &mut AnyArguments, value: T) {
    arguments
        .add(value)
        .expect("invariant: texts, numbers and bytes encode without fail");
}

/// PostgreSQL keeps no NUL in text. A name out of a hostile body may hold one.
fn without_nul(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}

macro_rules! bind_as {
    ($(($($generics:tt)*) $type:ty, $value:ident => $as:expr;)*) => {$(
        impl $($generics)* Bind for $type {
            fn bind_to(self, arguments: &mut AnyArguments) {
                let $value = self;
                add(arguments, $as);
            }
        }
    )*};
}

bind_as! {
    () &str, value => without_nul(value.to_owned());
    () Option<&str>, value => value.map(|text| without_nul(text.to_owned()));
    () &String, value => without_nul(value.clone());
    () &Option<String>, value => value.clone().map(without_nul);
    () String, value => without_nul(value);
    () Option<String>, value => value.map(without_nul);
    () i64, value => value;
    () Option<i64>, value => value;
    () u32, value => i64::from(value);
    () u16, value => i64::from(value);
    () Option<u16>, value => value.map(i64::from);
    () bool, value => i64::from(value);
    () Millis, value => value.0;
    () Option<Millis>, value => value.map(|at| at.0);
    () &[u8], value => value.to_vec();
    () Vec<u8>, value => value;
    () Option<Vec<u8>>, value => value;
    () &Option<Bytes>, value => value.as_deref().map(<[u8]>::to_vec);
}

macro_rules! bind_ids {
    ($($id:ident)*) => {$(
        impl Bind for &crate::id::$id {
            fn bind_to(self, arguments: &mut AnyArguments) {
                add(arguments, self.as_str().to_owned());
            }
        }

        impl Bind for crate::id::$id {
            fn bind_to(self, arguments: &mut AnyArguments) {
                (&self).bind_to(arguments);
            }
        }

        impl Bind for &Option<crate::id::$id> {
            fn bind_to(self, arguments: &mut AnyArguments) {
                add(arguments, self.as_ref().map(|id| id.as_str().to_owned()));
            }
        }

        impl Bind for Option<&crate::id::$id> {
            fn bind_to(self, arguments: &mut AnyArguments) {
                add(arguments, self.map(|id| id.as_str().to_owned()));
            }
        }
    )*};
}

bind_ids! {
    WorkspaceId TokenId SubscriptionId EndpointId TriggerId RunnableId VersionId RequestId EventId
    JobId AttemptId HostId AuditId IntegrationId CredentialId RegistrationId ConnectId
}

macro_rules! bind_words {
    ($($word:ident)*) => {$(
        impl Bind for crate::model::$word {
            fn bind_to(self, arguments: &mut AnyArguments) {
                add(arguments, self.as_str());
            }
        }
    )*};
}

bind_words! {
    SubscriptionMode SubscriptionState RunnableState RunnableKind RequestOutcome EventState
    JobCause JobState AttemptOutcome OnMissing OnDrift RegistrationState SyncAction
    CredentialKind CredentialState ConnectPhase CallKind
}

/// What reads itself from a row.
pub(super) trait FromRow: Sized {
    fn from_row(row: &Row<'_>) -> Result<Self, StoreError>;
}

/// A row, read by column names.
pub(super) struct Row<'r>(&'r AnyRow);

impl<'r> Row<'r> {
    fn read<T>(&self, column: &'static str) -> Result<T, StoreError>
    where
        T: sqlx::Decode<'r, sqlx::Any> + Type<sqlx::Any>,
    {
        self.0
            .try_get_unchecked(column)
            .map_err(|error| StoreError::corrupt(column, error))
    }

    pub(super) fn text(&self, column: &'static str) -> Result<String, StoreError> {
        self.read(column)
    }

    pub(super) fn text_opt(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        self.read(column)
    }

    /// A text column that holds an id or a word.
    pub(super) fn parsed<T>(&self, column: &'static str) -> Result<T, StoreError>
    where
        T: FromStr<Err: std::fmt::Display>,
    {
        let text: &str = self.read(column)?;
        text.parse()
            .map_err(|error| StoreError::corrupt(column, error))
    }

    pub(super) fn parsed_opt<T>(&self, column: &'static str) -> Result<Option<T>, StoreError>
    where
        T: FromStr<Err: std::fmt::Display>,
    {
        let text: Option<&str> = self.read(column)?;
        text.map(str::parse)
            .transpose()
            .map_err(|error| StoreError::corrupt(column, error))
    }

    pub(super) fn int(&self, column: &'static str) -> Result<i64, StoreError> {
        self.read(column)
    }

    pub(super) fn int_opt(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
        self.read(column)
    }

    /// A number that fits a smaller type.
    pub(super) fn number<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T, StoreError> {
        T::try_from(self.int(column)?)
            .map_err(|_| StoreError::corrupt(column, "the number is out of range"))
    }

    pub(super) fn number_opt<T: TryFrom<i64>>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>, StoreError> {
        self.int_opt(column)?
            .map(T::try_from)
            .transpose()
            .map_err(|_| StoreError::corrupt(column, "the number is out of range"))
    }

    pub(super) fn flag(&self, column: &'static str) -> Result<bool, StoreError> {
        Ok(self.int(column)? != 0)
    }

    pub(super) fn millis(&self, column: &'static str) -> Result<Millis, StoreError> {
        self.read(column).map(Millis)
    }

    pub(super) fn millis_opt(&self, column: &'static str) -> Result<Option<Millis>, StoreError> {
        Ok(self.int_opt(column)?.map(Millis))
    }

    pub(super) fn bytes_opt(&self, column: &'static str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(column)
    }

    /// A document column.
    pub(super) fn json<T: serde::de::DeserializeOwned>(
        &self,
        column: &'static str,
    ) -> Result<T, StoreError> {
        let text: &str = self.read(column)?;
        serde_json::from_str(text)
            .map_err(|_| StoreError::corrupt(column, "it is not the JSON that was expected"))
    }
}

/// A row of one number, named `n`.
pub(super) struct Number(pub(super) i64);

impl FromRow for Number {
    fn from_row(row: &Row<'_>) -> Result<Number, StoreError> {
        row.int("n").map(Number)
    }
}

/// A row of one text, named `text`.
pub(super) struct Text(pub(super) String);

impl FromRow for Text {
    fn from_row(row: &Row<'_>) -> Result<Text, StoreError> {
        row.text("text").map(Text)
    }
}

/// A row of one time that may be absent, named `at`.
pub(super) struct Time(pub(super) Option<Millis>);

impl FromRow for Time {
    fn from_row(row: &Row<'_>) -> Result<Time, StoreError> {
        row.millis_opt("at").map(Time)
    }
}
