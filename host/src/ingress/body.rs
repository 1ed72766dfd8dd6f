//! Reading a body: within a size, within a time, byte for byte.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

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
    /// The connection broke, or its framing is wrong.
    #[error("the body broke off")]
    Broken,
}

/// Reads the whole body within a time; refuses as soon as the limit is known to be crossed.
pub async fn read(
    body: Body,
    announced: Option<u64>,
    limit: usize,
    within: Duration,
) -> Result<Bytes, BodyError> {
    let too_large = BodyError::TooLarge { limit };
    if announced.is_some_and(|length| usize::try_from(length).is_ok_and(|length| length > limit)) {
        return Err(too_large);
    }
    let whole = async {
        let mut stream = body.into_data_stream();
        let Some(first) = stream.next().await else {
            return Ok(Bytes::new());
        };
        let first = first.map_err(|_| BodyError::Broken)?;
        if first.len() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        // Most bodies arrive in one piece, which is handed on as it is.
        if announced == Some(first.len() as u64) {
            return Ok(first);
        }
        let announced = announced.and_then(|length| usize::try_from(length).ok());
        let mut bytes = BytesMut::with_capacity(
            announced
                .unwrap_or(FIRST_CAPACITY)
                .clamp(first.len(), 1 << 20),
        );
        bytes.extend_from_slice(&first);
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|_| BodyError::Broken)?;
            if bytes.len() + piece.len() > limit {
                return Err(BodyError::TooLarge { limit });
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    };
    match tokio::time::timeout(within, whole).await {
        Ok(read) => read,
        Err(_) => Err(BodyError::TooSlow),
    }
}
