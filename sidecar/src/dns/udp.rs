//! DNS over UDP.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::answer::for_datagram;
use super::respond::respond;
use crate::context::Context;

/// Questions whose tasks live at once; those that wait for a resolver are bounded on their own.
const TASKS: usize = 512;

/// Before the next try to receive, after the kernel reported an error.
const PAUSE: Duration = Duration::from_millis(10);

/// Answers for as long as it is polled.
///
/// # Errors
/// None at present: errors of the socket are those of single datagrams.
pub async fn serve(socket: UdpSocket, context: Arc<Context>) -> anyhow::Result<()> {
    let socket = Arc::new(socket);
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; 4096];
    loop {
        while tasks.len() >= TASKS {
            tasks.join_next().await;
        }
        tokio::select! {
            Some(_) = tasks.join_next() => {}
            received = socket.recv_from(&mut buffer) => match received {
                Ok((length, from)) => {
                    let bytes = buffer.get(..length).unwrap_or_default().to_vec();
                    let (socket, context) = (socket.clone(), context.clone());
                    tasks.spawn(async move {
                        let response = respond(&context, &bytes).await;
                        let answer = response.and_then(|response| for_datagram(response.request.as_ref(), &response.answer));
                        if let Some(answer) = answer {
                            // an application that is gone needs no answer
                            let _ = socket.send_to(&answer, from).await;
                        }
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "a question could not be received");
                    sleep(PAUSE).await;
                }
            },
        }
    }
}
