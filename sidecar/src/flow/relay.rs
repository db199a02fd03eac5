//! The relay between a client and the destination that was judged for it.
//!
//! A flow that carries nothing holds no buffer: all flows of this thread read into one, and only what a slow receiver has not
//! taken yet is kept with its flow.

mod meter;
mod pending;

use std::cell::RefCell;
use std::io;
use std::net::Shutdown;
use std::time::Duration;

use shekara_policy::Reason;
use shekara_policy::verdict::Denial;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::consume_budget;
use tokio::time::{sleep, timeout};

use super::answers::FirstAnswer;
use super::registry::Entry;
use super::requests::Requests;
use super::server_hello::Negotiation;
use super::story::Story;
use super::unsent::{keep_back, unsent};
use crate::spending::Purse;
use meter::{Inward, Meter, Outward, Own};
use pending::{BUFFER, Pending, at_a_time};

/// Reads of one flow in a row, before others have their turn.
const IN_A_ROW: usize = 4;

/// How long the other side may take to accept what a side had said before it broke the flow off, or had spent all that it may.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Between two looks at what the kernel has yet to send for a flow whose sides are done: it tells nobody.
const LOOK: Duration = Duration::from_millis(100);

thread_local! {
    static SHARED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Leave to send the body (RFC 9110, section 15.2.1), for a client that waits for it.
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How a relay ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Both sides have finished, and all that was meant for the server has been sent.
    Completed,
    /// A side broke it off.
    Broken,
    /// The documents, or the time, no longer allow the flow.
    Revoked(Denial),
    /// The client asked for another party, or for something that cannot be read.
    Strayed(Reason),
    /// Both sides have finished, the client before it wanted to: it asked for what this connection cannot carry.
    Parted(Reason),
    /// A bound on what may leave is spent, and the client had more to say.
    Spent(Denial),
    /// The server has chosen what the flow may not go on with.
    Unfit(Denial),
}

/// The two connections of a flow.
#[derive(Clone, Copy)]
pub struct Pair<'a> {
    /// The application's.
    pub client: &'a TcpStream,
    /// The destination's.
    pub server: &'a TcpStream,
}

/// Carries bytes both ways, until both sides have finished and the kernel has sent the last byte to the server, or something ends the
/// flow. `first` are bytes that were read from the client already; with `requests`, all that follows from the client is read as HTTP;
/// with `negotiation`, the server's first bytes as TLS. No more leaves than `purse` has.
pub async fn relay(
    pair: Pair<'_>,
    first: Vec<u8>,
    requests: Option<Requests>,
    negotiation: Option<Negotiation<'_>>,
    entry: &mut Entry<'_>,
    purse: &Purse<'_>,
    story: &Story,
) -> Outcome {
    let mut relay = Relay {
        pair,
        outward: Outward { purse, story },
        inward: Inward(story),
        out: Way::to(Side::Server),
        back: Way::to(Side::Client),
        requests,
        negotiation,
        answer: FirstAnswer::default(),
        sent: false,
    };
    tokio::select! {
        denial = entry.denied() => Outcome::Revoked(denial),
        outcome = relay.run(first) => match outcome {
            Ok(()) if relay.is_over() => Outcome::Parted(Reason::LateWebSocket),
            Ok(()) => Outcome::Completed,
            Err(Trouble::Strayed(reason)) => Outcome::Strayed(reason),
            Err(Trouble::Spent) => Outcome::Spent(purse.denial()),
            Err(Trouble::Unfit(denial)) => Outcome::Unfit(denial),
            Err(Trouble::Broken | Trouble::Deaf(_)) if relay.is_over() => Outcome::Strayed(Reason::LateWebSocket),
            Err(Trouble::Broken | Trouble::Deaf(_)) => Outcome::Broken,
        },
    }
}

/// One of the two connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// One direction.
#[derive(Debug)]
struct Way {
    /// The receiver.
    to: Side,
    /// What the receiver has not taken yet.
    pending: Pending,
    /// The sender has finished.
    ended: bool,
    /// The sender has broken the flow off: whatever its connection looks like now, it has not finished.
    cut: bool,
    /// The receiver has been told so.
    closed: bool,
}

enum Trouble {
    /// A connection failed of which all was heard.
    Broken,
    /// A side takes nothing any more, and may have said something before.
    Deaf(Side),
    Strayed(Reason),
    Spent,
    Unfit(Denial),
}

impl From<io::Error> for Trouble {
    fn from(_: io::Error) -> Self {
        Self::Broken
    }
}

struct Relay<'a> {
    pair: Pair<'a>,
    outward: Outward<'a>,
    inward: Inward<'a>,
    /// From the client to the server.
    out: Way,
    /// From the server to the client.
    back: Way,
    requests: Option<Requests>,
    negotiation: Option<Negotiation<'a>>,
    answer: FirstAnswer,
    /// Both sides are done, and the kernel has sent everything.
    sent: bool,
}

/// A flow that is broken off is reset: what the kernel has not sent by then never leaves, and does not count.
impl Drop for Relay<'_> {
    fn drop(&mut self) {
        if self.sent {
            return;
        }
        // the end of the stream takes the place of one byte
        let end = u64::from(self.out.closed);
        self.inward.0.kept_back(keep_back(self.pair.server).saturating_sub(end));
    }
}

impl Relay<'_> {
    async fn run(&mut self, first: Vec<u8>) -> Result<(), Trouble> {
        match self.carry(first).await {
            // whoever takes nothing more in time has had its chance
            Err(Trouble::Deaf(side)) => timeout(LAST_WORDS, self.hear_out(side)).await.unwrap_or(Err(Trouble::Broken)),
            Err(Trouble::Spent) => {
                // the server gets what was within the bound: how much of it the kernel has sent by now is chance
                let _ = timeout(LAST_WORDS, self.send_the_rest()).await;
                Err(Trouble::Spent)
            }
            outcome => outcome,
        }
    }

    async fn carry(&mut self, first: Vec<u8>) -> Result<(), Trouble> {
        let Pair { client, server } = self.pair;
        self.out.send(server, &first, self.outward)?;
        drop(first);
        while !(self.out.closed && self.back.closed) {
            self.give_leave()?;
            self.end_if_over()?;
            tokio::select! {
                ready = client.readable(), if self.out.wants_more() => { ready?; self.hear_client()?; }
                ready = server.readable(), if self.back.wants_more() => { ready?; self.hear_server()?; }
                ready = server.writable(), if self.out.is_stuck() => { ready?; self.out.go_on(server, self.outward)?; }
                // a client that is not read is not heard to die either
                ready = client.ready(Interest::ERROR), if !self.out.wants_more() => { ready?; Err(Trouble::Deaf(Side::Client))?; }
                ready = server.ready(Interest::ERROR), if !self.back.wants_more() => { ready?; Err(Trouble::Deaf(Side::Server))? }
                ready = client.writable(), if self.back.is_stuck() => { ready?; self.back.go_on(client, self.inward)?; }
            }
            consume_budget().await;
        }
        self.send_the_rest().await
    }

    /// Waits until the kernel has sent what it took for the server. Up to then the flow can be denied, and be kept from sending it.
    async fn send_the_rest(&mut self) -> Result<(), Trouble> {
        let server = self.pair.server;
        while unsent(server) > 0 {
            tokio::select! {
                ready = server.ready(Interest::ERROR) => { ready?; return Err(Trouble::Broken); }
                () = sleep(LOOK) => {}
            }
        }
        self.sent = true;
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.requests.as_ref().is_some_and(Requests::over)
    }

    /// Tells the server that no more requests come: it gives the answers that it owes and ends the connection, and so the client
    /// sees the end behind the last of them.
    fn end_if_over(&mut self) -> Result<(), Trouble> {
        if self.is_over() && !self.out.ended { self.out.end(self.pair.server) } else { Ok(()) }
    }

    /// Lets the client send a body that it holds back. Where the client has not taken yet what came before, it does not wait.
    fn give_leave(&mut self) -> Result<(), Trouble> {
        let given = self.requests.as_mut().is_some_and(Requests::gives_leave) && self.back.wants_more();
        if given { self.back.send(self.pair.client, CONTINUE, Own) } else { Ok(()) }
    }

    /// Carries what a side had said before it broke the flow off, as it would have arrived without a sidecar: a server that answers
    /// early, and closes with a body unread, resets the connection right behind its answer. Linux gives out what has come before it
    /// tells of the reset. The flow is cut off all the same, so this always ends in trouble.
    async fn hear_out(&mut self, side: Side) -> Result<(), Trouble> {
        let Pair { client, server } = self.pair;
        match side {
            Side::Client => self.out.cut = true,
            Side::Server => self.back.cut = true,
        }
        loop {
            match side {
                Side::Client if self.out.is_stuck() => {
                    server.writable().await?;
                    self.out.go_on(server, self.outward)?;
                }
                Side::Client => {
                    client.readable().await?;
                    self.hear_client()?;
                }
                Side::Server if self.back.is_stuck() => {
                    client.writable().await?;
                    self.back.go_on(client, self.inward)?;
                }
                Side::Server => {
                    server.readable().await?;
                    self.hear_server()?;
                }
            }
        }
    }

    fn hear_client(&mut self) -> Result<(), Trouble> {
        let Self { pair: Pair { client, server }, outward, out, requests, .. } = self;
        read_some(client, |bytes| {
            match requests {
                _ if bytes.is_empty() => out.end(server)?,
                None => out.send(server, bytes, *outward)?,
                Some(requests) => {
                    let mut read = Vec::with_capacity(bytes.len());
                    requests.pass(bytes, &mut read).map_err(Trouble::Strayed)?;
                    out.send(server, &read, *outward)?;
                }
            }
            Ok(out.wants_more())
        })
    }

    fn hear_server(&mut self) -> Result<(), Trouble> {
        let Self { pair: Pair { client, server }, outward, inward, out, back, requests, negotiation, answer, .. } = self;
        read_some(server, |bytes| {
            if bytes.is_empty() {
                back.end(client)?;
                return Ok(false);
            }
            if let Some(requests) = requests {
                requests.heard_server();
            }
            if let Some(negotiation) = negotiation {
                negotiation.hear(bytes).map_err(Trouble::Unfit)?;
            }
            back.send(client, bytes, *inward)?;
            if let Some(requests) = requests.as_mut().filter(|requests| requests.awaits_answer())
                && let Some(accepted) = answer.take(bytes)
            {
                let mut held = Vec::new();
                requests.answered(accepted, &mut held).map_err(Trouble::Strayed)?;
                out.send(server, &held, *outward)?;
            }
            Ok(back.wants_more())
        })
    }
}

/// Reads what is there, a few times, and gives it on; no bytes mean that the sender has finished.
fn read_some(from: &TcpStream, mut give: impl FnMut(&[u8]) -> Result<bool, Trouble>) -> Result<(), Trouble> {
    SHARED.with_borrow_mut(|buffer| {
        buffer.resize(BUFFER, 0);
        for _ in 0..IN_A_ROW {
            let most = at_a_time();
            let length = match from.try_read(buffer.get_mut(..most).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                length => length?,
            };
            let more = give(buffer.get(..length).unwrap_or_default())?;
            // less than a buffer means that no more is there
            if !more || length < most {
                return Ok(());
            }
        }
        Ok(())
    })
}

impl Way {
    fn to(side: Side) -> Self {
        Self { to: side, pending: Pending::default(), ended: false, cut: false, closed: false }
    }

    /// Whether the sender is to be read: not while the receiver is behind.
    fn wants_more(&self) -> bool {
        !self.ended && self.pending.is_empty()
    }

    fn is_stuck(&self) -> bool {
        !self.pending.is_empty()
    }

    fn send(&mut self, to: &TcpStream, bytes: &[u8], meter: impl Meter) -> Result<(), Trouble> {
        if !self.pending.is_empty() {
            self.pending.push(bytes);
            return Ok(());
        }
        let taken = self.write_some(to, bytes, meter)?;
        if let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            self.pending.push(rest);
        }
        Ok(())
    }

    fn go_on(&mut self, to: &TcpStream, meter: impl Meter) -> Result<(), Trouble> {
        let taken = self.write_some(to, self.pending.bytes(), meter)?;
        self.pending.take(taken);
        self.close_if_done(to)
    }

    fn end(&mut self, to: &TcpStream) -> Result<(), Trouble> {
        if self.cut {
            return Err(Trouble::Broken);
        }
        self.ended = true;
        self.close_if_done(to)
    }

    /// Carries the half-close on, behind the last byte.
    fn close_if_done(&mut self, to: &TcpStream) -> Result<(), Trouble> {
        if self.ended && self.pending.is_empty() && !self.closed {
            self.closed = true;
            SockRef::from(to).shutdown(Shutdown::Write).map_err(|_| Trouble::Deaf(self.to))?;
        }
        Ok(())
    }

    /// Writes as much as may and can be written now; an error where nothing may be written any more.
    fn write_some(&self, to: &TcpStream, bytes: &[u8], meter: impl Meter) -> Result<usize, Trouble> {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let taken = meter.take(rest.len());
            if taken == 0 {
                return Err(Trouble::Spent);
            }
            let outcome = to.try_write(rest.get(..taken).unwrap_or_default());
            meter.written(taken, *outcome.as_ref().unwrap_or(&0));
            match outcome {
                Ok(written) => done += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return Err(Trouble::Deaf(self.to)),
            }
        }
        Ok(done)
    }
}
