//! Asking the cluster's resolvers, over sockets of its own: UDP first, TCP where the answer does not fit.
//!
//! What is sent is always a message of the sidecar's own making, with nothing of the application's but the name and the type.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::flow::dial::Dialler;

/// How long one resolver may take; a lost packet costs no more than this.
const ONE_TRY: Duration = Duration::from_millis(1500);

/// Tries altogether: with [`ONE_TRY`], less than the five seconds after which resolvers of applications give up.
const TRIES: usize = 3;

/// What an answer over UDP may measure: less than any path's maximum (DNS flag day 2020).
const PAYLOAD: u16 = 1232;

/// Who asks the resolvers.
#[derive(Clone, Debug)]
pub struct Forwarder {
    dialler: Dialler,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The last resolver did not answer in time, or every one is out of reach.
    #[error("no resolver answered: {0}")]
    Unanswered(#[from] io::Error),
    /// The question cannot be written.
    #[error("the question cannot be written: {0}")]
    Unwritable(#[from] hickory_proto::ProtoError),
    /// There is nobody to ask.
    #[error("no resolver is known")]
    NoResolver,
}

impl Forwarder {
    /// Asks through sockets of this dialler.
    #[must_use]
    pub fn new(dialler: Dialler) -> Self {
        Self { dialler }
    }

    /// Asks one resolver after the other, until one answers with something else than a failure of its own.
    ///
    /// # Errors
    /// When none answers. A resolver's failure is an answer, if no other one does better.
    pub async fn ask(&self, resolvers: &[SocketAddr], name: &Name, kind: RecordType) -> Result<Message, ForwardError> {
        let mut last = Err(ForwardError::NoResolver);
        for resolver in resolvers.iter().cycle().take(TRIES.max(resolvers.len())) {
            match self.ask_one(*resolver, name, kind).await {
                Ok(answer) if is_final(&answer) => return Ok(answer),
                Ok(answer) => last = Ok(answer),
                Err(error) if last.is_err() => last = Err(error),
                Err(_) => {}
            }
        }
        last
    }

    async fn ask_one(&self, resolver: SocketAddr, name: &Name, kind: RecordType) -> Result<Message, ForwardError> {
        let question = question(name, kind);
        let bytes = question.to_vec()?;
        let answer = timeout(ONE_TRY, self.over_udp(resolver, &question, &bytes)).await.map_err(late)??;
        if !answer.metadata.truncation {
            return Ok(answer);
        }
        Ok(timeout(ONE_TRY, self.over_tcp(resolver, &question, &bytes)).await.map_err(late)??)
    }

    async fn over_udp(&self, resolver: SocketAddr, question: &Message, bytes: &[u8]) -> io::Result<Message> {
        let socket = self.dialler.datagrams(resolver).await?;
        socket.send(bytes).await?;
        let mut buffer = vec![0; usize::from(PAYLOAD)];
        loop {
            let length = socket.recv(&mut buffer).await?;
            // Whatever does not answer the question is not from the resolver; its answer may still come.
            if let Some(answer) = answer_to(question, buffer.get(..length).unwrap_or_default()) {
                return Ok(answer);
            }
        }
    }

    async fn over_tcp(&self, resolver: SocketAddr, question: &Message, bytes: &[u8]) -> io::Result<Message> {
        let mut stream = self.dialler.connect(resolver).await?;
        let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes()[..], bytes].concat()).await?;
        let mut buffer = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut buffer).await?;
        answer_to(question, &buffer).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

fn late(_: tokio::time::error::Elapsed) -> ForwardError {
    ForwardError::Unanswered(io::ErrorKind::TimedOut.into())
}

/// The message that is sent for a name and a type.
pub(crate) fn question(name: &Name, kind: RecordType) -> Message {
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(name.clone(), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD);
    question.set_edns(edns);
    question
}

/// The message, if it is the answer to this question and to no other.
fn answer_to(question: &Message, bytes: &[u8]) -> Option<Message> {
    let answer = Message::from_vec(bytes).ok()?;
    let same = |asked: &Query, answered: &Query| {
        asked.name() == answered.name() && asked.query_type() == answered.query_type() && answered.query_class() == DNSClass::IN
    };
    let answers = answer.metadata.id == question.metadata.id
        && answer.metadata.message_type == MessageType::Response
        && answer.metadata.op_code == OpCode::Query
        && matches!((question.queries.as_slice(), answer.queries.as_slice()), ([asked], [answered]) if same(asked, answered));
    answers.then_some(answer)
}

/// Whether asking another resolver would be of no use.
fn is_final(answer: &Message) -> bool {
    matches!(answer.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
}
