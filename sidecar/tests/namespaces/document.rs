//! The documents of the test pod.

use serde_json::json;
use shekara_policy::PolicyDocument;

use crate::world::{BROKER, CLINIC, ECHO, HTTP, HTTPS, MAPS, RESOLVER, SERVER_FIRST, SPLIT, TLS_ECHO};

/// Lists the clinic, the broker and cameras in the country, maps abroad, and an archive in the cluster.
pub(crate) fn document() -> PolicyDocument {
    let endpoint =
        |host: &str, port: u16, protocol: &str| json!({"target": {"host": host}, "ports": [port], "protocol": protocol});
    let network =
        |network: &str, port: u16, protocol: &str| json!({"target": {"network": network}, "ports": [port], "protocol": protocol});
    let route = |recipient: &str, endpoints: Vec<serde_json::Value>| {
        json!({"recipient": recipient, "data": ["biometric.face"], "endpoints": endpoints,
            "constraints": [{"standard": "kz", "countries": ["KZ"], "minTls": null}], "permits": null, "barred": null})
    };
    serde_json::from_value(json!({
        "version": 1,
        "holding": {"namespace": "city", "name": "faces", "uid": "1"},
        "data": ["biometric.face"],
        "standards": [{"standard": "kz", "minSources": 1, "networks": [
            {"cidr": "192.0.2.0/24", "country": "KZ"}, {"cidr": "2001:db8:1::/48", "country": "KZ"},
            {"cidr": "198.51.100.0/24", "country": "DE"}, {"cidr": "2001:db8:49::/48", "country": "DE"}]}],
        "routes": [
            route("clinic", vec![
                endpoint(CLINIC.name, HTTPS, "TLS"), endpoint(CLINIC.name, HTTP, "HTTP"), endpoint(CLINIC.name, TLS_ECHO, "TLS"),
                endpoint("*.clinic.example.kz", HTTP, "HTTP")]),
            route("broker", vec![endpoint(BROKER.name, ECHO, "TCP"), endpoint(BROKER.name, SERVER_FIRST, "TCPServerFirst")]),
            route("maps", vec![endpoint(MAPS.name, HTTPS, "TLS"), endpoint(MAPS.name, HTTP, "HTTP"), endpoint(MAPS.name, ECHO, "TCP")]),
            route("split", vec![endpoint(SPLIT, HTTPS, "TLS")]),
            route("cameras", vec![network("192.0.2.128/26", HTTP, "HTTP"), network("2001:db8:1:1::/64", ECHO, "TCP")])],
        "inCluster": [{"namespace": "archive", "service": "vectors", "data": ["biometric.face"]}],
        "cluster": {"networks": ["10.244.0.0/16", "10.96.0.0/16", "fd00:10:244::/56"], "domain": "cluster.local",
            "resolvers": [format!("{RESOLVER}:53")]}
    }))
    .unwrap()
}

/// The same without a recipient.
pub(crate) fn document_without(recipient: &str) -> PolicyDocument {
    let mut document = document();
    document.routes.retain(|route| route.recipient != recipient);
    document
}
