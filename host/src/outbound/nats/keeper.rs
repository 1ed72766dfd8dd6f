//! One connection and all that is under way on it: a task that alone reads and writes.
//!
//! A server works off what a connection says in its order, so each message is followed by a `PING`:
//! its `PONG` says that the message was read, and an error that comes before it is about this message
//! and no other.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, interval, timeout};

use super::greeting::{Greeted, Stream, lost};
use super::message::{NatsError, NatsExpects, NatsReply, NatsTaken, shown};
use super::wire::{self, Message, Outgoing, Said};
use crate::panics;

/// So many may wait to be written.
const WAITING_MAX: usize = 256;
/// So often a silent server is asked for a sign.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// A server that owes a sign for so long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(40);
/// A connection that nobody uses is closed.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// A server that takes nothing for so long is gone.
const WRITE_MAX: Duration = Duration::from_secs(10);

/// The way to a connection. The connection ends some time after the last of these is dropped.
#[derive(Clone)]
pub(super) struct Line {
    orders: mpsc::Sender<Order>,
    payload_max: usize,
}

/// Why a message was not sent over a line.
pub(super) enum Unsent {
    /// The connection ended before the message was handed over: it may be sent over another.
    Ended(Outgoing),
    Failed(NatsError),
}

type Told = oneshot::Sender<Result<NatsTaken, NatsError>>;

struct Order {
    message: Outgoing,
    expects: NatsExpects,
    told: Told,
}

impl Line {
    /// Keeps a connection that was made.
    pub(super) fn keep(greeted: Greeted) -> Line {
        let (orders, waiting) = mpsc::channel(WAITING_MAX);
        let payload_max = greeted.info.max_payload;
        let keeper = Keeper::new(greeted, waiting);
        // If it panics, everyone who waits hears that the connection was lost.
        tokio::spawn(async { panics::survive(keeper.run()).await });
        Line {
            orders,
            payload_max,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        !self.orders.is_closed()
    }

    /// Sends a message and waits for what it expects.
    pub(super) async fn send(
        &self,
        message: Outgoing,
        expects: NatsExpects,
    ) -> Result<NatsTaken, Unsent> {
        if self.payload_max > 0 && message.size() > self.payload_max {
            let max = self.payload_max;
            return Err(Unsent::Failed(NatsError::TooLarge { max }));
        }
        let (told, outcome) = oneshot::channel();
        let order = Order {
            message,
            expects,
            told,
        };
        if let Err(unsent) = self.orders.send(order).await {
            return Err(Unsent::Ended(unsent.0.message));
        }
        let ended = |_| Err(NatsError::Lost("it ended".to_owned()));
        outcome.await.unwrap_or_else(ended).map_err(Unsent::Failed)
    }
}

/// Whom a `PONG` is for.
enum Awaited {
    /// Who wants to know that the message was read.
    Taken(Told),
    /// Who wants an answer, by its number; the `PONG` tells nothing.
    Reply(u64),
    /// Nobody, or somebody who was told already.
    Nobody,
}

struct Keeper {
    stream: Box<dyn Stream>,
    /// Read, and not yet looked at.
    heard: BytesMut,
    /// To be written.
    saying: BytesMut,
    orders: mpsc::Receiver<Order>,
    pongs: VecDeque<Awaited>,
    /// Where answers come to, once somebody wanted one; a number stands at the end of each address.
    inbox: Option<String>,
    inbox_refused: Option<NatsError>,
    replies: HashMap<u64, Told>,
    number: u64,
    used_at: Instant,
    heard_at: Instant,
}

impl Keeper {
    fn new(greeted: Greeted, orders: mpsc::Receiver<Order>) -> Keeper {
        let now = Instant::now();
        Keeper {
            stream: greeted.stream,
            heard: greeted.buffer,
            saying: BytesMut::new(),
            orders,
            pongs: VecDeque::new(),
            inbox: None,
            inbox_refused: None,
            replies: HashMap::new(),
            number: 0,
            used_at: now,
            heard_at: now,
        }
    }

    async fn run(mut self) {
        let ended = self.attend().await;
        self.orders.close();
        let error = match ended {
            // Nobody waits.
            Ok(()) => return,
            Err(error) => error,
        };
        tracing::info!(%error, "a connection to a NATS server ended");
        for awaited in self.pongs.drain(..) {
            if let Awaited::Taken(told) = awaited {
                tell(told, Err(error.clone()));
            }
        }
        for (_, told) in self.replies.drain() {
            tell(told, Err(error.clone()));
        }
        // What was handed over and not written.
        while let Ok(order) = self.orders.try_recv() {
            tell(order.told, Err(error.clone()));
        }
    }

    async fn attend(&mut self) -> Result<(), NatsError> {
        let mut looks = interval(LOOK_EVERY);
        looks.tick().await;
        let mut is_last = false;
        while !(is_last && self.is_idle()) {
            tokio::select! {
                read = self.stream.read_buf(&mut self.heard) => {
                    if read.map_err(lost)? == 0 {
                        return Err(NatsError::Lost("the server hung up".to_owned()));
                    }
                    self.heard_at = Instant::now();
                    while let Some(said) = wire::read(&mut self.heard)? {
                        self.hear(said)?;
                    }
                }
                order = self.orders.recv(), if !is_last => match order {
                    Some(order) => self.take_orders(order),
                    None => is_last = true,
                },
                _ = looks.tick() => {
                    if self.look()? {
                        return Ok(());
                    }
                }
            }
            self.write().await?;
        }
        Ok(())
    }

    /// Everything that waits, so that it is written at once.
    fn take_orders(&mut self, first: Order) {
        self.used_at = Instant::now();
        self.say(first);
        while let Ok(order) = self.orders.try_recv() {
            self.say(order);
        }
    }

    fn say(&mut self, order: Order) {
        // Who gave up meanwhile sends nothing.
        if order.told.is_closed() {
            return;
        }
        match (order.expects, &self.inbox_refused) {
            (NatsExpects::Taken, _) => {
                wire::publish(&mut self.saying, &order.message, None);
                self.pongs.push_back(Awaited::Taken(order.told));
            }
            (NatsExpects::Reply, Some(refused)) => tell(order.told, Err(refused.clone())),
            (NatsExpects::Reply, None) => {
                let inbox = self.inbox.get_or_insert_with(|| {
                    let inbox = format!("_INBOX.{}", random_word());
                    wire::subscribe(&mut self.saying, &format!("{inbox}.*"));
                    inbox
                });
                self.number += 1;
                let reply_to = format!("{inbox}.{}", self.number);
                wire::publish(&mut self.saying, &order.message, Some(&reply_to));
                self.pongs.push_back(Awaited::Reply(self.number));
                self.replies.insert(self.number, order.told);
            }
        }
    }

    fn hear(&mut self, said: Said) -> Result<(), NatsError> {
        match said {
            Said::Ping => self.saying.extend_from_slice(b"PONG\r\n"),
            Said::Pong => {
                if let Some(Awaited::Taken(told)) = self.pongs.pop_front() {
                    tell(told, Ok(NatsTaken::Taken));
                }
            }
            Said::Message(message) => self.answer(message),
            // What waits here is worked off; new messages go to another server.
            Said::Info(info) if info.is_leaving => self.orders.close(),
            Said::Info(_) | Said::Ok => {}
            Said::Error(said) => return self.hear_error(&said),
        }
        Ok(())
    }

    fn answer(&mut self, message: Message) {
        let number = message.subject.rsplit('.').next();
        let number = number.and_then(|number| number.parse().ok());
        let Some(told) = number.and_then(|number: u64| self.replies.remove(&number)) else {
            // Whoever asked has given up, or it is the second answer.
            return;
        };
        let reply = match message.status {
            Some(503) => Err(NatsError::NoResponders),
            Some(status) => Err(NatsError::Protocol(format!(
                "it answers with status {status}"
            ))),
            None => Ok(NatsTaken::Reply(NatsReply {
                headers: message.headers,
                payload: message.payload,
            })),
        };
        tell(told, reply);
    }

    fn hear_error(&mut self, said: &str) -> Result<(), NatsError> {
        let lower = said.to_ascii_lowercase();
        if lower.starts_with("permissions violation for publish") {
            // It stands before the sign for the message that it is about.
            let refused = self.pongs.front_mut();
            let refused = refused.map(|front| std::mem::replace(front, Awaited::Nobody));
            let told = match refused {
                Some(Awaited::Taken(told)) => Some(told),
                Some(Awaited::Reply(number)) => self.replies.remove(&number),
                Some(Awaited::Nobody) | None => None,
            };
            if let Some(told) = told {
                tell(told, Err(NatsError::Forbidden(shown(said))));
            }
            return Ok(());
        }
        if lower.starts_with("permissions violation for subscription") {
            let error = NatsError::Forbidden(shown(said));
            self.inbox_refused = Some(error.clone());
            for (_, told) in self.replies.drain() {
                tell(told, Err(error.clone()));
            }
            return Ok(());
        }
        // The server hangs up after any other.
        let of_the_login = lower.contains("auth");
        Err(match of_the_login {
            true => NatsError::Login(shown(said)),
            false => NatsError::Lost(shown(said)),
        })
    }

    /// Whether the connection is not needed any more.
    fn look(&mut self) -> Result<bool, NatsError> {
        self.replies.retain(|_, told| !told.is_closed());
        if self.is_idle() && self.used_at.elapsed() > IDLE_MAX {
            return Ok(true);
        }
        if !self.pongs.is_empty() && self.heard_at.elapsed() > SILENCE_MAX {
            return Err(NatsError::Lost("the server fell silent".to_owned()));
        }
        self.saying.extend_from_slice(b"PING\r\n");
        self.pongs.push_back(Awaited::Nobody);
        Ok(false)
    }

    fn is_idle(&self) -> bool {
        let mut pongs = self.pongs.iter();
        self.replies.is_empty() && pongs.all(|awaited| matches!(awaited, Awaited::Nobody))
    }

    async fn write(&mut self) -> Result<(), NatsError> {
        if self.saying.is_empty() {
            return Ok(());
        }
        let writing = async {
            self.stream.write_all(&self.saying).await?;
            self.stream.flush().await
        };
        let late = |_| NatsError::Lost("the server takes nothing".to_owned());
        timeout(WRITE_MAX, writing)
            .await
            .map_err(late)?
            .map_err(lost)?;
        self.saying.clear();
        Ok(())
    }
}

/// Who does not wait any more does not want to know.
fn tell(told: Told, outcome: Result<NatsTaken, NatsError>) {
    let _ = told.send(outcome);
}

fn random_word() -> String {
    let mut bytes = [0; 12];
    crate::clock::random(&mut bytes);
    hex::encode(bytes)
}
