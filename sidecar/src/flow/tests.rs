use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use shekara_policy::peer::{End, Peer, ServiceName};
use shekara_policy::{PeerSource, PolicyDocument};

mod place;

pub(crate) use place::{Place, RESOLVER, Resolver, config};

/// The archive, which the document lists, and the API server.
pub(crate) struct Archive;

impl Archive {
    pub(crate) fn peers() -> [(SocketAddr, Peer); 2] {
        let vectors = ServiceName { namespace: "archive".into(), name: "vectors".into() };
        [
            (
                "10.96.0.20:5432".parse().unwrap(),
                Peer { services: [vectors].into(), ends: [End::Pod([].into())].into(), sources: [].into() },
            ),
            ("10.96.0.1:443".parse().unwrap(), Peer { services: [].into(), ends: [End::ApiServer].into(), sources: [].into() }),
        ]
    }
}

impl PeerSource for Archive {
    fn peer(&self, at: SocketAddr) -> Option<Arc<Peer>> {
        Self::peers().into_iter().find(|(known, _)| *known == at).map(|(_, peer)| Arc::new(peer))
    }

    fn captures(&self, _address: IpAddr) -> bool {
        false
    }
}

/// A document that lists a clinic by name, its broker, a network of cameras, and a Service.
pub(crate) fn document() -> PolicyDocument {
    serde_json::from_value(serde_json::json!({
        "version": 1,
        "holding": {"namespace": "cameras", "name": "street", "uid": "1"},
        "data": ["biometric.face"],
        "standards": [{"standard": "kz", "networks": [
            {"cidr": "192.0.2.0/24", "country": "KZ"}, {"cidr": "2001:db8::/48", "country": "KZ"},
            {"cidr": "198.51.100.0/24", "country": "DE"}, {"cidr": "10.40.0.0/16", "country": "KZ"}], "minSources": 1}],
        "routes": [
            {"recipient": "clinic", "data": ["biometric.face"],
             "endpoints": [
                {"target": {"host": "api.clinic.example.kz"}, "ports": [443], "protocol": "TLS"},
                {"target": {"host": "*.clinic.example.kz"}, "ports": [80], "protocol": "HTTP"},
                {"target": {"host": "broker.example.kz"}, "ports": [1883], "protocol": "TCP"}],
             "constraints": [{"standard": "kz", "countries": ["KZ"], "minTls": null}],
             "permits": [{"data": ["biometric.face"], "validFrom": null, "validUntil": null}], "barred": null},
            {"recipient": "cameras", "data": ["biometric.face"],
             "endpoints": [{"target": {"network": "10.40.0.0/24"}, "ports": [554], "protocol": "TCP"}, {"target": {"network": "10.40.0.0/24"}, "ports": [8443], "protocol": "TLS"}],
             "constraints": [{"standard": "kz", "countries": ["KZ"], "minTls": null}],
             "permits": null, "barred": null}],
        "inCluster": [{"namespace": "archive", "service": "vectors", "data": ["biometric.face"]}],
        "cluster": {"networks": ["10.244.0.0/16", "10.96.0.0/16"], "domain": "cluster.local", "resolvers": ["10.96.0.10:53"]}
    }))
    .unwrap()
}
