//! The sniffer of the world: what arrived there, asked over HTTP.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::wait::{Seen, until};

/// How long the sniffer may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// How long a packet may take from the wire to the sniffer's answer.
pub const ARRIVAL: Duration = Duration::from_secs(10);

/// A packet that arrived at a host of the world.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Packet {
    /// When, in seconds of the sniffer's clock.
    pub time: f64,
    /// From which address.
    pub source: IpAddr,
    /// At which address.
    pub destination: IpAddr,
    /// The protocol: `tcp`, `udp`, `icmp`, `icmpv6`, `sctp`, or its number.
    pub protocol: String,
    /// The length in bytes.
    #[serde(default)]
    pub length: u64,
    /// The name in the DNS question, if it is one.
    #[serde(default)]
    pub name: Option<String>,
}

/// Which packets are asked for; whatever is not said is not asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// From this address.
    pub source: Option<IpAddr>,
    /// At this address.
    pub destination: Option<IpAddr>,
    /// Of this protocol.
    pub protocol: Option<String>,
    /// With a DNS question for this name.
    pub name: Option<String>,
    /// Since this time of the sniffer's clock, in seconds.
    pub since: Option<f64>,
}

impl Query {
    fn path(&self) -> String {
        let mut pairs = Vec::new();
        pairs.extend(self.source.map(|source| format!("source={source}")));
        pairs.extend(self.destination.map(|destination| format!("destination={destination}")));
        pairs.extend(self.protocol.as_ref().map(|protocol| format!("protocol={protocol}")));
        pairs.extend(self.name.as_ref().map(|name| format!("name={name}")));
        pairs.extend(self.since.map(|since| format!("since={since}")));
        format!("/packets?{}", pairs.join("&"))
    }
}

/// The sniffer.
#[derive(Clone, Debug)]
pub struct Sniffer {
    authority: String,
}

impl Sniffer {
    /// A sniffer at `http://host:port`.
    ///
    /// # Errors
    /// When the base is of another form.
    pub fn new(base: &str) -> Result<Self> {
        let authority = base.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let authority =
            authority.with_context(|| format!("{base:?} is not the base of a sniffer, as in http://192.0.2.1:8080"))?;
        Ok(Self { authority: authority.to_owned() })
    }

    /// Whether it is there.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn health(&self) -> Result<()> {
        self.get("/health").await.map(drop)
    }

    /// Its clock, in seconds.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn clock(&self) -> Result<f64> {
        self.json("/clock").await
    }

    /// The packets that match.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn packets(&self, query: &Query) -> Result<Vec<Packet>> {
        self.json(&query.path()).await
    }

    /// Waits until a packet that matches has arrived.
    ///
    /// # Errors
    /// When none has.
    pub async fn arrival(&self, what: &str, query: &Query) -> Result<Vec<Packet>> {
        until(&format!("{what} arrives ({})", query.path()), ARRIVAL, async || {
            let packets = self.packets(query).await?;
            Ok(if packets.is_empty() { Seen::NotYet("no packet".into()) } else { Seen::Yes(packets) })
        })
        .await
    }

    async fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let body = self.get(path).await?;
        serde_json::from_slice(&body)
            .with_context(|| format!("the sniffer's answer to {path}: {}", String::from_utf8_lossy(&body)))
    }

    async fn get(&self, path: &str) -> Result<Bytes> {
        let answer = timeout(ANSWER, self.exchange(path)).await;
        answer
            .context("time is up")
            .flatten()
            .with_context(|| format!("the sniffer at {} does not answer {path}", self.authority))
    }

    async fn exchange(&self, path: &str) -> Result<Bytes> {
        let stream = TcpStream::connect(&self.authority).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::get(path).header("host", &self.authority).body(Empty::<Bytes>::new())?;
        let answer = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            drop(sender);
            ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
            Ok(body)
        };
        // the connection carries the exchange, and may end with an error once the answer is there
        let (answer, _) = futures::future::join(answer, connection).await;
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_asks_only_what_is_said() {
        assert_eq!(Query::default().path(), "/packets?");
        let query = Query {
            source: Some("10.244.1.7".parse().unwrap()),
            destination: Some("2001:db8::1".parse().unwrap()),
            protocol: Some("udp".into()),
            name: Some("a.example".into()),
            since: Some(1.5),
        };
        assert_eq!(query.path(), "/packets?source=10.244.1.7&destination=2001:db8::1&protocol=udp&name=a.example&since=1.5");
    }

    #[test]
    fn a_base_is_an_http_address() {
        assert_eq!(Sniffer::new("http://127.0.0.1:8053/").unwrap().authority, "127.0.0.1:8053");
        assert!(Sniffer::new("https://127.0.0.1").is_err());
    }
}
