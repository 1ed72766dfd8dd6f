//! Credentials, as the engine asks for them.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::service::{AccountRefusal, Accounts, CallAccount};
use crate::clock::Millis;
use crate::credentials::{CallRefusal, Credentials};
use crate::id::CredentialId;

impl Accounts for Credentials {
    fn for_call<'a>(
        &'a self,
        id: &'a CredentialId,
    ) -> BoxFuture<'a, Result<CallAccount, AccountRefusal>> {
        async move {
            let call = self.for_call(id).await.map_err(refusal)?;
            Ok(CallAccount {
                id: call.id.clone(),
                credentials: call.for_plugin(),
                base_url: call.base_url.clone(),
                throttled_until: call.throttled_until,
                made_of: Some(call),
            })
        }
        .boxed()
    }

    fn mark_refused<'a>(
        &'a self,
        account: &'a CallAccount,
        reason: &'a str,
    ) -> BoxFuture<'a, bool> {
        async move {
            let Some(call) = &account.made_of else {
                return true;
            };
            match self.mark_refused(call, reason).await {
                Ok(refused) => refused,
                Err(error) => {
                    tracing::warn!(credential = %call.id, %error, "a refusal could not be kept");
                    false
                }
            }
        }
        .boxed()
    }

    fn throttle<'a>(&'a self, id: &'a CredentialId, until: Millis) -> BoxFuture<'a, ()> {
        async move {
            if let Err(error) = self.throttle(id, until).await {
                tracing::debug!(credential = %id, %error, "a throttling could not be kept");
            }
        }
        .boxed()
    }
}

fn refusal(refusal: CallRefusal) -> AccountRefusal {
    match refusal.is_transient() {
        true => AccountRefusal::Passing(refusal.to_string()),
        false => AccountRefusal::Lasting(refusal.to_string()),
    }
}
