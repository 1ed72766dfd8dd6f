//! What a program prints: read to the end so that it never blocks, kept up to a limit.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The beginning of a stream, and how much more there was.
#[derive(Debug)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    max: usize,
    dropped: u64,
}

impl Kept {
    pub(super) fn up_to(max: usize) -> Kept {
        Kept {
            bytes: Vec::new(),
            max,
            dropped: 0,
        }
    }

    /// Reads until the stream ends or fails. What was read so far stays when this is dropped.
    pub(super) async fn drain(&mut self, stream: Option<impl AsyncRead + Unpin>) {
        let Some(mut stream) = stream else { return };
        let mut chunk = vec![0u8; 8 * 1024];
        while let Ok(read @ 1..) = stream.read(&mut chunk).await {
            let room = (self.max - self.bytes.len()).min(read);
            self.bytes.extend_from_slice(&chunk[..room]);
            self.dropped += (read - room) as u64;
        }
    }

    /// Whether all of the stream is kept.
    pub(super) fn is_whole(&self) -> bool {
        self.dropped == 0
    }

    /// What is kept, without the note.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The last line that holds something, for an error.
    pub(super) fn last_line(&self) -> Option<String> {
        const CHARS_MAX: usize = 200;
        let text = String::from_utf8_lossy(self.bytes.trim_ascii_end());
        let line = text.lines().next_back()?.trim();
        (!line.is_empty()).then(|| line.chars().take(CHARS_MAX).collect())
    }

    /// What is kept, with a note about what is not; nothing if the stream was empty.
    pub(super) fn into_bytes(mut self) -> Option<Bytes> {
        if !self.is_whole() {
            let note = format!("\n[{} more bytes were not kept]\n", self.dropped);
            self.bytes.extend_from_slice(note.as_bytes());
        }
        (!self.bytes.is_empty()).then(|| Bytes::from(self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_beginning_is_kept_and_the_rest_is_counted() {
        let mut kept = Kept::up_to(10);
        kept.drain(Some(&[b'x'; 100_000][..])).await;
        assert_eq!(kept.bytes(), b"xxxxxxxxxx");
        let text = kept.into_bytes().expect("something");
        assert_eq!(&text[..], b"xxxxxxxxxx\n[99990 more bytes were not kept]\n");
    }

    #[tokio::test]
    async fn the_last_line_is_the_one_that_says_something() {
        let mut kept = Kept::up_to(100);
        kept.drain(Some(&b"first\n second \n\n"[..])).await;
        assert_eq!(kept.last_line().as_deref(), Some("second"));
        assert_eq!(Kept::up_to(1).last_line(), None);
    }
}
