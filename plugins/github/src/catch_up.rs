//! What failed while we were down, asked for again.
//!
//! GitHub sends once and never repeats by itself, but keeps a log of each webhook's deliveries and
//! sends one again when asked, for three days. So a pull answers no events: it has the failed
//! deliveries sent again, to the same endpoint and under the same ids, by which the host knows
//! those that it has.
//!
//! ```text
//!   read the log, newest first, down to what was accounted for   (PAGES_MAX a pull, then `more`)
//!        │ each failed delivery without a successful attempt
//!        ▼
//!   ledger ──► asked for again, oldest first   (SENT_MAX a pull, then in a minute)
//!        │ seen to succeed: out          │ fails again: later, and later still
//!        ▼                               ▼
//!   three days old: out, and the operator is told
//! ```
//! Nothing here is exact: a delivery asked for twice is one event, and an answer that was lost is
//! repeated with the same cursor. <https://docs.github.com/en/rest/repos/webhooks#redeliver-a-delivery-for-a-repository-webhook>

mod cursor;
mod delivery;
mod ledger;

use std::time::Duration;

use serde_json::Value;
use trigger_plugin_api::prelude::*;

use self::cursor::{Cursor, Reading};
use self::delivery::Delivery;
use self::ledger::{Due, Ledger};
use crate::api::{Api, Failure, Page, Quota};
use crate::subscription::{OURS_SINCE_MS, Subject};

/// How long GitHub keeps its log and sends again.
pub const KEPT_MS: i64 = 3 * 24 * 3_600_000;
/// A delivery that timed out stands in the log some seconds after later ones do.
const OVERLAP_MS: i64 = 2 * 60_000;
/// At 100 deliveries a page.
const PAGES_MAX: usize = 10;
/// GitHub asks for no more than one change a second, over some time.
const SENT_MAX: usize = 60;
/// When there is more to be sent.
const PAUSE: Duration = Duration::from_secs(60);

/// Reads the log and has sent again what failed.
pub async fn pull(api: &Api<'_>, request: &PullRequest) -> Result<Pulled> {
    let held = &request.subscription;
    let subject = Subject::of_held(held)?;
    let now_ms = api.host().now_ms();
    let begun = Cursor::of(request, now_ms)?;
    let mut round = Round {
        api,
        path: format!("{}/deliveries", subject.hook_path(held)?),
        now_ms,
        floor_ms: floor_ms(&begun, held, now_ms),
        ledger: Ledger::read(api.host(), begun.chunks).await?,
        cursor: begun.clone(),
        wait: None,
        steps: 0,
        notes: Vec::new(),
    };
    if begun.read_ms < now_ms - KEPT_MS {
        round.notes.push(
            "the delivery log was not read for more than three days, which is as long as GitHub keeps it: what failed before is lost".to_owned(),
        );
    }
    match round.play().await {
        Ok(()) => {}
        // What was done is kept, and the rest is tried again.
        Err(failure) if round.steps > 0 => {
            round.wait = Some(failure.wait().unwrap_or(PAUSE));
            api.host().log(
                Level::Warn,
                &format!("catching up with {subject} is interrupted: {failure}"),
            );
        }
        // To the host, NOT_FOUND would be a cursor that is too old.
        Err(Failure::NotFound) => {
            return Err(Error::upstream(format!(
                "cannot read the delivery log of {subject}: {}",
                Failure::NotFound
            )));
        }
        Err(failure) => {
            return Err(failure.during(format_args!("catch up with {subject}")));
        }
    }
    Ok(round.answer(&begun))
}

/// What lies before is accounted for, is not ours, or is not kept any more.
fn floor_ms(cursor: &Cursor, held: &ExistingSubscription, now_ms: i64) -> i64 {
    let ours_since = held.properties.get(OURS_SINCE_MS).and_then(Value::as_i64);
    (cursor.seen_ms - OVERLAP_MS)
        .max(ours_since.unwrap_or(i64::MIN))
        .max(now_ms - KEPT_MS)
}

/// One pull under way.
struct Round<'a> {
    api: &'a Api<'a>,
    path: String,
    now_ms: i64,
    floor_ms: i64,
    ledger: Ledger,
    cursor: Cursor,
    /// Set when nothing more may be asked for now.
    wait: Option<Duration>,
    /// Requests that changed the ledger or the cursor.
    steps: usize,
    notes: Vec<String>,
}

impl Round<'_> {
    async fn play(&mut self) -> Result<(), Failure> {
        self.read_log().await?;
        let expired = self.ledger.expire(self.now_ms - KEPT_MS, self.now_ms);
        self.note(expired, "failed for three days; given up");
        if self.cursor.reading.is_none() && self.wait.is_none() {
            self.send_again().await?;
        }
        Ok(())
    }

    /// Reads on where the pull before ended, else from the newest delivery.
    async fn read_log(&mut self) -> Result<(), Failure> {
        for _ in 0..PAGES_MAX {
            let page = self.next_page().await?;
            self.wait = page.quota.and_then(|quota| quota.wait(self.now_ms));
            self.steps += 1;
            let mut is_done = page.next.is_none();
            let mut newest_ms = self
                .cursor
                .reading
                .as_ref()
                .map(|reading| reading.newest_ms);
            for delivery in &page.body {
                let at_ms = delivery.at_ms()?;
                newest_ms = newest_ms.max(Some(at_ms));
                if at_ms < self.floor_ms {
                    is_done = true;
                    break;
                }
                self.ledger.note(delivery, at_ms, self.now_ms);
            }
            let newest_ms = newest_ms.unwrap_or(self.cursor.seen_ms);
            self.cursor.reading = match page.next {
                Some(next) if !is_done => Some(Reading { newest_ms, next }),
                _ => None,
            };
            if is_done {
                self.cursor.seen_ms = self.cursor.seen_ms.max(newest_ms);
                self.cursor.read_ms = self.now_ms;
                return Ok(());
            }
            if self.wait.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn next_page(&self) -> Result<Page<Vec<Delivery>>, Failure> {
        let newest = format!("{}?per_page=100", self.path);
        match &self.cursor.reading {
            None => self.api.page(&newest).await,
            Some(reading) => match self.api.page(&reading.next).await {
                // The place in the log is not known any more: from the top, which changes nothing.
                Err(Failure::Invalid { .. }) => self.api.page(&newest).await,
                page => page,
            },
        }
    }

    async fn send_again(&mut self) -> Result<(), Failure> {
        let (mut first_time, mut refused) = (0, 0);
        let mut ended = Ok(());
        for Due { guid, id } in self.ledger.due(self.now_ms, SENT_MAX) {
            let path = format!("{}/{id}/attempts", self.path);
            match self.api.send("POST", &path, None).await {
                Ok(response) => {
                    first_time += usize::from(self.ledger.sent(&guid, self.now_ms));
                    let quota = Quota::of(&response);
                    self.wait = quota.and_then(|quota| quota.wait(self.now_ms));
                }
                Err(Failure::NotFound | Failure::Invalid { .. }) => {
                    self.ledger.settle(&guid, self.now_ms);
                    refused += 1;
                }
                Err(failure) => {
                    ended = Err(failure);
                    break;
                }
            }
            self.steps += 1;
            if self.wait.is_some() {
                break;
            }
        }
        self.note(first_time, "had failed; asked for again");
        self.note(refused, "failed, which GitHub refuses to send again");
        ended
    }

    fn note(&mut self, deliveries: usize, what: &str) {
        match deliveries {
            0 => {}
            1 => self.notes.push(format!("1 delivery {what}")),
            _ => self.notes.push(format!("{deliveries} deliveries {what}")),
        }
    }

    fn answer(mut self, begun: &Cursor) -> Pulled {
        let left_out = self.ledger.left_out();
        self.note(
            left_out,
            "failed, too many to be kept in mind: to be redelivered at GitHub by hand",
        );
        let is_read = self.cursor.reading.is_none();
        self.ledger.forget_settled(match is_read {
            true => self.cursor.seen_ms - OVERLAP_MS,
            false => self.floor_ms,
        });
        let pause = self.wait.or_else(|| {
            let due_ms = self.ledger.next_due_ms()?;
            let wait_ms = u64::try_from(due_ms - self.now_ms).unwrap_or_default();
            Some(Duration::from_millis(wait_ms).max(PAUSE))
        });
        let (state, chunks) = self.ledger.written(begun.chunks);
        self.cursor.chunks = chunks;
        Pulled {
            cursor: self.cursor.text(),
            more: !is_read && self.wait.is_none(),
            state,
            next_in_ms: pause.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)),
            notes: self.notes,
            ..Pulled::default()
        }
    }
}
