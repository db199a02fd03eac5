//! The datagrams between one sender in the pod and one endpoint: judged as one flow, with one record.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use shekara_policy::record::End;
use shekara_policy::verdict::Denial;
use shekara_policy::{Address, Flow, Protocol, Reason, Verdict};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::context::Context;
use crate::flow::dial::is_exhausted;
use crate::flow::registry::Entry;
use crate::flow::story::Story;
use crate::spending::Purse;

/// An association ends when nothing was carried for so long, as connection tracking has it for streams of datagrams.
const IDLE: Duration = Duration::from_secs(120);

/// For how long what a denied sender says is counted with its denial, so that a burst is one record.
const BURST: Duration = Duration::from_secs(1);

/// The longest datagram.
const LONGEST: usize = 65_535;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One sender and one endpoint.
pub(super) struct Association {
    pub(super) context: Arc<Context>,
    /// Where the sender's datagrams arrive, and from where it is answered.
    pub(super) local: Arc<UdpSocket>,
    pub(super) client: SocketAddr,
    pub(super) endpoint: SocketAddr,
    pub(super) waiting: mpsc::Receiver<Vec<u8>>,
}

impl Association {
    /// Carries datagrams until nothing comes any more, or the association is no longer allowed.
    pub(super) async fn carry(mut self) {
        let context = self.context.clone();
        let mut story = Story::udp(context.clone(), self.endpoint);
        let (address, port) = (Some(Address::new(self.endpoint.ip())), self.endpoint.port());
        let flow = Flow { protocol: Protocol::Udp, name: None, address, port, tls: None, ech: false, via: None };
        // between a decision and its entry in the registry there is no await
        let mut entry = match context.admit(&flow) {
            Verdict::Allow(grant) => {
                let entry = context.registry.enter(flow.clone(), grant.budgets.clone());
                story.allowed(grant);
                entry
            }
            Verdict::Deny(denial) if context.observes() => {
                story.observed(&denial);
                context.registry.enter_observed(flow.clone(), denial)
            }
            Verdict::Deny(denial) => return self.refuse(story, &denial).await,
        };
        let outside = match context.dialler.datagrams(self.endpoint).await {
            Ok(outside) => outside,
            Err(error) if is_exhausted(&error) => return self.refuse(story, &Denial::of(Reason::DescriptorsExhausted)).await,
            Err(error) => {
                tracing::debug!(%error, endpoint = %self.endpoint, "nothing leads to an endpoint of datagrams");
                return story.unreachable(&flow);
            }
        };
        story.opened(&flow);
        self.relay(&outside, &mut entry, &mut story).await;
    }

    /// Counts what the sender says for a moment; it goes nowhere.
    async fn refuse(&mut self, mut story: Story, denial: &Denial) {
        story.refused(denial);
        drop(story);
        let count = async {
            while self.waiting.recv().await.is_some() {
                self.context.metrics.datagrams_denied.inc()
            }
        };
        let _ = timeout(BURST, count).await;
    }

    async fn relay(&mut self, outside: &UdpSocket, entry: &mut Entry<'_>, story: &mut Story) {
        let context = self.context.clone();
        let purse = Purse::new(&context.spending, entry.bounds());
        loop {
            tokio::select! {
                biased;
                denial = entry.denied() => return story.revoked(&denial),
                Some(datagram) = self.waiting.recv() => match give(outside, &datagram, &purse, story) {
                    Ok(()) => {}
                    Err(Trouble::Spent) => return story.strayed(&purse.denial()),
                    Err(Trouble::Broken) => return story.ended(End::Broken),
                },
                readable = outside.readable() => match readable.and_then(|()| take(outside)) {
                    // what the sender does not take is lost, as on any full link
                    Ok(datagram) => if let Ok(length) = self.local.send_to(&datagram, self.client).await {
                        story.carried_in(length);
                    },
                    // nobody listens there just now, or it was no datagram
                    Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::WouldBlock) => {}
                    Err(_) => return story.ended(End::Broken),
                },
                () = sleep(IDLE) => return story.ended(End::Completed),
            }
        }
    }
}

/// A datagram from outside, by the one buffer that all associations of a thread have: each of them would need the longest.
fn take(outside: &UdpSocket) -> io::Result<Vec<u8>> {
    BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(LONGEST, 0);
        let length = outside.try_recv(buffer)?;
        Ok(buffer.get(..length).unwrap_or_default().to_vec())
    })
}

enum Trouble {
    Spent,
    Broken,
}

/// Sends a datagram, whole or not at all, as far as the bounds leave room for it.
fn give(outside: &UdpSocket, datagram: &[u8], purse: &Purse<'_>, story: &Story) -> Result<(), Trouble> {
    let taken = purse.take(datagram.len());
    if taken < datagram.len() {
        purse.give_back(taken);
        return Err(Trouble::Spent);
    }
    match outside.try_send(datagram) {
        Ok(length) => {
            story.carried_out(length);
            Ok(())
        }
        Err(error) => {
            purse.give_back(taken);
            match error.kind() {
                // nobody listens there just now; the link is full; the path takes no such long one
                io::ErrorKind::ConnectionRefused | io::ErrorKind::WouldBlock => Ok(()),
                _ if error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error()) => Ok(()),
                _ => Err(Trouble::Broken),
            }
        }
    }
}
