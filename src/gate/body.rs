//! Reading a request's body: whole, within a size and a time, and never larger than its sender may afford.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body;

use crate::reason::Reason;

/// First allocation for a body whose length is not told, in bytes: most callbacks fit.
const USUAL_BODY: usize = 4096;

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body is larger than {limit} bytes (server.max_body)")]
    TooLarge { limit: usize },
    #[error("the body did not arrive within {limit:?} (server.body_timeout)")]
    Timeout { limit: Duration },
    #[error("the body broke off or is not well-formed HTTP")]
    Broken,
}

impl BodyError {
    pub(super) const fn reason(&self) -> Reason {
        match self {
            Self::TooLarge { .. } => Reason::BodyTooLarge,
            Self::Timeout { .. } | Self::Broken => Reason::BodyTimeout,
        }
    }
}

/// The whole body, exactly as received (chunked coding undone, nothing else).
pub(super) async fn read<B>(body: B, max_body: usize, timeout: Duration) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    // A length that is too large is refused before a byte is read.
    if body.size_hint().lower() > max_body as u64 {
        return Err(BodyError::TooLarge { limit: max_body });
    }
    match tokio::time::timeout(timeout, collect(body, max_body)).await {
        Ok(collected) => collected,
        Err(_elapsed) => Err(BodyError::Timeout { limit: timeout }),
    }
}

async fn collect<B>(mut body: B, max_body: usize) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Err(BodyError::Broken) };
        let Ok(chunk) = frame.into_data() else { continue };
        let so_far = first.len().saturating_add(joined.len());
        if so_far.saturating_add(chunk.len()) > max_body {
            return Err(BodyError::TooLarge { limit: max_body });
        }
        if so_far == 0 {
            // Usually the only chunk: then nothing is copied.
            first = chunk;
            continue;
        }
        if joined.is_empty() {
            joined.reserve(USUAL_BODY.max(first.len().saturating_add(chunk.len())));
            joined.extend_from_slice(&std::mem::take(&mut first));
        }
        joined.extend_from_slice(&chunk);
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{Full, channel::Channel};

    use super::*;

    async fn read_chunks(chunks: &[&'static [u8]], max: usize) -> Result<Bytes, BodyError> {
        let (mut sender, body) = Channel::<Bytes, Infallible>::new(16);
        for chunk in chunks {
            sender.send_data(Bytes::from_static(chunk)).await.unwrap();
        }
        drop(sender);
        read(body, max, Duration::from_secs(1)).await
    }

    #[tokio::test]
    async fn chunks_are_joined_in_order() {
        assert_eq!(read_chunks(&[b"ab", b"", b"cd", b"e"], 5).await.unwrap(), "abcde");
        assert_eq!(read_chunks(&[], 5).await.unwrap(), "");
    }

    #[tokio::test]
    async fn one_byte_over_is_refused_however_it_is_cut() {
        for chunks in [&[&b"abcdef"[..]][..], &[b"abc", b"def"], &[b"a", b"bcde", b"f"]] {
            assert!(matches!(read_chunks(chunks, 5).await, Err(BodyError::TooLarge { limit: 5 })));
        }
        let told = Full::new(Bytes::from_static(b"abcdef"));
        assert!(matches!(read(told, 5, Duration::from_secs(1)).await, Err(BodyError::TooLarge { limit: 5 })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_times_out() {
        let (_sender, body) = Channel::<Bytes, Infallible>::new(1);
        let error = read(body, 5, Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(error.reason(), Reason::BodyTimeout);
    }
}
