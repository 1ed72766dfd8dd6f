//! Whom a credential belongs to, and which of the two services it opens.

use serde::Deserialize;
use trigger_plugin_api::prelude::*;

use crate::api::{Api, Failure};

#[derive(Deserialize)]
struct About {
    user: User,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    #[serde(default)]
    permission_id: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    email_address: String,
}

#[derive(Deserialize)]
struct Primary {
    id: String,
}

/// Asks both services. Who consents may leave one of them out; that is found out here and not by
/// silence later. A credential that opens neither is refused.
pub async fn identify(api: &Api<'_>) -> Result<Account> {
    let fields = [("fields", "user(permissionId,displayName,emailAddress)")];
    let drive = api.get::<About>("/drive/v3/about", &fields).await;
    let drive =
        left_out(drive).map_err(|failure| failure.during("ask Drive who the account is"))?;
    let path = "/calendar/v3/calendars/primary";
    let calendar = api.get::<Primary>(path, &[("fields", "id")]).await;
    let calendar =
        left_out(calendar).map_err(|failure| failure.during("ask Calendar who the account is"))?;
    let mut scopes = Vec::new();
    scopes.extend(drive.as_ref().map(|_| "drive".to_owned()));
    scopes.extend(calendar.as_ref().map(|_| "calendar".to_owned()));
    let (id, name) = match (drive, calendar) {
        (Some(about), _) => match about.user.email_address {
            // Some organisations hide addresses.
            address if address.is_empty() => (about.user.permission_id, about.user.display_name),
            address => (about.user.permission_id, address),
        },
        (None, Some(primary)) => (primary.id.clone(), primary.id),
        (None, None) => {
            return Err(Error::credentials(
                "the account has consented to neither Drive nor Calendar: connect it again and leave every box ticked",
            ));
        }
    };
    Ok(Account {
        id,
        name,
        scopes,
        expires_at_ms: None,
    })
}

/// `None` when the consent left this service out, or the project has not enabled it.
fn left_out<T>(answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Failure::Scope { .. } | Failure::Disabled { .. }) => Ok(None),
        Err(failure) => Err(failure),
    }
}
