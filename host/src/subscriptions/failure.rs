//! Why something could not be done.

use trigger_plugin_abi::host::CallError;

use crate::store::StoreError;
use crate::sync::{AccountRefusal, RunError, said};

/// Why something that an operator asked for could not be done.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// The provider does not serve at the moment.
    #[error("the provider `{0}` is not loaded: see `triggerd provider list`")]
    NotLoaded(String),
    /// It was set up by hand at the service, where this host has no say.
    #[error(
        "`{0}` was set up by hand: this can only be asked for subscriptions that this host made"
    )]
    Manual(String),
    /// Nothing was made at the service for it yet.
    #[error("nothing was made at the service for it yet{0}")]
    NotMade(String),
    /// Nobody can act for us there until somebody does something.
    #[error("{0}")]
    Account(String),
    /// It may work later.
    #[error("{0}")]
    Later(String),
    /// The provider answered this; its code tells what it is.
    #[error("{}", said(.0))]
    Call(CallError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CallError> for OperationError {
    fn from(error: CallError) -> OperationError {
        OperationError::Call(error)
    }
}

impl From<RunError> for OperationError {
    fn from(error: RunError) -> OperationError {
        match error {
            RunError::Busy | RunError::CutOff => OperationError::Later(error.to_string()),
            RunError::Store(error) => OperationError::Store(error),
        }
    }
}

impl From<AccountRefusal> for OperationError {
    fn from(refusal: AccountRefusal) -> OperationError {
        match refusal {
            AccountRefusal::Lasting(reason) => OperationError::Account(reason),
            AccountRefusal::Passing(reason) => OperationError::Later(reason),
        }
    }
}
