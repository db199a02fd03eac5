//! Who is at the addresses inside the cluster that this pod uses, as the operator says it. Answers stay while the operator is
//! away; an address that nobody has asked about yet is asked about when a flow first wants to go there.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use shekara_policy::exchange::{PEERS, PeerEvent, PeerQuestion};
use shekara_policy::{Peer, PeerSource, Reason};
use tokio::sync::watch;
use tokio::time::timeout;

/// How long a flow waits for an answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is known of the cluster.
#[derive(Debug)]
pub struct Peers {
    state: Mutex<State>,
    /// Tells those who wait for an answer, and who judges living flows, that answers have come.
    answered: watch::Sender<()>,
    /// Tells who speaks with the operator that there is something to say.
    asked: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<SocketAddr, Entry>,
    captured: BTreeSet<IpAddr>,
    /// What the operator has not been told yet.
    untold: PeerQuestion,
    /// Counts uses, so that the one that was used least recently is known.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    peer: Option<Arc<Peer>>,
    /// Where this pod itself is one of the ends.
    own: Option<SocketAddr>,
    used: u64,
}

impl Default for Peers {
    fn default() -> Self {
        Self { state: Mutex::default(), answered: watch::Sender::new(()), asked: watch::Sender::new(()) }
    }
}

impl Peers {
    /// Waits until it is known who is at each of these addresses, a second at most: whoever decides then finds answers or none.
    /// Of more addresses than the operator watches for a pod, the one that was used least recently and is not among those
    /// `in_use` makes room.
    ///
    /// # Errors
    /// When every address is in use.
    pub async fn know(&self, addresses: &[SocketAddr], in_use: impl Fn() -> HashSet<SocketAddr>) -> Result<(), Reason> {
        let mut answered = self.answered.subscribe();
        for at in addresses {
            self.want(*at, &in_use)?;
        }
        let known = async { while addresses.iter().any(|at| self.peer(*at).is_none()) && answered.changed().await.is_ok() {} };
        // who decides sees that there is no answer
        let _ = timeout(PATIENCE, known).await;
        Ok(())
    }

    /// Has the operator asked about an address, unless it was already.
    fn want(&self, at: SocketAddr, in_use: impl Fn() -> HashSet<SocketAddr>) -> Result<(), Reason> {
        if self.state.lock().entries.contains_key(&at) {
            return Ok(());
        }
        let room = self.state.lock().entries.len() < PEERS;
        let in_use = if room { HashSet::new() } else { in_use() };
        let mut state = self.state.lock();
        if !room {
            let idle = state.entries.iter().filter(|(at, _)| !in_use.contains(at));
            let oldest = idle.min_by_key(|(_, entry)| entry.used).map(|(at, _)| *at).ok_or(Reason::LimitReached)?;
            state.entries.remove(&oldest);
            let told = !state.untold.watch.contains(&oldest);
            state.untold.watch.retain(|untold| *untold != oldest);
            // what the operator was never told of it need not forget, so this is bounded however long it is away
            if told {
                state.untold.forget.push(oldest);
            }
        }
        state.clock += 1;
        let used = state.clock;
        state.entries.insert(at, Entry { peer: None, own: None, used });
        state.untold.forget.retain(|untold| *untold != at);
        state.untold.watch.push(at);
        drop(state);
        self.asked.send_replace(());
        Ok(())
    }

    /// Takes an answer of the operator.
    pub fn take(&self, event: PeerEvent) {
        let mut state = self.state.lock();
        if let Some(captured) = event.captured {
            state.captured = captured;
        }
        for answer in event.peers {
            // an address that was given up meanwhile needs no answer any more
            if let Some(entry) = state.entries.get_mut(&answer.at) {
                (entry.peer, entry.own) = (Some(Arc::new(answer.peer)), answer.own);
            }
        }
        drop(state);
        self.answered.send_replace(());
    }

    /// Where this pod itself is one of the ends of a Service at an address and port.
    pub fn own_end(&self, at: SocketAddr) -> Option<SocketAddr> {
        self.state.lock().entries.get(&at)?.own
    }

    /// Knows who is at an address.
    #[cfg(test)]
    pub(crate) fn learn(&self, at: SocketAddr, peer: Peer) {
        self.state.lock().entries.insert(at, Entry { peer: Some(Arc::new(peer)), own: None, used: 0 });
        self.answered.send_replace(());
    }

    /// Everything that a new conversation with the operator begins with.
    #[must_use]
    pub fn everything(&self) -> PeerQuestion {
        let mut state = self.state.lock();
        state.untold = PeerQuestion::default();
        PeerQuestion { watch: state.entries.keys().copied().collect(), forget: vec![] }
    }

    /// What has to be said since the last time, as soon as there is something.
    pub async fn news(&self) -> PeerQuestion {
        let mut asked = self.asked.subscribe();
        loop {
            let untold = std::mem::take(&mut self.state.lock().untold);
            if untold != PeerQuestion::default() {
                return untold;
            }
            if asked.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Hears of every answer from now on.
    #[must_use]
    pub fn answers(&self) -> watch::Receiver<()> {
        self.answered.subscribe()
    }
}

impl PeerSource for Peers {
    fn peer(&self, at: SocketAddr) -> Option<Arc<Peer>> {
        let mut state = self.state.lock();
        state.clock += 1;
        let used = state.clock;
        let entry = state.entries.get_mut(&at)?;
        entry.used = used;
        entry.peer.clone()
    }

    fn captures(&self, address: IpAddr) -> bool {
        let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let state = self.state.lock();
        state.captured.contains(&address) || state.captured.contains(&any)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use shekara_policy::exchange::PeerAnswer;
    use shekara_policy::peer::End;

    use super::*;

    fn at(number: u16) -> SocketAddr {
        ([10, 244, 0, 1], number).into()
    }

    fn answer(number: u16) -> PeerEvent {
        let peer = Peer { services: [].into(), ends: [End::Node].into(), sources: [].into() };
        PeerEvent { captured: None, peers: vec![PeerAnswer { at: at(number), peer, own: None }] }
    }

    fn nothing() -> HashSet<SocketAddr> {
        HashSet::new()
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_first_waits_a_second_for_the_answer_and_no_longer() {
        let peers = Peers::default();
        let start = tokio::time::Instant::now();
        peers.know(&[at(1)], nothing).await.unwrap();
        assert_eq!(start.elapsed(), PATIENCE);
        assert!(peers.peer(at(1)).is_none());
        let again = [at(1)];
        let (known, ()) = tokio::join!(peers.know(&again, nothing), async { peers.take(answer(1)) });
        known.unwrap();
        assert_eq!(start.elapsed(), PATIENCE, "an answer ends the waiting");
        assert!(peers.peer(at(1)).is_some());
        assert!(peers.know(&again, nothing).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_operator_is_told_what_is_new_and_everything_at_the_beginning() {
        let peers = Peers::default();
        peers.know(&[at(1)], nothing).await.unwrap();
        assert_eq!(peers.everything(), PeerQuestion { watch: vec![at(1)], forget: vec![] });
        assert!(peers.news().now_or_never().is_none());
        peers.know(&[at(2)], nothing).await.unwrap();
        assert_eq!(peers.news().await, PeerQuestion { watch: vec![at(2)], forget: vec![] });
    }

    #[tokio::test(start_paused = true)]
    async fn the_least_recently_used_address_that_no_flow_uses_makes_room() {
        let peers = Peers::default();
        for number in 0..PEERS {
            peers.want(at(number as u16), nothing).unwrap();
        }
        peers.take(answer(0));
        assert!(peers.peer(at(0)).is_some());
        let _ = peers.everything();
        peers.know(&[at(5000)], || [at(1)].into()).await.unwrap();
        assert_eq!(peers.news().await, PeerQuestion { watch: vec![at(5000)], forget: vec![at(2)] });
        assert!(peers.peer(at(0)).is_some());
        let all = peers.everything().watch;
        assert_eq!(all.len(), PEERS);
        assert_eq!(peers.know(&[at(5001)], || all.iter().copied().collect()).await, Err(Reason::LimitReached));
    }

    #[test]
    fn what_the_operator_was_never_told_it_need_not_forget() {
        let peers = Peers::default();
        for number in 0..PEERS + 100 {
            peers.want(at(number as u16), nothing).unwrap();
        }
        assert_eq!(peers.state.lock().untold.forget, []);
        assert_eq!(peers.state.lock().untold.watch.len(), PEERS);
    }

    #[test]
    fn where_too_many_addresses_are_taken_each_of_the_family_is() {
        let peers = Peers::default();
        peers.take(PeerEvent { captured: Some(["0.0.0.0".parse().unwrap()].into()), peers: vec![] });
        assert!(peers.captures("192.0.2.1".parse().unwrap()) && !peers.captures("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn an_answer_to_what_was_given_up_is_nothing_and_captured_addresses_stay_until_told_otherwise() {
        let peers = Peers::default();
        let captured: IpAddr = "203.0.113.7".parse().unwrap();
        peers.take(PeerEvent { captured: Some([captured].into()), ..answer(1) });
        assert!(peers.peer(at(1)).is_none());
        peers.take(answer(2));
        assert!(peers.captures(captured));
        peers.take(PeerEvent { captured: Some([].into()), peers: vec![] });
        assert!(!peers.captures(captured));
    }
}
