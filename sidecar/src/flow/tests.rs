use shekara_policy::PolicyDocument;

mod place;

pub(crate) use place::{Place, RESOLVER, Resolver};

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
        "inCluster": [{"namespace": "archive", "service": "vectors", "data": ["biometric.face"], "addresses": ["10.96.0.20"], "ports": [5432]}],
        "cluster": {"networks": ["10.244.0.0/16", "10.96.0.0/16"], "domain": "cluster.local", "resolvers": ["10.96.0.10:53"]}
    }))
    .unwrap()
}
