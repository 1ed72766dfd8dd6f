//! Credentials in the composition: made once the address of this host is known, renewed in the
//! background.

use std::sync::Arc;

use super::background::{Background, Next};
use super::egress::LateCredentials;
use crate::credentials::{Credentials, CredentialsParts};
use crate::store::StoreError;

/// Makes the credentials and hands them to the providers' way to the outside.
pub fn open(parts: CredentialsParts, late: &LateCredentials) -> Credentials {
    let credentials = Credentials::new(parts);
    late.get_or_init(|| credentials).clone()
}

/// Takes up what an earlier run was in the middle of, and starts renewing what is due.
pub async fn start(credentials: &Credentials, background: &Background) -> Result<(), StoreError> {
    let recovered = credentials.recover().await?;
    if recovered > 0 {
        tracing::warn!(
            recovered,
            "renewals of credentials were cut off in the middle; they are tried again"
        );
    }
    let wake = credentials.wake();
    let credentials = credentials.clone();
    background.run(Arc::clone(&wake), move || {
        let credentials = credentials.clone();
        async move {
            match credentials.tick().await {
                Ok(pause) => Next::After(pause),
                Err(error) => {
                    tracing::warn!(%error, "credentials that are due were not found");
                    Next::After(super::STORE_PAUSE)
                }
            }
        }
    });
    Ok(())
}
