//! Who is where in the cluster, as far as it was read.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use shekara_crds::network::{Index, NodeSummary};
use shekara_crds::{DataHolding, Key, pods};

/// Services, their endpoints, nodes and pods by address, and the holdings of the pods.
#[derive(Debug, Default)]
pub(crate) struct Network {
    pub(crate) index: Index,
    pub(crate) pods: BTreeMap<Key, Pod>,
    /// The holdings of the namespaces of the pods.
    pub(crate) holdings: Vec<DataHolding>,
    unread: Vec<(Unread, String)>,
    /// The kinds of which there is an object.
    kinds: BTreeSet<&'static str>,
}

/// What is not known, since something was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Which addresses the cluster takes.
    Taken,
    /// Who is at an address that it takes.
    There,
}

/// Of whom it is asked who is there.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    /// A Service by name, of which no address is known.
    pub(crate) service: Option<Key>,
    pub(crate) addresses: &'a [IpAddr],
    pub(crate) port: u16,
    /// The networks of the cluster.
    pub(crate) networks: &'a [IpNet],
}

impl Asked<'_> {
    /// The addresses at which it matters who is there.
    pub(crate) fn reached(&self, network: &Network) -> BTreeSet<IpAddr> {
        let named = self.service.as_ref().and_then(|service| network.index.resolved(service)).unwrap_or_default();
        let all = self.addresses.iter().copied().chain(named);
        all.flat_map(|address| network.index.reached(SocketAddr::new(address, self.port))).collect()
    }
}

impl Network {
    pub(crate) fn take_service(&mut self, service: Service) {
        self.kinds.insert("Service");
        self.index.service(&Key::of(&service), Some(Arc::new(service.into())));
    }

    pub(crate) fn take_slice(&mut self, slice: EndpointSlice) {
        self.kinds.insert("EndpointSlice");
        self.index.slice(&Key::of(&slice), Some(Arc::new(slice.into())));
    }

    pub(crate) fn take_node(&mut self, node: Node) {
        self.kinds.insert("Node");
        let key = Key::of(&node);
        self.index.node(&key, Some(&NodeSummary::from(node)));
    }

    pub(crate) fn take_pod(&mut self, pod: Pod) {
        self.kinds.insert("Pod");
        let key = Key::of(&pod);
        self.index.pod(&key, &pods::addresses(&pod), pods::has_ended(&pod));
        self.pods.insert(key, pod);
    }

    /// Something was not read.
    pub(crate) fn unread(&mut self, what: Unread, why: String) {
        self.unread.push((what, why));
    }

    /// Everything was read that there is in files. A kind of which every cluster has objects and the files have none is one that was not
    /// exported.
    pub(crate) fn close(&mut self) {
        let kinds =
            [("Service", Unread::Taken), ("Node", Unread::Taken), ("EndpointSlice", Unread::There), ("Pod", Unread::There)];
        for (kind, what) in kinds {
            if !self.kinds.contains(kind) {
                self.unread(what, format!("the files hold no {kind}"));
            }
        }
    }

    /// Why it is not known which addresses the cluster takes outside its networks.
    pub(crate) fn taken_unread(&self) -> impl Iterator<Item = &str> {
        self.unread.iter().filter(|(what, _)| *what == Unread::Taken).map(|(_, why)| why.as_str())
    }

    /// Why it is not known who is at the addresses inside the cluster; nothing where it is.
    pub(crate) fn all_unread(&self) -> impl Iterator<Item = &str> {
        self.unread.iter().map(|(_, why)| why.as_str())
    }

    /// Whether an address is one of the cluster, of which these are the networks.
    pub(crate) fn is_inside(&self, networks: &[IpNet], address: IpAddr) -> bool {
        networks.iter().any(|network| network.contains(&address)) || self.index.takes(address)
    }
}
