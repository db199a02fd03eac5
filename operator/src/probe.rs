//! Asking over plain HTTP whether something answers: for checks that run in a pod with nothing but this program.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum ProbeError {
    #[error("it is not of the form http://host:port/path")]
    Form,
    #[error("no connection: {0}")]
    Connect(#[source] std::io::Error),
    #[error("no answer: {0}")]
    Answer(#[from] hyper::Error),
    #[error("no answer in {} s", PATIENCE.as_secs())]
    Late,
}

/// Asks one URL after another, prints a line for each, and says whether all of them answered 200.
///
/// # Errors
/// When there is no runtime to ask with.
pub fn all(urls: &[String]) -> std::io::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut sound = true;
    for url in urls {
        let asked = async { tokio::time::timeout(PATIENCE, ask(url)).await.unwrap_or(Err(ProbeError::Late)) };
        match runtime.block_on(asked) {
            Ok(status) => {
                println!("{url}: {status}");
                sound &= status == StatusCode::OK;
            }
            Err(problem) => {
                println!("{url}: {problem}");
                sound = false;
            }
        }
    }
    Ok(sound)
}

async fn ask(url: &str) -> Result<StatusCode, ProbeError> {
    let uri: Uri = url.parse().map_err(|_| ProbeError::Form)?;
    let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(ProbeError::Form) };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path).header(header::HOST, authority.as_str()).body(Empty::<Bytes>::new());
    let request = request.map_err(|_| ProbeError::Form)?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await.map_err(ProbeError::Connect)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answered = async move { sender.send_request(request).await.map(|answer| answer.status()) };
    // the connection ends when the answer is there and nobody asks for more
    let (answered, _) = tokio::join!(answered, connection);
    Ok(answered?)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_answer_is_the_status() {
        let listener = TcpListener::bind("[::1]:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/ready", get(async || "ok"));
        let stop = tokio_util::sync::CancellationToken::new();
        let served = crate::serve::plain(listener, router, stop.clone());
        let asked = async {
            assert_eq!(ask(&format!("{base}/ready")).await.unwrap(), StatusCode::OK);
            assert_eq!(ask(&format!("{base}/other")).await.unwrap(), StatusCode::NOT_FOUND);
            assert!(matches!(ask("https://[::1]:1/").await, Err(ProbeError::Form)));
            assert!(matches!(ask("http://127.0.0.1:1/").await, Err(ProbeError::Connect(_))));
            stop.cancel();
        };
        tokio::join!(served, asked).0.unwrap();
    }
}
