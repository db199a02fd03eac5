//! Asking the cluster's resolvers, over sockets of its own: UDP first, TCP where the answer does not fit.
//!
//! What is sent is always a message of the sidecar's own making, with nothing of the application's but the name and the type.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RecordType};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::flow::dial::Dialler;

/// How long one resolver may take; a lost packet costs no more than this.
const ONE_TRY: Duration = Duration::from_millis(1500);

/// Tries altogether: with [`ONE_TRY`], less than the five seconds after which resolvers of applications give up.
const TRIES: usize = 3;

/// What an answer over UDP may measure: less than any path's maximum (DNS flag day 2020).
const PAYLOAD: u16 = 1232;

/// Questions under way of which the answer is shared; beyond it each is asked on its own.
const MOST: usize = 4096;

/// Who asks the resolvers.
///
/// Whoever asks what is being asked already waits for the same answer. Each question of the sidecar's has a socket and a number of
/// its own, and somebody who forges answers has to guess both: with many of the same question under way, he would have to guess
/// any of them (RFC 5452, section 5).
#[derive(Clone, Debug)]
pub struct Forwarder {
    dialler: Dialler,
    under_way: Arc<Mutex<HashMap<Asking, WeakShared<Answering>>>>,
}

/// What is asked, and of whom.
type Asking = (Vec<SocketAddr>, Name, RecordType);

/// The answer that is waited for: whoever waits drives it, so that nobody is left alone when one of them goes.
type Answering = BoxFuture<'static, Result<Message, ForwardError>>;

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ForwardError {
    /// The last resolver did not answer in time, or every one is out of reach.
    #[error("no resolver answered: {0}")]
    Unanswered(Arc<io::Error>),
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
        Self { dialler, under_way: Arc::default() }
    }

    /// Asks one resolver after the other, until one answers with something else than a failure of its own; or waits for the answer
    /// to the same question, if it is under way.
    ///
    /// # Errors
    /// When none answers. A resolver's failure is an answer, if no other one does better.
    pub async fn ask(&self, resolvers: &[SocketAddr], name: &Name, kind: RecordType) -> Result<Message, ForwardError> {
        self.answering((resolvers.to_vec(), name.clone(), kind)).await
    }

    /// The answer to what is asked, which is under way or begins.
    fn answering(&self, asking: Asking) -> Shared<Answering> {
        let mut under_way = self.under_way.lock();
        // one that has its answer is over: what it says may be old
        let shared = under_way.get(&asking).and_then(WeakShared::upgrade).filter(|shared| shared.peek().is_none());
        if let Some(shared) = shared {
            return shared;
        }
        let (dialler, (resolvers, name, kind)) = (self.dialler.clone(), asking.clone());
        let answering = async move { Asker { dialler }.ask(&resolvers, &name, kind).await }.boxed().shared();
        if under_way.len() >= MOST {
            under_way.retain(|_, shared| shared.upgrade().is_some());
        }
        if under_way.len() < MOST {
            under_way.extend(answering.downgrade().map(|shared| (asking, shared)));
        }
        answering
    }
}

/// Asks once for all who wait.
struct Asker {
    dialler: Dialler,
}

impl Asker {
    async fn ask(&self, resolvers: &[SocketAddr], name: &Name, kind: RecordType) -> Result<Message, ForwardError> {
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

impl From<io::Error> for ForwardError {
    fn from(error: io::Error) -> Self {
        Self::Unanswered(Arc::new(error))
    }
}

fn late(_: tokio::time::error::Elapsed) -> ForwardError {
    io::Error::from(io::ErrorKind::TimedOut).into()
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

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;
    use crate::flow::tests::{RESOLVER, Resolver};

    const CLINIC: &str = "api.clinic.example.kz";

    fn resolvers() -> [SocketAddr; 1] {
        [RESOLVER.parse().unwrap()]
    }

    fn clinic() -> Name {
        Name::from_ascii(format!("{CLINIC}.")).unwrap()
    }

    /// Asks, and says how many answers there are; none where nobody answered.
    async fn ask(forwarder: Forwarder, kind: RecordType) -> Option<usize> {
        forwarder.ask(&resolvers(), &clinic(), kind).await.ok().map(|answer| answer.answers.len())
    }

    #[tokio::test]
    async fn what_is_asked_by_many_at_once_is_asked_once() {
        let resolver = Resolver::new([(CLINIC, &["192.0.2.1"] as &[_])]).await;
        let forwarder = Forwarder::new(Dialler::detoured([(resolvers()[0], resolver.address)]));
        let mut asking = JoinSet::new();
        for _ in 0..300 {
            asking.spawn(ask(forwarder.clone(), RecordType::A));
        }
        asking.spawn(ask(forwarder.clone(), RecordType::AAAA));
        let mut found = asking.join_all().await;
        found.sort_unstable();
        assert_eq!(found, [vec![Some(0)], vec![Some(1); 300]].concat());
        assert_eq!(resolver.asked().len(), 2, "one question a type");
        assert_eq!(ask(forwarder, RecordType::A).await, Some(1));
        assert_eq!(resolver.asked().len(), 3, "an answer is for those who waited for it");
    }

    #[tokio::test]
    async fn who_goes_leaves_nobody_alone_and_an_error_is_everybodys() {
        let resolver = Resolver::new([(CLINIC, &["192.0.2.1"] as &[_])]).await;
        let forwarder = Forwarder::new(Dialler::detoured([(resolvers()[0], resolver.address)]));
        let mut first = std::pin::pin!(ask(forwarder.clone(), RecordType::A));
        let mut second = JoinSet::new();
        second.spawn(ask(forwarder.clone(), RecordType::A));
        assert!(futures::poll!(&mut first).is_pending());
        tokio::task::yield_now().await;
        first.set(ask(forwarder, RecordType::AAAA));
        assert_eq!(second.join_all().await, [Some(1)]);
        let nowhere = Forwarder::new(Dialler::detoured([]));
        assert_eq!(futures::join!(ask(nowhere.clone(), RecordType::A), ask(nowhere, RecordType::A)), (None, None));
    }

    #[tokio::test]
    async fn no_more_than_the_bound_is_remembered() {
        let forwarder = Forwarder::new(Dialler::detoured([]));
        let begin = |number| forwarder.answering((vec![], Name::from_ascii(format!("n{number}.")).unwrap(), RecordType::A));
        let living: Vec<_> = (0..MOST + 10).map(begin).collect();
        assert_eq!(forwarder.under_way.lock().len(), MOST);
        drop(living);
        let _last = begin(0);
        assert_eq!(forwarder.under_way.lock().len(), 1);
    }
}
