//! Reading a body: within a size, within a time, byte for byte.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is set aside before the length is known.
const FIRST_CAPACITY: usize = 16 << 10;

/// Why a body could not be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the limit were announced or sent.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// In bytes.
        limit: usize,
    },
    /// It did not end in time.
    #[error("the body did not end in time")]
    TooSlow,
    /// The bodies of all requests together hold as much memory as they may.
    #[error("too many large requests at once")]
    Crowded,
    /// The connection broke, or its framing is wrong.
    #[error("the body broke off")]
    Broken,
}

/// What the bodies that are read now may hold together.
pub struct Budget(Arc<Semaphore>);

/// The part that one body holds, until it is dropped.
pub struct Held(Option<OwnedSemaphorePermit>);

impl Budget {
    /// So many bytes.
    pub fn of(bytes: usize) -> Budget {
        Budget(Arc::new(Semaphore::new(bytes >> 10)))
    }

    fn take(&self, held: &mut Held, bytes: usize) -> Result<(), BodyError> {
        let kib = u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX);
        let taken = Arc::clone(&self.0)
            .try_acquire_many_owned(kib)
            .map_err(|_| BodyError::Crowded)?;
        match &mut held.0 {
            Some(permit) => permit.merge(taken),
            None => held.0 = Some(taken),
        }
        Ok(())
    }
}

/// How a body is read.
pub struct Reading<'a> {
    /// As `Content-Length` says.
    pub announced: Option<u64>,
    /// In bytes.
    pub limit: usize,
    /// For the whole of it.
    pub within: Duration,
    /// Shared with the others.
    pub budget: &'a Budget,
}

/// Reads the whole body; refuses as soon as the limit is known to be crossed.
pub async fn read(body: Body, reading: Reading<'_>) -> Result<(Bytes, Held), BodyError> {
    let limit = reading.limit;
    check_announced(reading.announced, limit)?;
    let whole = async {
        let mut held = Held(None);
        let mut stream = body.into_data_stream();
        let Some(first) = stream.next().await else {
            return Ok((Bytes::new(), held));
        };
        let first = first.map_err(|_| BodyError::Broken)?;
        check_size(first.len(), limit)?;
        reading.budget.take(&mut held, first.len())?;
        // Most bodies arrive in one piece, which is handed on as it is.
        if reading.announced == Some(first.len() as u64) {
            return Ok((first, held));
        }
        let announced = reading
            .announced
            .and_then(|length| usize::try_from(length).ok());
        let capacity = announced
            .unwrap_or(FIRST_CAPACITY)
            .clamp(first.len(), first.len().max(1 << 20));
        let mut bytes = BytesMut::with_capacity(capacity);
        bytes.extend_from_slice(&first);
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|_| BodyError::Broken)?;
            check_size(bytes.len() + piece.len(), limit)?;
            reading.budget.take(&mut held, piece.len())?;
            bytes.extend_from_slice(&piece);
        }
        Ok((bytes.freeze(), held))
    };
    match tokio::time::timeout(reading.within, whole).await {
        Ok(read) => read,
        Err(_) => Err(BodyError::TooSlow),
    }
}

/// Lets a body pass by; keeps its beginning, and how many bytes came after that. What is over the
/// limit is refused as by [`read`].
pub async fn pass_by(
    body: Body,
    announced: Option<u64>,
    limit: usize,
    within: Duration,
) -> Result<(Bytes, usize), BodyError> {
    let (mut beginning, mut rest) = (BytesMut::new(), 0);
    pass_through(body, announced, (limit, within), |piece| {
        let left = FIRST_CAPACITY.saturating_sub(beginning.len());
        let kept = left.min(piece.len());
        beginning.extend_from_slice(&piece[..kept]);
        rest += piece.len() - kept;
    })
    .await?;
    Ok((beginning.freeze(), rest))
}

/// Shows a body piece by piece and keeps nothing of it.
pub async fn pass_through(
    body: Body,
    announced: Option<u64>,
    (limit, within): (usize, Duration),
    mut see: impl FnMut(&[u8]),
) -> Result<(), BodyError> {
    check_announced(announced, limit)?;
    let whole = async {
        let mut stream = body.into_data_stream();
        let mut size = 0;
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|_| BodyError::Broken)?;
            size += piece.len();
            check_size(size, limit)?;
            see(&piece);
        }
        Ok(())
    };
    match tokio::time::timeout(within, whole).await {
        Ok(passed) => passed,
        Err(_) => Err(BodyError::TooSlow),
    }
}

fn check_announced(announced: Option<u64>, limit: usize) -> Result<(), BodyError> {
    match announced.map(usize::try_from) {
        Some(Ok(length)) => check_size(length, limit),
        Some(Err(_)) => Err(BodyError::TooLarge { limit }),
        None => Ok(()),
    }
}

fn check_size(size: usize, limit: usize) -> Result<(), BodyError> {
    match size > limit {
        true => Err(BodyError::TooLarge { limit }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    const PATIENT: Duration = Duration::from_secs(60);

    /// So many pieces of ten KiB, one after the other.
    fn pieces(count: usize) -> Body {
        let piece = Bytes::from(vec![b'x'; 10 << 10]);
        let pieces = std::iter::repeat_n(piece, count).map(Ok::<_, std::io::Error>);
        Body::from_stream(stream::iter(pieces))
    }

    fn endless() -> Body {
        Body::from_stream(stream::pending::<std::io::Result<Bytes>>())
    }

    fn within(budget: &Budget, limit: usize) -> Reading<'_> {
        Reading {
            announced: None,
            limit,
            within: PATIENT,
            budget,
        }
    }

    #[tokio::test]
    async fn all_bodies_together_hold_no_more_than_they_may() {
        let budget = Budget::of(60 << 10);
        let reading = || within(&budget, 1 << 20);
        let (first, held) = read(pieces(4), reading()).await.expect("read");
        assert_eq!(first.len(), 40 << 10);
        let second = read(pieces(4), reading()).await;
        assert_eq!(second.map(drop), Err(BodyError::Crowded));
        read(pieces(2), reading())
            .await
            .expect("there is room for it");
        drop(held);
        read(pieces(6), reading())
            .await
            .expect("there is room again");
    }

    #[tokio::test]
    async fn a_body_is_refused_as_soon_as_it_is_known_to_be_too_large() {
        let budget = Budget::of(1 << 20);
        let after = |count| {
            let sent = stream::repeat_with(|| Ok(Bytes::from(vec![b'x'; 10 << 10])));
            Body::from_stream(
                sent.take(count)
                    .chain(stream::pending::<std::io::Result<Bytes>>()),
            )
        };
        let limit = 30 << 10;
        let too_large = Some(BodyError::TooLarge { limit });
        let read_it = read(after(4), within(&budget, limit)).await;
        assert_eq!(read_it.err(), too_large);
        let passed = pass_by(after(4), None, limit, PATIENT).await;
        assert_eq!(passed.err(), too_large);
        let announced = Some(limit as u64 + 1);
        let reading = Reading {
            announced,
            ..within(&budget, limit)
        };
        assert_eq!(read(endless(), reading).await.err(), too_large);
        let passed = pass_by(endless(), announced, limit, PATIENT).await;
        assert_eq!(passed.err(), too_large);
    }

    #[tokio::test]
    async fn a_body_that_does_not_end_is_given_up_whoever_it_is_for() {
        let budget = Budget::of(1 << 20);
        let soon = Duration::from_millis(10);
        let reading = Reading {
            within: soon,
            ..within(&budget, 1 << 20)
        };
        assert_eq!(
            read(endless(), reading).await.err(),
            Some(BodyError::TooSlow)
        );
        let passed = pass_by(endless(), None, 1 << 20, soon).await;
        assert_eq!(passed.err(), Some(BodyError::TooSlow));
    }

    #[tokio::test]
    async fn of_a_body_that_passes_by_only_the_beginning_is_kept() {
        let passed = pass_by(pieces(5), None, 1 << 20, PATIENT).await;
        let (beginning, rest) = passed.expect("it passed");
        assert_eq!(beginning.len(), FIRST_CAPACITY);
        assert_eq!(rest, (50 << 10) - FIRST_CAPACITY);
    }
}
