//! A connection made: dialled, greeted, with TLS if either side wants it, and logged in.

use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use super::message::NatsError;
use super::target::{NatsServer, NatsTarget};
use super::wire::{self, Info, Said};
use crate::outbound::dial::dial;
use crate::outbound::message::OutboundError;

/// A stream, with TLS or without.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A server that knows us.
pub(super) struct Greeted {
    pub(super) stream: Box<dyn Stream>,
    /// What was read of it and not yet looked at.
    pub(super) buffer: BytesMut,
    pub(super) info: Info,
}

/// Connects to one server of a target.
pub(super) async fn greet(
    server: &NatsServer,
    target: &NatsTarget,
    tls: &Arc<rustls::ClientConfig>,
) -> Result<Greeted, NatsError> {
    let stream = dial(&target.allow, &server.host, server.port).await?;
    let mut greeted = Opening {
        stream: Box::new(stream),
        buffer: BytesMut::new(),
    };
    let Said::Info(mut info) = greeted.hear().await? else {
        return Err(NatsError::Protocol(
            "it does not introduce itself".to_owned(),
        ));
    };
    let is_tls = server.is_tls || info.tls_required;
    if is_tls {
        greeted = greeted.secured(server, tls).await?;
    }
    if !info.headers {
        return Err(NatsError::Protocol("it knows no headers".to_owned()));
    }
    let mut hello = BytesMut::new();
    wire::introduce(&mut hello, is_tls, target.login.fields(&info.nonce));
    greeted.stream.write_all(&hello).await.map_err(lost)?;
    greeted.stream.flush().await.map_err(lost)?;
    loop {
        match greeted.hear().await? {
            Said::Pong => break,
            Said::Error(said) => return Err(NatsError::Login(said)),
            Said::Info(newer) => info = newer,
            Said::Ping | Said::Ok | Said::Message(_) => {}
        }
    }
    Ok(Greeted {
        stream: greeted.stream,
        buffer: greeted.buffer,
        info: *info,
    })
}

struct Opening {
    stream: Box<dyn Stream>,
    buffer: BytesMut,
}

impl Opening {
    async fn hear(&mut self) -> Result<Said, NatsError> {
        loop {
            if let Some(said) = wire::read(&mut self.buffer)? {
                return Ok(said);
            }
            let read = self.stream.read_buf(&mut self.buffer).await.map_err(lost)?;
            if read == 0 {
                return Err(NatsError::Lost(
                    "it hung up before it had greeted".to_owned(),
                ));
            }
        }
    }

    async fn secured(
        self,
        server: &NatsServer,
        tls: &Arc<rustls::ClientConfig>,
    ) -> Result<Opening, NatsError> {
        // Whatever came in clear after the greeting is not from whom TLS will prove.
        if !self.buffer.is_empty() {
            let what = "it goes on in clear where TLS begins";
            return Err(NatsError::Protocol(what.to_owned()));
        }
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| {
            NatsError::from(OutboundError::Connect { source })
        };
        let host = server.host.to_string();
        let host = host.trim_matches(['[', ']']).to_owned();
        let name = rustls::pki_types::ServerName::try_from(host)
            .map_err(|error| failed(Box::new(error)))?;
        let connecting = TlsConnector::from(Arc::clone(tls)).connect(name, self.stream);
        let stream = connecting.await.map_err(|error| failed(Box::new(error)))?;
        Ok(Opening {
            stream: Box::new(stream),
            buffer: self.buffer,
        })
    }
}

pub(super) fn lost(error: std::io::Error) -> NatsError {
    NatsError::Lost(error.to_string())
}
