//! Flows through an egress proxy that every standard names: CONNECT, judged by its party; then TLS, which must be for the same one.

use std::net::SocketAddr;
use std::time::Duration;

use httparse::{EMPTY_HEADER, Response, Status};
use shekara_policy::flow::TlsVersion;
use shekara_policy::record::End;
use shekara_policy::verdict::Denial;
use shekara_policy::{Address, Flow, Protocol, Reason, Verdict};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::destination::Candidates;
use super::{Carrier, Closing, Refusal, Said};
use crate::flow::close::Abrupt;
use crate::flow::hello::http::{Connect, Host};
use crate::flow::hello::{Hello, LIMIT, await_connect, await_hello};
use crate::flow::registry::Entry;
use crate::flow::story::Story;
use crate::spending::Purse;

/// How long a proxy may take to connect: it resolves and dials meanwhile.
const CONNECTING: Duration = Duration::from_secs(30);

/// Headers of its answer.
const HEADERS: usize = 100;

/// What a proxy answered.
struct Answer {
    /// All that it said so far.
    bytes: Vec<u8>,
    /// It has connected the client (RFC 9110, section 9.3.6: any 2xx).
    connected: bool,
}

impl Carrier<'_> {
    /// Reads whom the client wants to reach through the proxy, and carries the flow if it may.
    pub(super) async fn tunnel(&self, client: &Abrupt, story: &mut Story) -> Closing {
        let mut said = Vec::new();
        story.protocol = Protocol::Http;
        let wish = match await_connect(client.stream(), &mut said, self.within(self.context.observes())).await {
            Ok(wish) => wish,
            Err(unread) => {
                let refusal = Refusal { denial: Denial::of(unread.reason), told: !unread.gone, said };
                return self.refuse(client, story, refusal).await;
            }
        };
        let (name, address) = match &wish.host {
            Host::Name(name) => (Some(name.clone()), None),
            Host::Address(ip) => (None, Some(Address::new(*ip))),
        };
        story.name.clone_from(&name);
        let via = Some(SocketAddr::new(self.address.ip(), self.port));
        // the hello is still to come: what it offers is judged with it
        let flow = Flow { protocol: Protocol::Tls, name, address, port: wish.port, tls: Some(TlsVersion::V13), ech: false, via };
        // whoever serves a name is asked for it by the proxy
        let is_open = matches!(self.context.decide(&flow), Verdict::Allow(_));
        let spelt = flow.name.as_ref().filter(|_| is_open).map_or(Ok(()), |name| self.context.spell(name));
        if let Err(reason) = spelt {
            return self.refuse(client, story, Refusal { denial: Denial::of(reason), told: true, said }).await;
        }
        if self.context.observes() {
            // a denial does not hold, so what follows on the connection is not read
            let said = Said { bytes: said, head: None, unread: true };
            return self.dial(client, story, Candidates::of(vec![flow]), said).await;
        }
        let mut entry = match self.admit(&flow, false) {
            Ok((grant, entry)) => {
                story.allowed(grant);
                entry
            }
            Err(denial) => return self.refuse(client, story, Refusal { denial, told: true, said }).await,
        };
        let purse = Purse::new(&self.context.spending, entry.bounds());
        let begun = tokio::select! {
            denial = entry.denied() => {
                story.revoked(&denial);
                return Closing::Reset;
            }
            begun = self.begin(client, story, &flow, &wish, &purse) => begun,
        };
        let (server, hello) = match begun {
            Ok(begun) => begun,
            Err(closing) => return closing,
        };
        // the same flow, of which more is known now; between the decision and the registry there is no await
        let flow = Flow { tls: hello.tls, ech: hello.ech, ..flow };
        let mut entry: Entry<'_> = match self.admit(&flow, false) {
            Ok((_, entry)) => entry,
            Err(denial) => {
                story.strayed(&denial);
                return Closing::Refuse(denial);
            }
        };
        self.relayed(client, server, &mut entry, &flow, story, Said { bytes: hello.bytes, ..Said::default() }).await
    }

    /// Has the proxy connect the client, and reads the hello that the client says through it.
    async fn begin(
        &self,
        client: &Abrupt,
        story: &mut Story,
        flow: &Flow,
        wish: &Connect,
        purse: &Purse<'_>,
    ) -> Result<(Abrupt, Offered), Closing> {
        let proxy = SocketAddr::new(self.address.ip(), self.port);
        let Ok(server) = self.context.dialler.connect(proxy).await.map(Abrupt::new) else {
            story.unreachable(flow);
            return Err(Closing::Reset);
        };
        story.opened(flow);
        let broken = |story: &mut Story| {
            story.ended(End::Broken);
            Closing::Reset
        };
        if purse.take(wish.rewritten.len()) < wish.rewritten.len() {
            story.strayed(&purse.denial());
            return Err(Closing::Reset);
        }
        let Ok(Some(answer)) = timeout(CONNECTING, ask(server.stream(), &wish.rewritten, story)).await else {
            return Err(broken(story));
        };
        let told = client.stream().try_write(&answer.bytes).is_ok_and(|length| length == answer.bytes.len());
        if !told {
            return Err(broken(story));
        }
        story.carried_in(answer.bytes.len());
        if !answer.connected {
            // the proxy has said no, and the client hears it
            story.ended(End::Completed);
            return Err(Closing::Done);
        }
        let mut bytes = Vec::new();
        let denied = |story: &mut Story, reason| {
            let denial = Denial::of(reason);
            story.strayed(&denial);
            Closing::Refuse(denial)
        };
        story.protocol = Protocol::Tls;
        match await_hello(client.stream(), &mut bytes, self.within(false)).await {
            Ok(Hello::Tls { name, version, ech }) => match &wish.host {
                Host::Name(wished) if name.as_ref() != Some(wished) => Err(denied(story, Reason::AmbiguousAuthority)),
                _ => {
                    drop(self.half_open.lock().take());
                    Ok((server, Offered { tls: version, ech, bytes }))
                }
            },
            Ok(Hello::Http(_)) => Err(denied(story, Reason::ProtocolMismatch)),
            Err(unread) => Err(denied(story, unread.reason)),
        }
    }
}

/// What a hello offers.
struct Offered {
    tls: Option<TlsVersion>,
    ech: bool,
    bytes: Vec<u8>,
}

/// Asks the proxy, and reads its answer; none where it breaks off or says too much.
async fn ask(server: &TcpStream, request: &[u8], story: &Story) -> Option<Answer> {
    let mut written = 0;
    while let Some(rest) = request.get(written..).filter(|rest| !rest.is_empty()) {
        server.writable().await.ok()?;
        match server.try_write(rest) {
            Ok(length) => {
                story.carried_out(length);
                written += length;
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
    }
    let mut bytes = Vec::new();
    loop {
        server.readable().await.ok()?;
        match server.try_read_buf(&mut bytes) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return None,
        }
        let mut headers = [EMPTY_HEADER; HEADERS];
        let mut response = Response::new(&mut headers);
        match response.parse(&bytes) {
            Ok(Status::Complete(_)) => {
                let connected = response.code.is_some_and(|code| (200..300).contains(&code));
                return Some(Answer { bytes, connected });
            }
            Ok(Status::Partial) if bytes.len() < LIMIT => bytes.reserve(1024),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests;
