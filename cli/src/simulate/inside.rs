//! A destination inside the cluster in the answer: who may be reached there, and by what a holding allows it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde::Serialize;
use shekara_crds::network::Lead;
use shekara_policy::Category;
use shekara_policy::peer::{Cover, End, PeerSource as _};
use shekara_policy::verdict::Rule;

use super::peers::{Covering, Peers};
use crate::cover::Enforces;
use crate::place::Bound;
use crate::text::Cell;
use crate::words::list;

/// Who is at an address and port.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PeerView {
    /// The address and port.
    at: SocketAddr,
    /// The Services that lead there, or have it among their endpoints, as `namespace/name`.
    services: Vec<String>,
    /// Where connections end; none where nobody is behind the Service.
    ends: Vec<EndView>,
}

/// Where a connection ends.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EndView {
    kind: EndKind,
    /// The address outside, or that of nobody who is known.
    address: Option<SocketAddr>,
    /// The pods that are alike, as `namespace/name`.
    pods: Vec<String>,
    covered_by: Vec<CoverView>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
enum EndKind {
    Pod,
    Node,
    #[serde(rename = "APIServer")]
    ApiServer,
    Outside,
    Unknown,
}

/// A holding that covers a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
struct CoverView {
    holding: String,
    /// What the pod may be sent of it.
    data: BTreeSet<Category>,
    /// Whether the pod enforces it; null where that is not said.
    enforcing: Option<bool>,
}

impl PeerView {
    /// Who is there; none where that is not known.
    pub(super) fn of(peers: &Peers<'_>, at: SocketAddr) -> Option<Self> {
        let peer = peers.peer(at)?;
        let mut alike: BTreeMap<(EndKind, Option<SocketAddr>, Vec<CoverView>), Vec<String>> = BTreeMap::new();
        for (lead, end) in peers.ends(at) {
            let pods = if let Lead::Pod(key) = &lead { vec![key.to_string()] } else { vec![] };
            alike.entry(kind(peers, &lead, &end)).or_default().extend(pods);
        }
        let end = |((kind, address, covered_by), pods)| EndView { kind, address, pods, covered_by };
        let services = peer.services.iter().map(|service| format!("{}/{}", service.namespace, service.name));
        Some(Self { at, services: services.collect(), ends: alike.into_iter().map(end).collect() })
    }

    pub(super) fn rows(&self) -> Vec<Vec<Cell>> {
        let nobody = vec![vec!["nobody".into(), "-".into()]];
        let ends: Vec<Vec<Cell>> = self.ends.iter().map(EndView::cells).collect();
        let ends = if ends.is_empty() { nobody } else { ends };
        let before = || vec![self.at.to_string().into(), list(&self.services).into()];
        ends.into_iter().map(|end| before().into_iter().chain(end).collect()).collect()
    }
}

fn kind(peers: &Peers<'_>, lead: &Lead, end: &End) -> (EndKind, Option<SocketAddr>, Vec<CoverView>) {
    match (lead, end) {
        (Lead::Pod(key), End::Pod(covers)) => {
            let covering = peers.covering(key);
            (EndKind::Pod, None, covers.iter().map(|cover| CoverView::of(cover, &covering)).collect())
        }
        (Lead::Stray(at), End::Outside(_)) => (EndKind::Outside, Some(*at), vec![]),
        (Lead::Stray(at), _) => (EndKind::Unknown, Some(*at), vec![]),
        (Lead::Node, _) => (EndKind::Node, None, vec![]),
        (Lead::ApiServer, _) => (EndKind::ApiServer, None, vec![]),
        (Lead::Pod(_), _) => (EndKind::Unknown, None, vec![]),
    }
}

impl CoverView {
    fn of(cover: &Cover, covering: &[Covering<'_>]) -> Self {
        let found = covering.iter().find(|covering| covering.key.to_string() == cover.holding);
        let enforcing = match found.map(|covering| &covering.enforces) {
            Some(Enforces::Yes) => Some(true),
            Some(Enforces::No) => Some(false),
            Some(Enforces::Unsaid(_)) | None => None,
        };
        Self { holding: cover.holding.clone(), data: cover.data.clone(), enforcing }
    }

    fn text(&self) -> String {
        let enforcing = match self.enforcing {
            Some(true) => "enforcing",
            Some(false) => "not enforcing",
            None => "not known to enforce",
        };
        format!("{} ({enforcing}): {}", self.holding, list(self.data.iter().map(|category| category.as_str())))
    }
}

impl EndView {
    fn cells(&self) -> Vec<Cell> {
        let who = match (self.kind, self.pods.as_slice()) {
            (EndKind::Pod, [one]) => format!("pod {one}"),
            (EndKind::Pod, pods) => format!("{} pods, as {}", pods.len(), pods.first().map(String::as_str).unwrap_or_default()),
            (EndKind::Node, _) => "a node".into(),
            (EndKind::ApiServer, _) => "the API server".into(),
            (EndKind::Outside, _) => format!("{} outside", self.address.map(|at| at.to_string()).unwrap_or_default()),
            (EndKind::Unknown, _) => "nobody who is known".into(),
        };
        let covers: Vec<String> = self.covered_by.iter().map(CoverView::text).collect();
        vec![who.into(), if covers.is_empty() { "-".into() } else { covers.join("; ").into() }]
    }
}

/// By what a holding allows a destination inside the cluster.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InsideView {
    /// The holdings that cover ends there for all data of the pod.
    covered_by: BTreeSet<String>,
    /// The number of the entry of `spec.inCluster` that lists the Service, from 0.
    listed: Option<usize>,
    /// Whether `spec.clusterAPI` allows the API server, which is there.
    #[serde(rename = "clusterAPI")]
    cluster_api: bool,
}

impl InsideView {
    /// By what a rule allows what is at an address; none where nobody says who is there.
    pub(super) fn of(rule: &Rule, bound: &[Bound<'_>], peers: &Peers<'_>, at: SocketAddr) -> Option<Self> {
        let peer = peers.peer(at)?;
        let own = bound.iter().find(|bound| bound.compiled.document.holding.to_string() == rule.holding)?;
        let all = || bound.iter().map(|bound| &bound.compiled.document);
        let data: BTreeSet<Category> = all().flat_map(|document| document.data.iter().copied()).collect();
        let covered = |end: &End| match end {
            End::Pod(covers) if !all().any(|document| document.peers_denied) => enforced(covers, &data),
            _ => BTreeSet::new(),
        };
        let listed = own.holding.spec.in_cluster.iter().position(|listed| {
            let routes = &own.compiled.document.in_cluster;
            let opens = routes.iter().any(|route| route.namespace == listed.namespace && route.service == listed.service);
            opens && format!("{}/{}", listed.namespace, listed.service) == rule.recipient
        });
        Some(Self {
            covered_by: peer.ends.iter().flat_map(covered).collect(),
            listed,
            cluster_api: peer.ends.contains(&End::ApiServer) && own.compiled.document.cluster_api,
        })
    }

    pub(super) fn text(&self) -> String {
        let covered = (!self.covered_by.is_empty()).then(|| format!("covered by {}", list(&self.covered_by)));
        let listed = self.listed.map(|index| format!("spec.inCluster[{index}]"));
        let api = self.cluster_api.then(|| "spec.clusterAPI".to_owned());
        list([covered, listed, api].into_iter().flatten())
    }
}

/// The holdings that a pod enforces, where they hold all of the data.
fn enforced(covers: &BTreeSet<Cover>, data: &BTreeSet<Category>) -> BTreeSet<String> {
    let enforcing: Vec<&Cover> = covers.iter().filter(|cover| cover.enforcing).collect();
    let held: BTreeSet<Category> = enforcing.iter().flat_map(|cover| cover.data.iter().copied()).collect();
    if data.is_subset(&held) { enforcing.into_iter().map(|cover| cover.holding.clone()).collect() } else { BTreeSet::new() }
}
