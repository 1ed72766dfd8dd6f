//! What a service gives: an access token, perhaps a refresh token, for how long, for what.

use std::time::Duration;

use super::secrets::Secrets;
use crate::clock::Millis;
use crate::secret::Secret;

/// The names under which tokens are kept.
pub(super) const ACCESS_TOKEN: &str = "access_token";
pub(super) const REFRESH_TOKEN: &str = "refresh_token";

/// A token is renewed when between these parts of its life are over, at random, so that many that
/// were given at once are not renewed at once.
const RENEWED_FROM: f64 = 0.75;
const RENEWED_UNTIL: f64 = 0.9;
/// Those that live shorter are renewed when they are used, and not all the time.
const RENEWED_AFTER_MIN: Duration = Duration::from_secs(30);

/// Tokens of one grant.
#[derive(Clone, Debug)]
pub(super) struct TokenSet {
    pub access_token: Secret<String>,
    /// None: as before, if there was one.
    pub refresh_token: Option<Secret<String>>,
    /// None: it has no end that the service tells.
    pub lifetime: Option<Duration>,
    /// None: those that were asked for.
    pub scopes: Option<Vec<String>>,
}

impl TokenSet {
    /// With what is kept from before and not given anew.
    pub fn secrets(&self, before: Secrets) -> Secrets {
        let mut secrets = before;
        secrets.set(ACCESS_TOKEN, &self.access_token);
        if let Some(refresh_token) = &self.refresh_token {
            secrets.set(REFRESH_TOKEN, refresh_token);
        }
        secrets
    }

    /// When the access token ends.
    pub fn expires_at(&self, now: Millis) -> Option<Millis> {
        self.lifetime.map(|lifetime| now.plus(lifetime))
    }

    /// When it is to be renewed, given a random fraction in `[0, 1)`. None: it has no end, or
    /// nothing to renew it with.
    pub fn refresh_due_at(&self, now: Millis, secrets: &Secrets, fraction: f64) -> Option<Millis> {
        secrets.get(REFRESH_TOKEN)?;
        let part = RENEWED_FROM + (RENEWED_UNTIL - RENEWED_FROM) * fraction;
        self.lifetime
            .map(|lifetime| now.plus(lifetime.mul_f64(part).max(RENEWED_AFTER_MIN)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(refresh_token: Option<&str>) -> TokenSet {
        TokenSet {
            access_token: Secret::new("a2".to_owned()),
            refresh_token: refresh_token.map(|text| Secret::new(text.to_owned())),
            lifetime: Some(Duration::from_secs(3600)),
            scopes: None,
        }
    }

    fn before() -> Secrets {
        let text = r#"{"access_token":"a1","refresh_token":"r1","region":"eu"}"#;
        Secrets::parse(&Secret::new(text.to_owned()))
    }

    #[test]
    fn a_refresh_token_that_is_not_given_anew_stays() {
        let kept = set(None).secrets(before()).to_text();
        let expected = r#"{"access_token":"a2","refresh_token":"r1","region":"eu"}"#;
        assert_eq!(kept.expose(), expected);
        let rotated = set(Some("r2")).secrets(before());
        assert_eq!(rotated.get(REFRESH_TOKEN), Some("r2"));
    }

    #[test]
    fn a_token_is_renewed_in_the_last_quarter_of_its_life() {
        let secrets = set(None).secrets(before());
        let due = |fraction| set(None).refresh_due_at(Millis(0), &secrets, fraction);
        assert_eq!(due(0.0), Some(Millis(2_700_000)));
        assert_eq!(due(1.0), Some(Millis(3_240_000)));
        let mut short = set(None);
        short.lifetime = Some(Duration::from_secs(1));
        let due = short.refresh_due_at(Millis(0), &secrets, 0.0);
        assert_eq!(due, Some(Millis(30_000)));
        let without = set(None).secrets(Secrets::default());
        assert_eq!(set(None).refresh_due_at(Millis(0), &without, 0.5), None);
    }
}
