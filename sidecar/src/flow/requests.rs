//! The requests of an HTTP/1 connection, one after the other: each is read and must name the party of the first one.
//!
//! A connection that was judged by its first request alone would carry the next ones unread, to whatever party they name. So
//! every byte from the client is either part of a head that was read or of a body whose length a head declared, and nothing
//! else is passed on. Only behind a WebSocket handshake that the server accepted are there no more requests to read, and such a
//! handshake is the first request or ends the connection.

use std::mem::{replace, take};

use shekara_policy::Reason;

use super::hello::http::{Authority, Body, Head, head};
use super::hello::{LIMIT, Progress};
use crate::bound::{Bound, Place};

/// The longest line of a chunk's size or of a trailer.
const LONGEST_LINE: usize = 4096;

/// What a flow may keep of something unfinished without a place for it: the sizes of chunks are cut in two all the time, and with
/// as many flows as there may be it is no danger.
const LITTLE: usize = 512;

/// What may come next from the client.
#[derive(Debug)]
enum State {
    /// The head of a request, of which this much has come.
    Head(Vec<u8>),
    /// So many bytes of a body.
    Length(u64),
    /// A line of the chunked coding.
    Line(Line, Vec<u8>),
    /// So many bytes of a chunk.
    Chunk(u64),
    /// Whatever the client says, held until the server has answered the wish for WebSocket.
    Held(Vec<u8>),
    /// WebSocket: no more requests.
    Open,
    /// Nothing: a request came that this connection cannot carry.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Size,
    AfterChunk,
    Trailer,
}

/// Reads the requests of one connection.
#[derive(Debug)]
pub struct Requests {
    authority: Option<Authority>,
    /// The port that was dialled.
    port: u16,
    state: State,
    /// The client waits for leave to send the body of the last request.
    waits: bool,
    /// The server has said nothing since the last request.
    unanswered: bool,
    /// A request came before the one in front of it was answered, so the client may do that again.
    pipelines: bool,
    /// The places of those who have not named their destination yet.
    half_open: Bound,
    /// Taken while more than [`LITTLE`] is kept of what is not finished.
    place: Option<Place>,
}

impl Requests {
    /// Goes on behind the first head, which has been judged and for whose party this port was dialled. A later request that is long
    /// in coming takes one of the `half_open` places meanwhile, as the first one did: else all flows could keep one at once.
    #[must_use]
    pub fn after(first: &Head, port: u16, half_open: Bound) -> Self {
        let state = if first.websocket { State::Held(Vec::new()) } else { following(first.body) };
        let authority = party(first, port);
        Self { authority, port, state, waits: first.waits, unanswered: true, pipelines: false, half_open, place: None }
    }

    /// Whether the client asked for WebSocket behind other requests. It would not be known which answer is the one to it, and what
    /// only looks like one (the body of another answer can be anything) would open the connection to unread requests. So nothing more
    /// is passed on, and the client gets its other answers and the end of the connection, as from a server that closes one between
    /// requests: clients then send such a request again on a new one (RFC 9110, section 9.2.2; RFC 9112, section 9.3.1).
    #[must_use]
    pub fn over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Whether the server's answer must be read, for it decides what the client's next bytes are.
    #[must_use]
    pub fn awaits_answer(&self) -> bool {
        matches!(self.state, State::Held(_))
    }

    /// The server has said something.
    pub fn heard_server(&mut self) {
        self.unanswered = false;
    }

    /// Whether the client is to be given leave now to send a body; it is given once a request. Answers are not read, so it could come
    /// in the midst of one: a client gets it that has never sent a request without having heard the server since the one before.
    /// Others send the body without it after a while (RFC 9110, section 10.1.1).
    pub fn gives_leave(&mut self) -> bool {
        take(&mut self.waits) && !self.pipelines
    }

    /// The server has answered the wish for WebSocket. Appends what may be passed on of that which was held.
    ///
    /// # Errors
    /// As [`Self::pass`].
    pub fn answered(&mut self, accepted: bool, out: &mut Vec<u8>) -> Result<(), Reason> {
        let State::Held(held) = &mut self.state else { return Ok(()) };
        let held = take(held);
        self.state = if accepted { State::Open } else { State::Head(Vec::new()) };
        self.pass(&held, out)
    }

    /// Takes bytes from the client and appends those that may be passed on.
    ///
    /// # Errors
    /// When a request cannot be read, is for another party, or is not whole and finds no place to wait in: nothing of it was appended,
    /// and nothing more may follow.
    pub fn pass(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Reason> {
        while !bytes.is_empty() {
            bytes = self.step(bytes, out)?;
        }
        self.find_place()
    }

    fn find_place(&mut self) -> Result<(), Reason> {
        let kept = match &self.state {
            State::Head(kept) | State::Line(_, kept) | State::Held(kept) => kept.len(),
            State::Length(_) | State::Chunk(_) | State::Open | State::Over => 0,
        };
        if kept <= LITTLE {
            self.place = None;
        } else if self.place.is_none() {
            self.place = Some(self.half_open.take().ok_or(Reason::HalfOpenLimitReached)?);
        }
        Ok(())
    }

    fn step<'b>(&mut self, bytes: &'b [u8], out: &mut Vec<u8>) -> Result<&'b [u8], Reason> {
        // whoever says more does not wait
        self.waits = false;
        match &mut self.state {
            State::Open => {
                out.extend_from_slice(bytes);
                Ok(&[])
            }
            State::Over => Ok(&[]),
            State::Held(held) if held.len() + bytes.len() > LIMIT => Err(Reason::UnreadableHello),
            State::Held(held) => {
                held.extend_from_slice(bytes);
                Ok(&[])
            }
            State::Length(left) => {
                let (rest, left) = copy(bytes, *left, out);
                self.state = if left == 0 { State::Head(Vec::new()) } else { State::Length(left) };
                Ok(rest)
            }
            State::Chunk(left) => {
                let (rest, left) = copy(bytes, *left, out);
                self.state = if left == 0 { State::Line(Line::AfterChunk, Vec::new()) } else { State::Chunk(left) };
                Ok(rest)
            }
            State::Line(kind, line) => {
                let kind = *kind;
                let Some(Ended { line, rest }) = whole_line(line, bytes)? else { return Ok(&[]) };
                out.extend_from_slice(&line);
                out.extend_from_slice(b"\r\n");
                self.state = behind_line(kind, &line)?;
                Ok(rest)
            }
            State::Head(begun) => {
                let before = begun.len();
                begun.extend_from_slice(bytes.get(..LIMIT.min(bytes.len())).unwrap_or_default());
                let next = match head(begun) {
                    Progress::Whole(head) => head,
                    Progress::More if begun.len() >= LIMIT => return Err(Reason::UnreadableHello),
                    Progress::More => return Ok(&[]),
                    Progress::Refused(reason) => return Err(reason),
                };
                // another party on a connection that was judged for one
                if party(&next, self.port) != self.authority {
                    return Err(Reason::AmbiguousAuthority);
                }
                if next.websocket {
                    self.state = State::Over;
                    return Ok(&[]);
                }
                out.extend_from_slice(&next.rewritten);
                self.state = following(next.body);
                self.waits = next.waits;
                self.pipelines |= replace(&mut self.unanswered, true);
                bytes.get(next.length.saturating_sub(before)..).ok_or(Reason::UnreadableHello)
            }
        }
    }
}

/// Whom a request names on a connection to this port.
fn party(head: &Head, port: u16) -> Option<Authority> {
    head.authority.clone().map(|authority| authority.dialled_at(port))
}

fn following(body: Body) -> State {
    match body {
        Body::Length(0) => State::Head(Vec::new()),
        Body::Length(length) => State::Length(length),
        Body::Chunked => State::Line(Line::Size, Vec::new()),
    }
}

/// Copies at most `left` bytes; gives the others, and how many are still to come.
fn copy<'b>(bytes: &'b [u8], left: u64, out: &mut Vec<u8>) -> (&'b [u8], u64) {
    let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    let (taken, rest) = bytes.split_at(length);
    out.extend_from_slice(taken);
    (rest, left - taken.len() as u64)
}

/// A line without its end, and what is behind it.
struct Ended<'b> {
    line: Vec<u8>,
    rest: &'b [u8],
}

/// The line that ends in these bytes; `None` while its end is missing. Only CR LF ends a line, and no other control
/// character than a tab is in it, so that no server sees another line end.
fn whole_line<'b>(begun: &mut Vec<u8>, bytes: &'b [u8]) -> Result<Option<Ended<'b>>, Reason> {
    for (index, byte) in bytes.iter().enumerate() {
        match (begun.last(), byte) {
            (Some(b'\r'), b'\n') => {
                begun.pop();
                return Ok(Some(Ended { line: take(begun), rest: bytes.get(index + 1..).unwrap_or_default() }));
            }
            (Some(b'\r'), _) => return Err(Reason::AmbiguousLength),
            (_, b'\r' | b'\t' | b' '..=b'~' | 0x80..) if begun.len() < LONGEST_LINE => begun.push(*byte),
            _ => return Err(Reason::AmbiguousLength),
        }
    }
    Ok(None)
}

fn behind_line(kind: Line, line: &[u8]) -> Result<State, Reason> {
    match kind {
        Line::Size => match chunk_size(line).ok_or(Reason::AmbiguousLength)? {
            0 => Ok(State::Line(Line::Trailer, Vec::new())),
            size => Ok(State::Chunk(size)),
        },
        Line::AfterChunk if line.is_empty() => Ok(State::Line(Line::Size, Vec::new())),
        Line::AfterChunk => Err(Reason::AmbiguousLength),
        Line::Trailer if line.is_empty() => Ok(State::Head(Vec::new())),
        Line::Trailer => Ok(State::Line(Line::Trailer, Vec::new())),
    }
}

/// The size of a chunk: 1 to 15 hexadecimal digits, then nothing or an extension (RFC 9112, section 7.1.1).
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, rest) = line.split_at_checked(digits)?;
    if !(1..=15).contains(&digits) || !rest.first().is_none_or(|first| matches!(first, b';' | b' ' | b'\t')) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()
}

#[cfg(test)]
mod tests;
