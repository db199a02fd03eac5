//! Who is at an address inside the cluster: what the operator tells sidecars, from what was read.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;
use kube::ResourceExt as _;
use shekara_crds::network::{self, Lead};
use shekara_crds::{DataHolding, Key, narrowing};
use shekara_policy::peer::{Cover, End, Peer, PeerSource};

use crate::cover::{Enforces, enforces, names};
use crate::network::Network;

/// The peers of a cluster.
#[derive(Clone, Copy)]
pub(super) struct Peers<'a> {
    network: &'a Network,
    networks: &'a [IpNet],
    /// Where nobody says whether a pod enforces or what binds it, it is taken for one that does and that these standards bind.
    kindly: Option<&'a BTreeSet<String>>,
}

/// A pod with a holding that covers it.
pub(super) struct Covering<'a> {
    pub(super) holding: &'a DataHolding,
    pub(super) key: Key,
    pub(super) enforces: Enforces,
}

impl<'a> Peers<'a> {
    /// The peers as far as they are known; what nobody says speaks against a flow.
    pub(super) fn new(network: &'a Network, networks: &'a [IpNet]) -> Self {
        Self { network, networks, kindly: None }
    }

    /// The same, where what nobody says speaks for a flow of a pod that these standards bind: what is denied even so is denied.
    pub(super) fn kindly(self, standards: &'a BTreeSet<String>) -> Self {
        Self { kindly: Some(standards), ..self }
    }

    /// Whether an address is judged as one of the cluster.
    pub(super) fn is_inside(&self, address: IpAddr) -> bool {
        self.network.is_inside(self.networks, address)
    }

    /// Whether everything was read that says who is inside the cluster.
    pub(super) fn is_known(&self) -> bool {
        self.network.all_unread().next().is_none()
    }

    /// Who may be reached there, each with what it is as an end.
    pub(super) fn ends(&self, at: SocketAddr) -> Vec<(Lead, End)> {
        let ends = self.network.index.find(at).ends;
        ends.into_iter().map(|lead| (lead.clone(), self.end(&lead))).collect()
    }

    /// What is not known of who is there, in sentences.
    pub(super) fn doubts(&self, at: SocketAddr) -> Vec<String> {
        if !self.is_known() {
            return self.network.all_unread().map(|why| format!("who is at {at} is not known: {why}")).collect();
        }
        let mut doubts = Vec::new();
        for lead in self.network.index.find(at).ends {
            let Lead::Pod(pod) = lead else { continue };
            for covering in self.covering(&pod) {
                if let Enforces::Unsaid(why) = covering.enforces {
                    let holding = covering.key;
                    doubts.push(format!("whether {pod} enforces {holding} is not said by the status of the holding: {why}"));
                }
            }
        }
        doubts
    }

    /// The holdings that cover a pod.
    pub(super) fn covering(&self, key: &Key) -> Vec<Covering<'a>> {
        let network = self.network;
        let Some(pod) = network.pods.get(key) else { return vec![] };
        let holdings: Vec<&'a DataHolding> =
            network.holdings.iter().filter(|holding| holding.namespace().as_deref() == Some(key.namespace.as_str())).collect();
        let names = names(pod, holdings.iter().copied());
        let covering = holdings.into_iter().filter(|holding| names.contains(&holding.name_any()));
        covering.map(|holding| Covering { holding, key: Key::of(holding), enforces: enforces(pod, holding) }).collect()
    }

    fn end(&self, lead: &Lead) -> End {
        let found = network::Found { services: BTreeSet::new(), ends: [lead.clone()].into() };
        let peer = network::peer(found, |address| self.is_inside(address), |key| Some(End::Pod(self.covers(key))));
        peer.and_then(|peer| peer.ends.into_iter().next()).unwrap_or(End::Unknown)
    }

    fn covers(&self, key: &Key) -> BTreeSet<Cover> {
        let created = self.network.pods.get(key).and_then(|pod| pod.creation_timestamp());
        let created = created.map_or(Timestamp::MIN, |created| created.0);
        let cover = |Covering { holding, key, enforces }: Covering<'_>| {
            let enforcing = match enforces {
                Enforces::Yes => true,
                Enforces::No => false,
                Enforces::Unsaid(_) => self.kindly.is_some(),
            };
            let standards = binding(holding).or_else(|| self.kindly.cloned()).unwrap_or_default();
            network::cover(&key, Some(holding), &narrowing::counted(holding), standards, created, enforcing)
        };
        self.covering(key).into_iter().map(cover).collect()
    }
}

/// The standards that bind a holding, as its status names them; none where there is no status.
fn binding(holding: &DataHolding) -> Option<BTreeSet<String>> {
    let names = holding.status.as_ref()?.standards.as_deref().unwrap_or_default();
    Some(names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

impl PeerSource for Peers<'_> {
    fn peer(&self, at: SocketAddr) -> Option<Arc<Peer>> {
        if !self.is_known() {
            return None;
        }
        let found = self.network.index.find(at);
        network::peer(found, |address| self.is_inside(address), |key| Some(End::Pod(self.covers(key)))).map(Arc::new)
    }

    fn captures(&self, address: IpAddr) -> bool {
        self.network.index.takes(address)
    }
}

#[cfg(test)]
mod tests;
