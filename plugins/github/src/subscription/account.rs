//! Whom a token belongs to, what it may do and when it ends.

use serde::Deserialize;
use trigger_plugin_api::prelude::*;

use crate::api::Api;

/// Scopes of classic tokens that let us keep webhooks. Fine-grained tokens name no scopes.
const SUFFICIENT: [&str; 4] = [
    "admin:repo_hook",
    "write:repo_hook",
    "admin:org_hook",
    "repo",
];

#[derive(Deserialize)]
struct User {
    id: u64,
    login: String,
}

/// Asks GitHub who we are.
pub async fn identify(api: &Api<'_>) -> Result<Account> {
    let response = api
        .send("GET", "/user", None)
        .await
        .map_err(|failure| failure.during("find out whom the access token belongs to"))?;
    let user: User = response.json()?;
    let scopes = response.header("x-oauth-scopes").map(list);
    if let Some(scopes) = &scopes
        && !scopes
            .iter()
            .any(|scope| SUFFICIENT.contains(&scope.as_str()))
    {
        let held = match scopes.is_empty() {
            true => "no scope".to_owned(),
            false => format!("the scopes {}", scopes.join(", ")),
        };
        return Err(Error::credentials(format!(
            "the access token of {} has {held}, but needs admin:repo_hook, or admin:org_hook for organisations",
            user.login
        )));
    }
    Ok(Account {
        id: user.id.to_string(),
        name: user.login,
        scopes: scopes.unwrap_or_default(),
        expires_at_ms: response
            .header("github-authentication-token-expiration")
            .and_then(instant_ms),
    })
}

fn list(header: &str) -> Vec<String> {
    header
        .split(',')
        .map(str::trim)
        .filter(|scope| !scope.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Reads `2026-12-01 09:30:00 UTC` or `2026-12-01 09:30:00 +0100`, in milliseconds since 1970.
fn instant_ms(text: &str) -> Option<i64> {
    let mut words = text.split_whitespace();
    let date: Vec<i64> = numbers(words.next()?, '-')?;
    let time: Vec<i64> = numbers(words.next()?, ':')?;
    let offset_minutes = match words.next()? {
        "UTC" => 0,
        offset => {
            let sign = if offset.starts_with('-') { -1 } else { 1 };
            let digits: i64 = offset.get(1..)?.parse().ok()?;
            sign * (digits / 100 * 60 + digits % 100)
        }
    };
    let (&[year, month, day], &[hour, minute, second]) = (date.as_slice(), time.as_slice()) else {
        return None;
    };
    let minutes = (days_since_1970(year, month, day) * 24 + hour) * 60 + minute - offset_minutes;
    Some((minutes * 60 + second) * 1000)
}

fn numbers(text: &str, separator: char) -> Option<Vec<i64>> {
    text.split(separator)
        .map(|number| number.parse().ok())
        .collect()
}

/// Counts from 1 March, so that the leap day is a year's last.
/// <https://howardhinnant.github.io/date_algorithms.html#days_from_civil>
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_s_end_is_read_in_either_form() {
        for (text, ms) in [
            ("1970-01-01 00:00:00 UTC", Some(0)),
            ("2026-12-01 09:30:00 UTC", Some(1_796_117_400_000)),
            ("2026-12-01 10:30:00 +0100", Some(1_796_117_400_000)),
            ("2024-02-29 23:59:59 -0000", Some(1_709_251_199_000)),
            ("never", None),
            ("2026-12-01", None),
        ] {
            assert_eq!(instant_ms(text), ms, "{text}");
        }
    }
}
