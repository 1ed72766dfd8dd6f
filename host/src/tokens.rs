//! API tokens: made, recognised, and what each of them may do.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::clock::{Clock, Millis, random};
use crate::id::{TokenId, WorkspaceId};
use crate::model::{AuditEntry, NewToken, Runs, Scope, Token};
use crate::secret::Secret;
use crate::store::{Store, StoreError};

/// What every token begins with, so that one that leaked can be recognised.
pub const PREFIX: &str = "tdt_";
const BODY_LEN: usize = 43;

/// A token in the hands of its owner: `tdt_` and 32 random bytes in base64url.
#[derive(Debug, Clone)]
pub struct TokenText(Secret<String>);

impl TokenText {
    /// A new one.
    pub fn generate() -> TokenText {
        let mut bytes = [0; 32];
        random(&mut bytes);
        TokenText(Secret::new(format!(
            "{PREFIX}{}",
            URL_SAFE_NO_PAD.encode(bytes)
        )))
    }

    /// None: it does not have the form of a token.
    pub fn parse(text: &str) -> Option<TokenText> {
        let body = text.strip_prefix(PREFIX)?;
        let is_form = body.len() == BODY_LEN
            && body
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        is_form.then(|| TokenText(Secret::new(text.to_owned())))
    }

    /// The token itself, to be shown once.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What is kept of it.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.expose().as_bytes()).into()
    }
}

/// Who calls, and what they may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub token_id: TokenId,
    /// None: the whole instance.
    pub workspace_id: Option<WorkspaceId>,
    pub scopes: Vec<Scope>,
    /// It runs this and nothing else.
    pub runs: Option<Runs>,
}

impl Caller {
    /// Whether the token has this scope; `admin` has them all.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }

    /// Whether the token reaches this workspace.
    pub fn reaches(&self, workspace: &WorkspaceId) -> bool {
        self.workspace_id
            .as_ref()
            .is_none_or(|own| own == workspace)
    }

    /// Whether the token rules the whole instance.
    pub fn is_instance_admin(&self) -> bool {
        self.workspace_id.is_none() && self.may(Scope::Admin)
    }
}

/// What a new token is to be.
#[derive(Debug, Clone)]
pub struct TokenOrder {
    pub name: String,
    pub workspace_id: Option<WorkspaceId>,
    pub scopes: Vec<Scope>,
    pub expires_at: Option<Millis>,
    /// It is to run this and nothing else; it has no scopes then.
    pub runs: Option<Runs>,
}

/// Makes and recognises tokens.
pub struct Tokens {
    store: Store,
    clock: Clock,
    /// When each was last used, until the next [`Tokens::note_uses`].
    used: Mutex<HashMap<TokenId, Millis>>,
}

impl Tokens {
    pub fn new(store: Store, clock: Clock) -> Tokens {
        Tokens {
            store,
            clock,
            used: Mutex::default(),
        }
    }

    /// Who holds this token. `None`: nobody, or it is revoked or expired. The look-up is by hash, so
    /// how long it takes says nothing about a token that is nearly right.
    pub async fn recognise(&self, text: &str) -> Result<Option<Caller>, StoreError> {
        let Some(text) = TokenText::parse(text) else {
            return Ok(None);
        };
        let Some(token) = self.store.token_by_hash(&text.hash()).await? else {
            return Ok(None);
        };
        Ok(self.caller_of(token))
    }

    /// Who holds the token of this row. `None`: it is revoked or expired.
    pub fn caller_of(&self, token: Token) -> Option<Caller> {
        let now = self.clock.now();
        if !is_good(&token, now) {
            return None;
        }
        if let Ok(mut used) = self.used.lock() {
            used.insert(token.id.clone(), now);
        }
        Some(Caller {
            token_id: token.id,
            workspace_id: token.workspace_id,
            scopes: token.scopes,
            runs: token.runs,
        })
    }

    /// Makes a token; its text is in nobody's hands but the caller's.
    pub async fn create(&self, order: TokenOrder) -> Result<(Token, TokenText), StoreError> {
        let text = TokenText::generate();
        Ok((self.insert(order, &text).await?, text))
    }

    /// The same with the entry that says who asked for it.
    pub async fn create_noted(
        &self,
        order: TokenOrder,
        entry: AuditEntry,
    ) -> Result<(Token, TokenText), StoreError> {
        let text = TokenText::generate();
        let new = self.new_token(order, &text);
        Ok((self.store.noted(entry).insert_token(new).await?, text))
    }

    async fn insert(&self, order: TokenOrder, text: &TokenText) -> Result<Token, StoreError> {
        let new = self.new_token(order, text);
        self.store.insert_token(new).await
    }

    fn new_token(&self, order: TokenOrder, text: &TokenText) -> NewToken {
        NewToken {
            id: TokenId::generate(self.clock.now()),
            workspace_id: order.workspace_id,
            name: order.name,
            hash: text.hash(),
            scopes: order.scopes,
            expires_at: order.expires_at,
            runs: order.runs,
        }
    }

    /// Writes down when tokens were last used; to be called now and then.
    pub async fn note_uses(&self) -> Result<(), StoreError> {
        let used: Vec<_> = match self.used.lock() {
            Ok(mut used) => used.drain().collect(),
            Err(_) => return Ok(()),
        };
        if used.is_empty() {
            return Ok(());
        }
        self.store.touch_tokens(used).await
    }

    /// At the first start, makes the token that everything else is set up with, and writes it to
    /// `file` (mode 0600). `None`: there already are tokens.
    pub async fn create_first_admin(
        &self,
        file: &Path,
    ) -> Result<Option<TokenText>, FirstTokenError> {
        if !self.store.list_tokens(None).await?.is_empty() {
            return Ok(None);
        }
        let order = TokenOrder {
            name: "first admin".to_owned(),
            workspace_id: None,
            scopes: vec![Scope::Admin],
            expires_at: None,
            runs: None,
        };
        // The file is written first: a token whose text nobody has would lock everyone out.
        let unwritable = |source| FirstTokenError::Unwritable {
            path: file.to_owned(),
            source,
        };
        let text = TokenText::generate();
        write_anew(file, &text).map_err(unwritable)?;
        self.insert(order, &text).await?;
        Ok(Some(text))
    }
}

/// Why the first token could not be made.
#[derive(Debug, thiserror::Error)]
pub enum FirstTokenError {
    #[error("cannot write the first admin token to {}", path.display())]
    Unwritable {
        path: std::path::PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A file of its own takes the place of what lies there: that may be open to others, or lead elsewhere.
fn write_anew(path: &Path, text: &TokenText) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // Made with mode 0600 and under a name that nobody has.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(file, "{}", text.expose())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn is_good(token: &Token, now: Millis) -> bool {
    token.revoked_at.is_none() && token.expires_at.is_none_or(|expires_at| now < expires_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_hides_itself() {
        let text = TokenText::generate();
        let again = TokenText::parse(text.expose()).expect("its own form");
        assert_eq!(text.hash(), again.hash());
        assert!(!format!("{text:?}").contains(text.expose()));
        assert_eq!(text.expose().len(), PREFIX.len() + BODY_LEN);
    }

    #[test]
    fn the_file_of_the_first_token_is_its_owners_alone_whatever_lay_there() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};

        let folder = tempfile::tempdir().expect("a folder");
        let (file, elsewhere) = (
            folder.path().join("admin.token"),
            folder.path().join("open"),
        );
        std::fs::write(&elsewhere, "public").expect("written");
        std::fs::write(&file, "old").expect("written");
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(&file, open).expect("a mode");
        for _ in 0..2 {
            let text = TokenText::generate();
            write_anew(&file, &text).expect("written");
            let held = std::fs::read_to_string(&file).expect("read");
            assert_eq!(held.trim(), text.expose());
            let metadata = std::fs::symlink_metadata(&file).expect("there");
            assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
            assert!(metadata.is_file());
            std::fs::remove_file(&file).expect("removed");
            symlink(&elsewhere, &file).expect("a link");
        }
        let untouched = std::fs::read_to_string(&elsewhere).expect("read");
        assert_eq!(untouched, "public");
    }

    #[test]
    fn what_has_not_the_form_of_a_token_is_none() {
        for text in [
            "",
            "tdt_",
            "tdt_short",
            &format!("xxx_{}", "a".repeat(43)),
            &format!("tdt_{}", "=".repeat(43)),
        ] {
            assert!(TokenText::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_workspace_token_reaches_its_own_workspace_only() {
        let (own, other) = (
            WorkspaceId::generate(Millis(1)),
            WorkspaceId::generate(Millis(2)),
        );
        let mut caller = Caller {
            token_id: TokenId::generate(Millis(1)),
            workspace_id: Some(own.clone()),
            scopes: vec![Scope::Read],
            runs: None,
        };
        assert!(caller.reaches(&own) && !caller.reaches(&other));
        assert!(caller.may(Scope::Read) && !caller.may(Scope::Apply));
        caller.scopes = vec![Scope::Admin];
        assert!(caller.may(Scope::Apply) && !caller.is_instance_admin());
    }
}
