//! The hosts of the world: who they are, and what they serve.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::authority::authority;
use crate::namespace::Namespace;

/// A host with a name and addresses; documentation addresses, which lead nowhere.
pub(crate) struct Host {
    pub(crate) name: &'static str,
    pub(crate) v4: &'static str,
    pub(crate) v6: &'static str,
}

/// Listed; in the country.
pub(crate) const CLINIC: Host = Host { name: "clinic.example.kz", v4: "192.0.2.10", v6: "2001:db8:1::10" };
/// Listed with opaque ports; in the country.
pub(crate) const BROKER: Host = Host { name: "broker.example.kz", v4: "192.0.2.11", v6: "2001:db8:1::11" };
/// In the country and listed by nobody.
pub(crate) const SHOP: Host = Host { name: "shop.example.kz", v4: "192.0.2.30", v6: "2001:db8:1::30" };
/// Listed; abroad.
pub(crate) const MAPS: Host = Host { name: "maps.example.de", v4: "198.51.100.20", v6: "2001:db8:49::20" };
/// Listed by its network alone; in the country.
pub(crate) const CAMERA: Host = Host { name: "camera.example.kz", v4: "192.0.2.130", v6: "2001:db8:1:1::130" };
/// Listed by name; its first IPv4 address is abroad, the second at home.
pub(crate) const SPLIT: &str = "split.example.kz";
pub(crate) const SPLIT_ABROAD: &str = "198.51.100.21";
pub(crate) const SPLIT_AT_HOME: &str = "192.0.2.21";
/// In the cluster: the archive is listed, the stranger is not, the member is covered for the same data.
pub(crate) const ARCHIVE: &str = "10.96.0.30";
pub(crate) const STRANGER: &str = "10.96.0.31";
pub(crate) const MEMBER: &str = "10.96.0.32";
/// The cluster's resolver and the policy API.
pub(crate) const RESOLVER: &str = "10.96.0.10";
pub(crate) const POLICY_API: &str = "10.96.0.20";
pub(crate) const POLICY_API_NAME: &str = "shekara-policy.shekara-system.svc.cluster.local";
/// A resolver outside, which the pod may not ask.
pub(crate) const OTHER_RESOLVER: &str = "192.0.2.53";

/// The metadata service of clouds, and a host in a private network.
pub(crate) const METADATA: &str = "169.254.169.254";
pub(crate) const PRIVATE: &str = "10.40.0.7";

/// Ports of every host: HTTPS and HTTP that say who answers, TLS and TCP that give back what they get, and TCP where the server
/// speaks first.
pub(crate) const HTTPS: u16 = 443;
pub(crate) const HTTP: u16 = 80;
pub(crate) const TLS_ECHO: u16 = 8883;
pub(crate) const ECHO: u16 = 1883;
pub(crate) const SERVER_FIRST: u16 = 3306;

/// What a server says that speaks first.
pub(crate) const BANNER: &str = "5.7.0 ready";

impl Host {
    /// Both addresses.
    pub(crate) fn addresses(&self) -> [IpAddr; 2] {
        [self.v4.parse().unwrap(), self.v6.parse().unwrap()]
    }
}

/// Every address of the world.
pub(crate) fn addresses() -> Vec<IpAddr> {
    let hosts = [CLINIC, BROKER, SHOP, MAPS, CAMERA].into_iter().flat_map(|host| host.addresses());
    let others =
        [SPLIT_ABROAD, SPLIT_AT_HOME, ARCHIVE, STRANGER, MEMBER, RESOLVER, POLICY_API, OTHER_RESOLVER, METADATA, PRIVATE];
    hosts.chain(others.map(|address| address.parse().unwrap())).collect()
}

/// Serves at every address of the world until dropped.
pub(crate) fn serve(world: &Namespace, tasks: &mut JoinSet<()>) {
    let names = [CLINIC.name, BROKER.name, SHOP.name, MAPS.name, CAMERA.name, SPLIT];
    let tls = authority().server(&names, &[]);
    let ports = [HTTPS, HTTP, TLS_ECHO, ECHO, SERVER_FIRST];
    let places = addresses().into_iter().flat_map(|address| ports.map(|port| SocketAddr::new(address, port)));
    let listeners: Vec<std::net::TcpListener> =
        world.inside(|| places.map(|place| std::net::TcpListener::bind(place).unwrap()).collect());
    for listener in listeners {
        let listener = listen(listener);
        tasks.spawn(serve_one(listener, tls.clone()));
    }
}

/// A listener of this runtime, in the namespace where it was made.
pub(crate) fn listen(listener: std::net::TcpListener) -> TcpListener {
    listener.set_nonblocking(true).unwrap();
    TcpListener::from_std(listener).unwrap()
}

async fn serve_one(listener: TcpListener, tls: Arc<ServerConfig>) {
    let here = listener.local_addr().unwrap();
    let mut conversations = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let tls = tls.clone();
        conversations.spawn(async move {
            // A client that breaks off is not the world's concern.
            let _ = converse(stream, here, tls).await;
        });
    }
}

async fn converse(mut stream: TcpStream, here: SocketAddr, tls: Arc<ServerConfig>) -> std::io::Result<()> {
    match here.port() {
        HTTPS => answer(TlsAcceptor::from(tls).accept(stream).await?, here).await,
        HTTP => answer(stream, here).await,
        TLS_ECHO => echo(TlsAcceptor::from(tls).accept(stream).await?).await,
        SERVER_FIRST => {
            stream.write_all(format!("{BANNER}\n").as_bytes()).await?;
            echo(stream).await
        }
        _ => echo(stream).await,
    }
}

/// One HTTP answer that says which address served it.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, here: SocketAddr) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    let body = format!("served by {}\n", here.ip());
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).await?;
    stream.shutdown().await
}

async fn echo(stream: impl AsyncRead + AsyncWrite) -> std::io::Result<()> {
    let (mut from, mut to) = tokio::io::split(stream);
    tokio::io::copy(&mut from, &mut to).await?;
    to.shutdown().await
}
