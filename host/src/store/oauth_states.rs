//! Accounts that are being connected: each step can be taken once, by whom it is for.

use std::time::Duration;

use super::keys::connect_place;
use super::sql::{FromRow, Row, Statement};
use super::subscriptions::Envelope;
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::{ConnectId, CredentialId, WorkspaceId};
use crate::model::{Connect, ConnectPhase, ConnectStart, NewConnect, TakenConnect};

/// A clock that was set back makes no ticket good for longer; hosts' clocks may differ by this.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(300);
/// Tokens are there this soon after the browser came back, or the host that asked is gone.
const EXCHANGE_MAX: Duration = Duration::from_secs(120);

macro_rules! connect_columns {
    () => {
        "id, workspace_id, token_id, provider, integration_id, name, redirect_url, phase, reason, \
         credential_id, created_at, expires_at"
    };
}

impl Store {
    /// Keeps the wish to connect an account.
    pub async fn insert_connect(&self, new: &NewConnect) -> Result<(), StoreError> {
        let mut connection = self.database.writer().await?;
        Statement::new(
            "insert an account to be connected",
            "insert into oauth_states (id, workspace_id, token_id, provider, integration_id, name, \
             ticket_hash, redirect_url, phase, created_at, expires_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, 'waiting', $9, $10)",
        )
        .bind(&new.id)
        .bind(&new.workspace_id)
        .bind(&new.token_id)
        .bind(&new.provider)
        .bind(&new.integration_id)
        .bind(&new.name)
        .bind(new.ticket_hash.as_slice())
        .bind(&new.redirect_url)
        .bind(self.clock.now())
        .bind(new.expires_at)
        .run(&mut connection)
        .await
        .map(|_| ())
    }

    /// How far it is.
    pub async fn connect(
        &self,
        workspace: &WorkspaceId,
        id: &ConnectId,
    ) -> Result<Option<Connect>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new(
            "read an account to be connected",
            concat!(
                "select ",
                connect_columns!(),
                " from oauth_states where workspace_id = $1 and id = $2"
            ),
        )
        .bind(workspace)
        .bind(id)
        .one(&mut connection)
        .await
    }

    /// By the SHA-256 of its ticket.
    pub async fn connect_by_ticket(
        &self,
        ticket_hash: &[u8; 32],
    ) -> Result<Option<Connect>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new(
            "read an account to be connected",
            concat!(
                "select ",
                connect_columns!(),
                " from oauth_states where ticket_hash = $1"
            ),
        )
        .bind(ticket_hash.as_slice())
        .one(&mut connection)
        .await
    }

    /// A browser sets out for the service. A second one takes the place of the first, whose state
    /// is then good for nothing. False: it is too late for that.
    pub async fn start_connect(&self, start: &ConnectStart) -> Result<bool, StoreError> {
        let place = connect_place(start.id.as_str());
        let verifier = start.verifier.as_ref();
        let verifier = verifier.map(|text| self.keys.seal(&place, text.expose().as_bytes()));
        let mut connection = self.database.writer().await?;
        let started = Statement::new(
            "start connecting an account",
            "update oauth_states set phase = 'started', state_hash = $1, session_hash = $2, \
             verifier = $3 \
             where id = $4 and phase in ('waiting', 'started') and expires_at > $5 \
             and created_at <= $6",
        )
        .bind(start.state_hash.as_slice())
        .bind(start.session_hash.as_slice())
        .bind(verifier)
        .bind(&start.id)
        .bind(self.clock.now())
        .bind(self.clock.now().plus(CLOCKS_APART_MAX))
        .run(&mut connection)
        .await?;
        Ok(started > 0)
    }

    /// A browser came back with a state: uses it up, if it is the browser that set out with it and
    /// in time. None: unknown, used, too late, or another browser's.
    pub async fn take_connect(
        &self,
        state_hash: &[u8; 32],
        session_hash: &[u8; 32],
    ) -> Result<Option<TakenConnect>, StoreError> {
        let mut transaction = self.database.write().await?;
        let found: Option<Sealed> = Statement::composed(
            "read an account to be connected",
            format!(
                concat!(
                    "select verifier as secrets, ",
                    connect_columns!(),
                    " from oauth_states where state_hash = $1 and session_hash = $2 \
                     and phase = 'started' and expires_at > $3 and created_at <= $4{}"
                ),
                self.database.for_update()
            ),
        )
        .bind(state_hash.as_slice())
        .bind(session_hash.as_slice())
        .bind(self.clock.now())
        .bind(self.clock.now().plus(CLOCKS_APART_MAX))
        .one(&mut transaction)
        .await?;
        let Some(Sealed { connect, verifier }) = found else {
            return Ok(None);
        };
        Statement::new(
            "use up the state of an account to be connected",
            "update oauth_states set phase = 'exchanging', state_hash = null, \
             session_hash = null, verifier = null, expires_at = $1 where id = $2",
        )
        .bind(self.clock.now().plus(EXCHANGE_MAX))
        .bind(&connect.id)
        .run(&mut transaction)
        .await?;
        transaction.commit().await?;
        let place = connect_place(connect.id.as_str());
        let open = |envelope: Vec<u8>| self.open_envelope("open a verifier", &place, &envelope);
        let verifier = verifier.0.map(open).transpose()?;
        Ok(Some(TakenConnect { connect, verifier }))
    }

    /// The end: the credential, or why there is none.
    pub async fn finish_connect(
        &self,
        id: &ConnectId,
        ended: Result<&CredentialId, &str>,
    ) -> Result<(), StoreError> {
        let (phase, reason, credential) = match ended {
            Ok(credential) => (ConnectPhase::Done, None, Some(credential)),
            Err(reason) => (ConnectPhase::Failed, Some(reason), None),
        };
        let mut connection = self.database.writer().await?;
        Statement::new(
            "finish connecting an account",
            "update oauth_states set phase = $1, reason = $2, credential_id = $3, \
             state_hash = null, session_hash = null, verifier = null \
             where id = $4 and phase not in ('done', 'failed')",
        )
        .bind(phase)
        .bind(reason)
        .bind(credential)
        .bind(id)
        .run(&mut connection)
        .await
        .map(|_| ())
    }

    /// Removes those whose time was over before this.
    pub async fn trim_connects(&self, before: Millis, step: u32) -> Result<u64, StoreError> {
        let mut connection = self.database.writer().await?;
        Statement::new(
            "trim accounts to be connected",
            "delete from oauth_states where id in \
             (select id from oauth_states where expires_at < $1 order by expires_at limit $2)",
        )
        .bind(before)
        .bind(step)
        .run(&mut connection)
        .await
    }
}

struct Sealed {
    connect: Connect,
    verifier: Envelope,
}

impl FromRow for Sealed {
    fn from_row(row: &Row<'_>) -> Result<Sealed, StoreError> {
        Ok(Sealed {
            connect: Connect::from_row(row)?,
            verifier: Envelope::from_row(row)?,
        })
    }
}

impl FromRow for Connect {
    fn from_row(row: &Row<'_>) -> Result<Connect, StoreError> {
        Ok(Connect {
            id: row.parsed("id")?,
            workspace_id: row.parsed("workspace_id")?,
            token_id: row.parsed("token_id")?,
            provider: row.text("provider")?,
            integration_id: row.parsed_opt("integration_id")?,
            name: row.text("name")?,
            redirect_url: row.text("redirect_url")?,
            phase: row.parsed("phase")?,
            reason: row.text_opt("reason")?,
            credential_id: row.parsed_opt("credential_id")?,
            created_at: row.millis("created_at")?,
            expires_at: row.millis("expires_at")?,
        })
    }
}
