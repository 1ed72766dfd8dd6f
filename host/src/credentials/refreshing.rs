//! Renewing credentials: ahead of their end, and when a service answers 401.
//!
//! Of all tasks of this host one renews a credential, and of all hosts one asks the service; the
//! others wait until the row has changed. The task that asks belongs to nobody: a call that is given
//! up leaves it running, since the token that comes may be the only one that is still good.

use std::collections::hash_map::Entry;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::watch;

use super::exchange::TIMEOUT;
use super::failure::GrantError;
use super::secrets::Secrets;
use super::state::{Credentials, UnderWay};
use super::token_set::{REFRESH_TOKEN, TokenSet};
use crate::backoff::RetryPolicy;
use crate::clock::{Millis, random_fraction};
use crate::id::CredentialId;
use crate::model::{Credential, CredentialState, Holding, RefreshClaim, RefreshLease, TokenUpdate};
use crate::secret::Secret;
use crate::store::StoreError;

/// A host that renews has this long; longer than a service may take, and the commit after it.
const LEASE: Duration = Duration::from_secs(60);
/// Between two looks at what another host does: from, to.
const LOOK_FIRST: Duration = Duration::from_millis(50);
const LOOK_LAST: Duration = Duration::from_secs(1);
/// Renewals under way here at once, of those that nobody waits for.
const UNDER_WAY_MAX: usize = 32;
/// Looks for due ones at least this often, and not more often.
const TICK_LAST: Duration = Duration::from_secs(30);
const TICK_FIRST: Duration = Duration::from_millis(250);
/// However long a service asks to be left alone, or failed before.
const POSTPONED_MAX: Duration = Duration::from_hours(2);
/// Without a provider or an integration nobody was asked: it is looked at again soon.
const UNASKED: Duration = Duration::from_secs(30);
/// New tokens are offered to a store that does not take them for so long.
const KEEP_TRIES: u32 = 300;

const _: () = assert!(LEASE.as_secs() > 2 * TIMEOUT.as_secs());

/// What became of a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// A newer generation is kept, whoever brought it.
    Renewed,
    /// The service said for good that it gives no more; the credential needs reconnecting.
    Refused(String),
    /// It may work later.
    Failed(String),
    /// There is nothing to renew it with.
    Impossible,
}

impl Credentials {
    /// Renews a credential whose secrets were of this generation. Waits for a renewal that is under
    /// way; giving up this call does not end it.
    pub async fn renew(&self, id: &CredentialId, generation: i64) -> Renewal {
        loop {
            let (of, mut outcome) = self.join(id, generation);
            let ended = outcome.wait_for(Option::is_some).await;
            let ended = match ended {
                Ok(outcome) => outcome.clone(),
                // The task is gone without an outcome: it panicked, or the host ends.
                Err(_) => Some(Renewal::Failed("the renewal broke off".to_owned())),
            };
            // One that was under way for an older generation says nothing of this one.
            if let Some(ended) = ended.filter(|_| of == generation) {
                return ended;
            }
        }
    }

    /// At start: what an earlier run of this host was in the middle of is renewed at once. Some
    /// services take the older token again for a short while, and where none is good any more, it is
    /// said at once.
    pub async fn recover(&self) -> Result<u64, StoreError> {
        let now = self.0.clock.now();
        let recovered = self.0.store.recover_own_refreshes(&self.0.owner, now);
        recovered.await
    }

    /// Begins to renew what is due; returns when to look again. Idempotent; woken by
    /// [`Credentials::wake`].
    pub async fn tick(&self) -> Result<Duration, StoreError> {
        let now = self.0.clock.now();
        let under_way = self.renewals_under_way();
        let room = UNDER_WAY_MAX.saturating_sub(under_way);
        if room > 0 {
            let limit = u32::try_from(room).unwrap_or(u32::MAX);
            for (id, generation) in self.0.store.due_refreshes(now, limit).await? {
                self.join(&id, generation);
            }
        }
        let next = self.0.store.next_refresh().await?;
        let pause = next.map_or(TICK_LAST, |next| next.since(now));
        Ok(pause.clamp(TICK_FIRST, TICK_LAST))
    }

    fn renewals_under_way(&self) -> usize {
        let renewals = self.0.renewals.lock();
        renewals.unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The renewal of this credential that is under way, else a new one; with its generation.
    fn join(&self, id: &CredentialId, generation: i64) -> UnderWay {
        let renewals = self.0.renewals.lock();
        let mut renewals = renewals.unwrap_or_else(PoisonError::into_inner);
        let place = match renewals.entry(id.clone()) {
            Entry::Occupied(under_way) => return under_way.get().clone(),
            Entry::Vacant(place) => place,
        };
        let (told, outcome) = watch::channel(None);
        place.insert((generation, outcome.clone()));
        let (this, id) = (self.clone(), id.clone());
        self.0.tasks.spawn(async move {
            let ending = Ending {
                credentials: this,
                id,
            };
            let (this, id) = (&ending.credentials, &ending.id);
            let ended = this.renew_here(id, generation).await;
            let ended = ended.unwrap_or_else(|error| {
                tracing::warn!(credential = %id, %error, "the credential could not be renewed");
                Renewal::Failed(error.to_string())
            });
            // Whoever comes from now on begins anew.
            drop(ending);
            told.send_replace(Some(ended));
        });
        (generation, outcome)
    }

    /// Asks the service, or waits for the host that does.
    async fn renew_here(&self, id: &CredentialId, generation: i64) -> Result<Renewal, StoreError> {
        let mut failures = None;
        let mut pause = LOOK_FIRST;
        let mut waited = Duration::ZERO;
        loop {
            let Some(held) = self.0.store.credential_held(id).await? else {
                return Ok(Renewal::Refused("it was deleted".to_owned()));
            };
            let credential = &held.credential;
            if let Some(ended) = already(credential, generation) {
                return Ok(ended);
            }
            let now = self.0.clock.now();
            // Another host tried meanwhile, or someone just did: the service is given its time.
            let before = *failures.get_or_insert(credential.refresh_failures);
            // One that is due later than anything is postponed was noted before the clock was set
            // back.
            let is_early = credential
                .refresh_due_at
                .is_some_and(|due| due > now && due.since(now) <= POSTPONED_MAX);
            let failed = credential.refresh_failures;
            if failed > before || (failed > 0 && is_early) {
                let reason = credential.state_reason.clone();
                return Ok(Renewal::Failed(reason.unwrap_or_default()));
            }
            if Secrets::parse(&held.secrets).get(REFRESH_TOKEN).is_none() {
                return Ok(Renewal::Impossible);
            }
            let claim = RefreshClaim {
                id: id.clone(),
                generation,
                owner: self.0.owner.clone(),
                now,
                lease_until: now.plus(LEASE),
            };
            if let Some(lease) = self.0.store.claim_refresh(&claim).await? {
                return self.ask(&held, lease).await;
            }
            if waited > LEASE + LEASE {
                let reason = "another host renews it and does not come to an end";
                return Ok(Renewal::Failed(reason.to_owned()));
            }
            let jittered = pause.mul_f64(0.5 + 0.5 * random_fraction());
            tokio::time::sleep(jittered).await;
            waited += jittered;
            pause = (pause * 2).min(LOOK_LAST);
        }
    }

    /// The lease is ours: one request to the service, and what follows from its answer.
    async fn ask(&self, held: &Holding, lease: RefreshLease) -> Result<Renewal, StoreError> {
        let credential = &held.credential;
        let fence = lease.fence;
        let secrets = Secrets::parse(&held.secrets);
        match self.given(credential, &secrets).await? {
            Ok(tokens) => self.keep(credential, secrets, &tokens).await,
            Err(Refusal::ForGood(said)) => {
                let reason = why(said, lease.cut_off_at);
                let refused = self.0.store.refuse_refresh(&credential.id, fence, &reason);
                if !refused.await? {
                    // The lease was lost, so what the service said is about an older token.
                    return Ok(Renewal::Failed(reason));
                }
                self.0.metrics.credential_renewals.increment("refused");
                self.note_refused(&credential.id, &reason);
                Ok(Renewal::Refused(reason))
            }
            Err(Refusal::ForNow {
                reason,
                retry_after,
            }) => {
                let due = self.due_again(credential, retry_after);
                self.postpone(credential, fence, due, reason).await
            }
            Err(Refusal::NotAsked(reason)) => {
                let due = self.0.clock.now().plus(UNASKED);
                self.postpone(credential, fence, due, reason).await
            }
        }
    }

    async fn postpone(
        &self,
        credential: &Credential,
        fence: i64,
        due: Millis,
        reason: String,
    ) -> Result<Renewal, StoreError> {
        self.0
            .store
            .postpone_refresh(&credential.id, fence, Some(due), &reason)
            .await?;
        self.0.metrics.credential_renewals.increment("failed");
        tracing::warn!(
            credential = %credential.id,
            reason,
            "the credential could not be renewed; it is tried again",
        );
        Ok(Renewal::Failed(reason))
    }

    async fn given(
        &self,
        credential: &Credential,
        secrets: &Secrets,
    ) -> Result<Result<TokenSet, Refusal>, StoreError> {
        let for_now = |reason: String| Ok(Err(Refusal::NotAsked(reason)));
        let auth = match self.0.providers.auth(&credential.provider) {
            Ok(auth) => auth,
            Err(reason) => return for_now(reason),
        };
        let integration = credential.integration_id.as_ref();
        let client = self.client(&auth, &credential.workspace_id, integration);
        let client = match client.await? {
            Ok(client) => client,
            Err(reason) => return for_now(reason),
        };
        let refresh_token = secrets.get(REFRESH_TOKEN).unwrap_or_default();
        let given = client.refresh(&self.0.outbound, refresh_token).await;
        Ok(given.map_err(|error| match error {
            GrantError::Said { ref code, .. } if client.oauth.refused.contains(code) => {
                Refusal::ForGood(format!("the service does not renew it: {error}"))
            }
            GrantError::Said { .. } => Refusal::ForNow {
                reason: error.to_string(),
                retry_after: None,
            },
            GrantError::Unavailable {
                reason,
                retry_after,
            } => Refusal::ForNow {
                reason,
                retry_after,
            },
        }))
    }

    /// Keeps new tokens, however long the store takes: the older ones may be dead.
    async fn keep(
        &self,
        credential: &Credential,
        before: Secrets,
        tokens: &TokenSet,
    ) -> Result<Renewal, StoreError> {
        let now = self.0.clock.now();
        let secrets = tokens.secrets(before);
        let update = TokenUpdate {
            id: credential.id.clone(),
            generation: credential.generation,
            expires_at: tokens.expires_at(now),
            refresh_due_at: tokens.refresh_due_at(now, &secrets, random_fraction()),
            secrets: secrets.to_text(),
            scopes: tokens.scopes.clone(),
        };
        let mut tries = 0;
        let kept = loop {
            match self.0.store.keep_tokens(&update).await {
                Err(error) if error.is_unavailable() && tries < KEEP_TRIES => {
                    tries += 1;
                    tracing::warn!(credential = %update.id, %error, "new tokens are not kept yet");
                    tokio::time::sleep(LOOK_LAST).await;
                }
                ended => break ended?,
            }
        };
        if kept {
            self.0.metrics.credential_renewals.increment("renewed");
            tracing::info!(credential = %update.id, "the credential was renewed");
            self.announce(&update.id);
        }
        // If not, something newer is there, which serves as well.
        Ok(Renewal::Renewed)
    }

    fn due_again(&self, credential: &Credential, retry_after: Option<Duration>) -> Millis {
        let policy = RetryPolicy {
            first_ms: 5_000,
            factor: 2.0,
            delay_max_ms: 900_000,
            ..RetryPolicy::default()
        };
        let failures = credential.refresh_failures.saturating_add(1);
        let pause = policy.delay(failures, random_fraction());
        let pause = pause.max(retry_after.unwrap_or_default());
        self.0.clock.now().plus(pause)
    }
}

/// Why the service gave nothing.
enum Refusal {
    ForGood(String),
    /// Something of ours is missing.
    NotAsked(String),
    ForNow {
        reason: String,
        retry_after: Option<Duration>,
    },
}

/// A service that gives refresh tokens for one use has used up ours where its answer was lost.
fn why(said: String, cut_off_at: Option<Millis>) -> String {
    match cut_off_at {
        Some(at) => format!(
            "{said}. A host ended in the middle of an earlier renewal (found at {at}): what the \
             service gave it then was lost with it"
        ),
        None => said,
    }
}

/// What is so without asking anybody.
fn already(credential: &Credential, generation: i64) -> Option<Renewal> {
    if credential.state == CredentialState::NeedsReconnect {
        let reason = credential.state_reason.clone();
        return Some(Renewal::Refused(reason.unwrap_or_default()));
    }
    (credential.generation != generation).then_some(Renewal::Renewed)
}

/// A renewal under way; it is none any more when this is dropped, be it by a panic.
struct Ending {
    credentials: Credentials,
    id: CredentialId,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let renewals = self.credentials.0.renewals.lock();
        renewals
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
    }
}

/// Tokens as a new credential keeps them.
pub(super) fn first_times(
    tokens: &TokenSet,
    secrets: &Secrets,
    now: Millis,
) -> (Option<Millis>, Option<Millis>, Secret<String>) {
    (
        tokens.expires_at(now),
        tokens.refresh_due_at(now, secrets, random_fraction()),
        secrets.to_text(),
    )
}
