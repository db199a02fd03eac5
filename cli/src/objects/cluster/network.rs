//! Who is where in the cluster: Services and nodes say which addresses the cluster takes; the rest is read only for a destination that
//! is inside, and of the pods only those that may be there are kept.

use std::collections::BTreeSet;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use shekara_crds::{DataHolding, pods};

use super::{Asked, ReadError, Reader};
use crate::network::{Network, Unread};

impl Reader {
    pub(super) async fn network(&self, asked: &Asked<'_>) -> Network {
        let mut network = Network::default();
        let services = self.list::<Service>("services", &self.within(None), &ListParams::default()).await;
        let services = or_unread(services, &mut network, Unread::Taken);
        services.into_iter().for_each(|service| network.take_service(service));
        let nodes = self.list::<Node>("nodes", &Api::all(self.client.clone()), &ListParams::default()).await;
        let nodes = or_unread(nodes, &mut network, Unread::Taken);
        nodes.into_iter().for_each(|node| network.take_node(node));
        if asked.service.is_some() || asked.addresses.iter().any(|address| network.is_inside(asked.networks, *address)) {
            self.who_is_there(&mut network, asked).await;
        }
        network
    }

    async fn who_is_there(&self, network: &mut Network, asked: &Asked<'_>) {
        let slices = self.list::<EndpointSlice>("endpointslices", &self.within(None), &ListParams::default()).await;
        let slices = or_unread(slices, network, Unread::There);
        slices.into_iter().for_each(|slice| network.take_slice(slice));
        let there: BTreeSet<IpAddr> = asked.reached(network);
        let may_be_there = |pod: &Pod| pods::addresses(pod).iter().any(|address| there.contains(address));
        let pods = self.those("pods", &self.within::<Pod>(None), &ListParams::default(), may_be_there).await;
        let pods = or_unread(pods, network, Unread::There);
        let namespaces: BTreeSet<String> = pods.iter().filter_map(|pod| pod.namespace()).collect();
        pods.into_iter().for_each(|pod| network.take_pod(pod));
        for namespace in namespaces {
            let holdings = self.list::<DataHolding>("dataholdings", &self.within(Some(&namespace)), &ListParams::default()).await;
            let holdings = or_unread(holdings, network, Unread::There);
            network.holdings.extend(holdings);
        }
    }
}

/// What was read; nothing, and why, where that was not possible.
fn or_unread<T: Default>(found: Result<T, ReadError>, network: &mut Network, what: Unread) -> T {
    found.unwrap_or_else(|error| {
        network.unread(what, error.to_string());
        T::default()
    })
}

#[cfg(test)]
mod tests;
