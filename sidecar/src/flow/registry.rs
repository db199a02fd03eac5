//! The flows that live now. They are judged again whenever the documents, the peers or the table of countries change, documents end,
//! or a permit begins or ends, and one that is no longer allowed hears of it at once.

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use shekara_policy::flow::TlsVersion;
use shekara_policy::verdict::{Budget, Denial, Grant};
use shekara_policy::{Flow, Inflow, PolicyDocument, Reason, Verdict};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};

use crate::clock::Clock;
use crate::context::Context;
use crate::spending::Bounds;

/// The longest wait for the end of a permit: the clock may be set meanwhile.
const SLICE: Duration = Duration::from_secs(10);

/// A holding that holds more data tells its own pods by its document, and what its peers hold a moment later: the flows between
/// its pods are not cut off for that moment.
const SETTLING: Duration = Duration::from_millis(300);

/// The flows that live now.
#[derive(Debug, Default)]
pub struct Registry {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    flows: BTreeMap<u64, Live>,
}

/// What is judged again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A flow that the pod began.
    Out(Flow),
    /// A flow of a client.
    In(Inflow),
}

impl From<Flow> for Subject {
    fn from(flow: Flow) -> Self {
        Self::Out(flow)
    }
}

impl From<Inflow> for Subject {
    fn from(flow: Inflow) -> Self {
        Self::In(flow)
    }
}

impl Subject {
    /// The address and port that the operator is asked about for it, if it is inside the cluster.
    fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Out(flow) => Some(SocketAddr::new(flow.address?.ip(), flow.port)),
            Self::In(flow) => Some(SocketAddr::new(flow.client.ip(), 0)),
        }
    }
}

#[derive(Debug)]
struct Live {
    subject: Subject,
    bounds: Bounds,
    passing: Passing,
    tell: oneshot::Sender<Denial>,
}

/// Why a flow passes.
#[derive(Debug)]
enum Passing {
    /// It is allowed.
    Allowed,
    /// It is allowed, and what follows on it is not read, since the pod observes: it does not outlive that.
    Unread,
    /// The pod observes, and it is denied.
    Observed(Denial),
}

/// A place in the registry, for as long as it is kept.
#[derive(Debug)]
pub struct Entry<'r> {
    registry: &'r Registry,
    number: u64,
    hear: oneshot::Receiver<Denial>,
    bounds: Bounds,
}

impl Registry {
    /// Enters a flow that was just allowed within these bounds. Between the decision and this there must be no await, or a change
    /// would be missed.
    pub fn enter(&self, subject: impl Into<Subject>, budgets: Vec<Budget>) -> Entry<'_> {
        self.add(subject.into(), budgets, Passing::Allowed)
    }

    /// The same for one on which something follows that is not read, since the pod observes just now.
    pub fn enter_unread(&self, flow: Flow) -> Entry<'_> {
        self.add(flow.into(), vec![], Passing::Unread)
    }

    /// Enters a flow that passes because the pod observes just now, with the denial that it hears when that is over. Between the
    /// two there must be no await.
    pub fn enter_observed(&self, subject: impl Into<Subject>, denial: Denial) -> Entry<'_> {
        self.add(subject.into(), vec![], Passing::Observed(denial))
    }

    fn add(&self, subject: Subject, budgets: Vec<Budget>, passing: Passing) -> Entry<'_> {
        let bounds: Bounds = Arc::new(Mutex::new(budgets));
        let (tell, hear) = oneshot::channel();
        let mut state = self.state.lock();
        let number = state.next;
        state.next += 1;
        state.flows.insert(number, Live { subject, bounds: bounds.clone(), passing, tell });
        Entry { registry: self, number, hear, bounds }
    }

    /// Judges every flow again, tells those that are denied now, and sets the bounds of the others. A flow without a verdict goes
    /// on as it is. While the pod is `observing` those go on that were denied from the beginning; else none goes on that passed only
    /// because it did.
    pub fn judge_again(&self, observing: bool, decide: impl Fn(&Subject) -> Option<Verdict>) {
        let mut state = self.state.lock();
        let mut denials = Vec::new();
        // Decided once: a second decision, at a later time, may be another one, and the flow would hear of neither.
        let verdict = |live: &Live| match &live.passing {
            Passing::Observed(_) if observing => None,
            Passing::Observed(denial) => Some(Verdict::Deny(denial.clone())),
            Passing::Unread if !observing => Some(Reason::ObserveEnded.into()),
            Passing::Unread | Passing::Allowed => decide(&live.subject),
        };
        let gone = state.flows.extract_if(.., |_, live| match verdict(live) {
            None => false,
            Some(Verdict::Allow(grant)) => {
                *live.bounds.lock() = grant.budgets;
                false
            }
            Some(Verdict::Deny(denial)) => {
                denials.push(denial);
                true
            }
        });
        let gone: Vec<Live> = gone.map(|(_, live)| live).collect();
        drop(state);
        for (live, denial) in gone.into_iter().zip(denials) {
            // a flow that ended meanwhile hears nothing, and needs not
            let _ = live.tell.send(denial);
        }
    }

    /// The server has chosen this version for a flow, by which it is judged from now on.
    fn negotiated(&self, number: u64, version: Option<TlsVersion>) {
        if let Some(Live { subject: Subject::Out(flow), .. }) = self.state.lock().flows.get_mut(&number) {
            flow.tls = version;
        }
    }

    /// Where the living flows go, and from where they come.
    #[must_use]
    pub fn destinations(&self) -> HashSet<SocketAddr> {
        let state = self.state.lock();
        state.flows.values().filter_map(|live| live.subject.peer()).collect()
    }

    /// How many flows live.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.lock().flows.len()
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A place in the registry, to be told of what is learnt of the flow.
#[derive(Clone, Copy, Debug)]
pub struct Seat<'r> {
    registry: &'r Registry,
    number: u64,
}

impl Seat<'_> {
    /// The server has chosen this version of TLS: none that a standard can ask for where it is absent.
    pub fn negotiated(self, version: Option<TlsVersion>) {
        self.registry.negotiated(self.number, version);
    }
}

impl<'r> Entry<'r> {
    /// To tell the registry what is learnt of the flow.
    #[must_use]
    pub fn seat(&self) -> Seat<'r> {
        Seat { registry: self.registry, number: self.number }
    }

    /// What bounds the bytes of the flow, now and whenever it was judged again.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        self.bounds.clone()
    }

    /// Waits until the flow is no longer allowed.
    pub async fn denied(&mut self) -> Denial {
        match (&mut self.hear).await {
            Ok(denial) => denial,
            // Nobody is left to tell: the flow ends otherwise.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.registry.state.lock().flows.remove(&self.number);
    }
}

/// Judges the living flows again, whenever something that allows them may have ended.
///
/// # Errors
/// When nobody can send documents any more.
pub async fn keep_judging(context: Arc<Context>) -> anyhow::Result<Infallible> {
    let (mut policy, mut answers, mut tables) = (context.policy.clone(), context.peers.answers(), context.geo.tables());
    // Taken before the flows are judged: a permit that ends while they are is still to come, and they are judged for it once more.
    let mut judged = context.clock.now();
    let mut settled = None;
    loop {
        let boundary = {
            let enforced = policy.borrow_and_update();
            let ends = enforced.not_after().into_iter().chain(context.observes_until()).filter(|end| *end > judged);
            next_boundary(&enforced.documents, judged).into_iter().chain(ends).min()
        };
        tokio::select! {
            changed = policy.changed() => {
                changed?;
                settled.get_or_insert(Instant::now() + SETTLING);
            }
            changed = answers.changed() => changed?,
            changed = tables.changed() => changed?,
            () = passing(&context.clock, boundary) => {}
            () = settling(settled) => settled = None,
        }
        judged = context.clock.now();
        let observing = context.observes();
        context.registry.judge_again(observing, |subject| match context.decide_again(subject) {
            Verdict::Deny(denial) if settled.is_some() && is_unsettled(denial.reason) => None,
            Verdict::Allow(grant) if observing => Some(Verdict::Allow(Grant { budgets: vec![], ..grant })),
            verdict => Some(verdict),
        });
    }
}

fn is_unsettled(reason: Reason) -> bool {
    use Reason::{InboundOtherData, InboundOtherStandards, PeerOtherData, PeerOtherStandards};
    matches!(reason, PeerOtherData | PeerOtherStandards | InboundOtherData | InboundOtherStandards)
}

async fn settling(settled: Option<Instant>) {
    match settled {
        Some(settled) => sleep_until(settled).await,
        None => std::future::pending().await,
    }
}

/// Waits until a time has come.
async fn passing(clock: &Clock, boundary: Option<Timestamp>) {
    let Some(boundary) = boundary else { return std::future::pending().await };
    while let Ok(left) = Duration::try_from(boundary.duration_since(clock.now()))
        && !left.is_zero()
    {
        sleep(left.min(SLICE)).await;
    }
}

/// The next time at which a permit begins or ends.
fn next_boundary(documents: &[PolicyDocument], now: Timestamp) -> Option<Timestamp> {
    let routes = documents.iter().flat_map(|document| &document.routes);
    let permits = routes.flat_map(|route| route.permits.iter().flatten());
    permits.flat_map(|permit| [permit.valid_from, permit.valid_until]).flatten().filter(|time| *time > now).min()
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use shekara_policy::Protocol;

    use super::*;

    fn flow(port: u16) -> Flow {
        Flow { protocol: Protocol::Tcp, name: None, address: None, port, tls: None, ech: false, via: None }
    }

    fn port(subject: &Subject) -> u16 {
        match subject {
            Subject::Out(flow) => flow.port,
            Subject::In(flow) => flow.port,
        }
    }

    fn allowed() -> Verdict {
        Verdict::Allow(shekara_policy::verdict::Grant { rules: vec![], data: [].into(), country: None, budgets: vec![] })
    }

    #[test]
    fn a_flow_that_is_denied_hears_it_though_a_moment_later_it_would_be_allowed() {
        let registry = Registry::default();
        let mut lost = registry.enter(flow(1), vec![]);
        let first = std::cell::Cell::new(true);
        registry.judge_again(false, |_| Some(if first.replace(false) { Reason::PermitNotYetValid.into() } else { allowed() }));
        assert_eq!(lost.denied().now_or_never().unwrap().reason, Reason::PermitNotYetValid);
    }

    #[test]
    fn who_is_denied_hears_it_and_the_others_live_on() {
        let registry = Registry::default();
        let (mut kept, mut lost) = (registry.enter(flow(1), vec![]), registry.enter(flow(2), vec![]));
        registry.judge_again(false, |subject| match port(subject) {
            1 => Some(allowed()),
            2 => Some(Reason::PermitExpired.into()),
            _ => None,
        });
        assert!(kept.denied().now_or_never().is_none());
        assert_eq!(lost.denied().now_or_never().unwrap().reason, Reason::PermitExpired);
        assert_eq!(registry.len(), 1);
        drop((kept, lost));
        assert!(registry.is_empty());
    }

    #[test]
    fn what_passed_because_the_pod_observed_ends_with_that_whatever_is_allowed_then() {
        let registry = Registry::default();
        let mut observed = registry.enter_observed(flow(1), Denial::of(Reason::UnlistedParty));
        let (mut allowed_too, mut unread) = (registry.enter(flow(2), vec![]), registry.enter_unread(flow(2)));
        let mut revoked = registry.enter_unread(flow(3));
        registry.judge_again(true, |subject| Some(if port(subject) == 2 { allowed() } else { Reason::PermitExpired.into() }));
        assert_eq!(revoked.denied().now_or_never().unwrap().reason, Reason::PermitExpired);
        assert_eq!(registry.len(), 3);
        registry.judge_again(false, |_| Some(allowed()));
        assert_eq!(unread.denied().now_or_never().unwrap().reason, Reason::ObserveEnded);
        assert_eq!(observed.denied().now_or_never().unwrap().reason, Reason::UnlistedParty);
        assert!(allowed_too.denied().now_or_never().is_none());
    }

    #[test]
    fn a_flow_that_lives_on_gets_the_bounds_of_the_present() {
        let registry = Registry::default();
        let entry = registry.enter(flow(1), vec![]);
        let budget = Budget { holding: "n/h".into(), recipient: "maps".into(), max_out_per_day: 1 };
        let budgets = vec![budget.clone()];
        registry.judge_again(false, |_| match allowed() {
            Verdict::Allow(grant) => Some(Verdict::Allow(shekara_policy::verdict::Grant { budgets: budgets.clone(), ..grant })),
            denied => Some(denied),
        });
        assert_eq!(*entry.bounds().lock(), [budget]);
    }

    #[test]
    fn the_next_boundary_is_the_first_that_is_still_to_come() {
        let mut document = crate::flow::tests::document();
        let time = |second| Timestamp::from_second(second).unwrap();
        let permit = &mut document.routes[0].permits.as_mut().unwrap()[0];
        (permit.valid_from, permit.valid_until) = (Some(time(10)), Some(time(20)));
        let documents = [document];
        for (now, next) in [(5, Some(10)), (10, Some(20)), (20, None)] {
            assert_eq!(next_boundary(&documents, time(now)), next.map(time));
        }
    }
}
