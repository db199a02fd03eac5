//! DNS over TCP (RFC 7766): questions and answers one after the other, each behind its length.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::respond::respond;
use crate::context::Context;

/// Connections at once; others wait for their turn.
const CONNECTIONS: usize = 64;

/// How long a connection may be silent (RFC 7766, section 6.2.3, asks for seconds).
const SILENT: Duration = Duration::from_secs(10);

/// The longest question: a name, a type, and EDNS. Only answers are longer.
const QUESTION: usize = 4096;

/// Before the next try to accept, after the kernel had nothing left to accept with.
const PAUSE: Duration = Duration::from_millis(50);

/// Answers for as long as it is polled.
///
/// # Errors
/// None at present: a failure to accept is waited out.
pub async fn serve(listener: TcpListener, context: Arc<Context>) -> anyhow::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let context = context.clone();
                    connections.spawn(async move {
                        if let Err(error) = converse(stream, &context).await {
                            tracing::debug!(%error, "a connection with questions broke");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection with questions could not be accepted");
                    sleep(PAUSE).await;
                }
            },
        }
    }
}

async fn converse(mut stream: TcpStream, context: &Arc<Context>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    while let Ok(length) = timeout(SILENT, stream.read_u16()).await? {
        let length = usize::from(length);
        if length > QUESTION {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; length];
        timeout(SILENT, stream.read_exact(&mut bytes)).await??;
        let Some(response) = respond(context, &bytes).await else { return Ok(()) };
        let answer = response.answer.to_vec().map_err(io::Error::other)?;
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        timeout(SILENT, stream.write_all(&[&length.to_be_bytes()[..], &answer].concat())).await??;
    }
    Ok(())
}
