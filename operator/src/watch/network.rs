//! What is kept of the objects that say who is at which address.

use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use shekara_crds::network::{NodeSummary, ServiceSummary, SliceSummary};

use super::{Cached, Kind};

impl Cached for ServiceSummary {
    type Object = Service;
    const KIND: Kind = Kind::Service;

    fn keep(object: Service) -> Self {
        object.into()
    }
}

impl Cached for SliceSummary {
    type Object = EndpointSlice;
    const KIND: Kind = Kind::EndpointSlice;

    fn keep(object: EndpointSlice) -> Self {
        object.into()
    }
}

impl Cached for NodeSummary {
    type Object = Node;
    const KIND: Kind = Kind::Node;

    fn keep(object: Node) -> Self {
        object.into()
    }
}
