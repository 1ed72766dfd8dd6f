//! Statements: binding values, running, reading rows. What the drivers differ in stands in
//! [`super::connection`] and [`super::direct`].

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _, SqlSafeStr, SqlStr};

use super::StoreError;
use super::connection::Connection;
use crate::clock::Millis;

/// One statement with its values.
pub(super) struct Statement<'q> {
    pub(super) operation: &'static str,
    pub(super) text: SqlStr,
    pub(super) values: Vec<Value<'q>>,
}

/// A value for a placeholder. What is absent has a type too: PostgreSQL asks for it.
pub(super) enum Value<'q> {
    Text(Option<Cow<'q, str>>),
    Number(Option<i64>),
    Bytes(Option<Bytes>),
}

impl<'q> Statement<'q> {
    /// `operation` is what an error says: a verb and its object.
    pub(super) fn new(operation: &'static str, text: &'static str) -> Statement<'q> {
        Statement {
            operation,
            text: text.into_sql_str(),
            values: Vec::new(),
        }
    }

    /// With a text put together from constants of this module.
    pub(super) fn composed(operation: &'static str, text: impl Into<Arc<str>>) -> Statement<'q> {
        Statement {
            operation,
            text: AssertSqlSafe(text.into()).into_sql_str(),
            values: Vec::new(),
        }
    }

    pub(super) fn bind(mut self, value: impl Bind<'q>) -> Statement<'q> {
        self.push(value);
        self
    }

    pub(super) fn push(&mut self, value: impl Bind<'q>) {
        self.values.push(value.into_value());
    }

    /// Runs it; returns how many rows it changed.
    pub(super) async fn run(self, connection: &mut impl Connection) -> Result<u64, StoreError> {
        connection.run(self).await
    }

    pub(super) async fn all<T: FromRow>(
        self,
        connection: &mut impl Connection,
    ) -> Result<Vec<T>, StoreError> {
        connection.all(self).await
    }

    /// The first row, if there is one.
    pub(super) async fn one<T: FromRow>(
        self,
        connection: &mut impl Connection,
    ) -> Result<Option<T>, StoreError> {
        connection.one(self).await
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
pub(super) trait Bind<'q> {
    fn into_value(self) -> Value<'q>;
}

/// PostgreSQL keeps no NUL in text. A name out of a hostile body may hold one.
fn text<'q>(text: impl Into<Cow<'q, str>>) -> Value<'q> {
    let text = text.into();
    Value::Text(Some(match text.contains('\0') {
        true => Cow::Owned(text.replace('\0', "\u{fffd}")),
        false => text,
    }))
}

fn text_opt<'q>(value: Option<impl Into<Cow<'q, str>>>) -> Value<'q> {
    value.map_or(Value::Text(None), text)
}

macro_rules! bind_as {
    ($($type:ty, $value:ident => $as:expr;)*) => {$(
        impl<'q> Bind<'q> for $type {
            fn into_value(self) -> Value<'q> {
                let $value = self;
                $as
            }
        }
    )*};
}

bind_as! {
    &'q str, value => text(value);
    Option<&'q str>, value => text_opt(value);
    &'q String, value => text(value);
    &'q Option<String>, value => text_opt(value.as_deref());
    String, value => text(value);
    Option<String>, value => text_opt(value);
    i64, value => Value::Number(Some(value));
    Option<i64>, value => Value::Number(value);
    u32, value => Value::Number(Some(value.into()));
    u16, value => Value::Number(Some(value.into()));
    Option<u16>, value => Value::Number(value.map(i64::from));
    bool, value => Value::Number(Some(value.into()));
    Millis, value => Value::Number(Some(value.0));
    Option<Millis>, value => Value::Number(value.map(|at| at.0));
    &[u8], value => Value::Bytes(Some(Bytes::copy_from_slice(value)));
    Vec<u8>, value => Value::Bytes(Some(value.into()));
    Option<Vec<u8>>, value => Value::Bytes(value.map(Bytes::from));
    Bytes, value => Value::Bytes(Some(value));
    Option<Bytes>, value => Value::Bytes(value);
    &Option<Bytes>, value => Value::Bytes(value.clone());
}

macro_rules! bind_ids {
    ($($id:ident)*) => {$(
        impl<'q> Bind<'q> for &'q crate::id::$id {
            fn into_value(self) -> Value<'q> {
                Value::Text(Some(Cow::Borrowed(self.as_str())))
            }
        }

        impl<'q> Bind<'q> for crate::id::$id {
            fn into_value(self) -> Value<'q> {
                Value::Text(Some(Cow::Owned(self.as_str().to_owned())))
            }
        }

        impl<'q> Bind<'q> for &'q Option<crate::id::$id> {
            fn into_value(self) -> Value<'q> {
                self.as_ref().into_value()
            }
        }

        impl<'q> Bind<'q> for Option<&'q crate::id::$id> {
            fn into_value(self) -> Value<'q> {
                self.map_or(Value::Text(None), Bind::into_value)
            }
        }
    )*};
}

bind_ids! {
    WorkspaceId TokenId SubscriptionId EndpointId TriggerId RunnableId VersionId RequestId EventId
    JobId AttemptId HostId AuditId IntegrationId CredentialId RegistrationId ConnectId
    ScheduleId RouteId NoticeId DictionaryId
}

macro_rules! bind_words {
    ($($word:ident)*) => {$(
        impl<'q> Bind<'q> for crate::model::$word {
            fn into_value(self) -> Value<'q> {
                Value::Text(Some(Cow::Borrowed(self.as_str())))
            }
        }
    )*};
}

bind_words! {
    SubscriptionMode SubscriptionState RunnableState RunnableKind RequestOutcome EventState
    JobCause JobState AttemptOutcome OnMissing OnDrift RegistrationState SyncAction
    CredentialKind CredentialState ConnectPhase CallKind HandlerScope Missed
}

/// What reads itself from a row.
pub(super) trait FromRow: Sized + Send {
    fn from_row(row: &Row<'_>) -> Result<Self, StoreError>;
}

/// A row, read by column names.
pub(super) enum Row<'r> {
    Any(&'r AnyRow),
    Direct(&'r rusqlite::Row<'r>),
}

impl<'r> Row<'r> {
    fn text_at(&self, column: &'static str) -> Result<Option<&'r str>, StoreError> {
        match self {
            Row::Any(row) => row
                .try_get_unchecked(column)
                .map_err(|error| StoreError::corrupt(column, error)),
            Row::Direct(row) => direct(column, row.get_ref(column), |value| value.as_str_or_null()),
        }
    }

    pub(super) fn bytes_opt(&self, column: &'static str) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            Row::Any(row) => row
                .try_get_unchecked(column)
                .map_err(|error| StoreError::corrupt(column, error)),
            Row::Direct(row) => {
                let bytes = direct(column, row.get_ref(column), |value| {
                    value.as_bytes_or_null()
                })?;
                Ok(bytes.map(<[u8]>::to_vec))
            }
        }
    }

    fn present<T>(column: &'static str, value: Option<T>) -> Result<T, StoreError> {
        value.ok_or_else(|| StoreError::corrupt(column, "it is absent"))
    }

    pub(super) fn text(&self, column: &'static str) -> Result<String, StoreError> {
        Row::present(column, self.text_opt(column)?)
    }

    pub(super) fn text_opt(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        Ok(self.text_at(column)?.map(str::to_owned))
    }

    /// A text column that holds an id or a word.
    pub(super) fn parsed<T>(&self, column: &'static str) -> Result<T, StoreError>
    where
        T: FromStr<Err: std::fmt::Display>,
    {
        Row::present(column, self.parsed_opt(column)?)
    }

    pub(super) fn parsed_opt<T>(&self, column: &'static str) -> Result<Option<T>, StoreError>
    where
        T: FromStr<Err: std::fmt::Display>,
    {
        self.text_at(column)?
            .map(str::parse)
            .transpose()
            .map_err(|error| StoreError::corrupt(column, error))
    }

    pub(super) fn int(&self, column: &'static str) -> Result<i64, StoreError> {
        Row::present(column, self.int_opt(column)?)
    }

    pub(super) fn int_opt(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
        match self {
            Row::Any(row) => row
                .try_get_unchecked(column)
                .map_err(|error| StoreError::corrupt(column, error)),
            Row::Direct(row) => direct(column, row.get_ref(column), |value| value.as_i64_or_null()),
        }
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
        self.int(column).map(Millis)
    }

    pub(super) fn millis_opt(&self, column: &'static str) -> Result<Option<Millis>, StoreError> {
        Ok(self.int_opt(column)?.map(Millis))
    }

    /// A document column.
    pub(super) fn json<T: serde::de::DeserializeOwned>(
        &self,
        column: &'static str,
    ) -> Result<T, StoreError> {
        let text = Row::present(column, self.text_at(column)?)?;
        serde_json::from_str(text)
            .map_err(|_| StoreError::corrupt(column, "it is not the JSON that was expected"))
    }
}

/// A value as the direct connection reads it.
fn direct<'r, T>(
    column: &'static str,
    value: rusqlite::Result<rusqlite::types::ValueRef<'r>>,
    read: impl FnOnce(rusqlite::types::ValueRef<'r>) -> rusqlite::types::FromSqlResult<T>,
) -> Result<T, StoreError> {
    let value = value.map_err(|error| StoreError::corrupt(column, error))?;
    read(value).map_err(|error| StoreError::corrupt(column, error))
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
