//! What is asked of an API server, and what comes of its answers.

use std::sync::{Arc, Mutex};

use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use ipnet::IpNet;
use serde_json::{Value, json};
use shekara_crds::Key;

use super::*;

const PODS: &str = "/api/v1/pods";

/// What was asked of the server, and which path it refuses.
#[derive(Default)]
struct Server {
    asked: Mutex<Vec<String>>,
    refused: Option<&'static str>,
}

impl Server {
    fn answer(&self, uri: &Uri) -> Response {
        let (path, second) = (uri.path(), uri.query().unwrap_or_default().contains("continue=more"));
        self.asked.lock().unwrap().push(path.to_owned());
        if self.refused == Some(path) {
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "reason": "Forbidden", "code": 403});
            return (StatusCode::FORBIDDEN, Json(status)).into_response();
        }
        let more = if path == PODS && !second { "more" } else { "" };
        let list = json!({"kind": "List", "apiVersion": "v1", "metadata": {"continue": more}, "items": items(path, second)});
        Json(list).into_response()
    }
}

fn items(path: &str, second: bool) -> Vec<Value> {
    let pod = |name: &str, namespace: &str, address: &str| json!({"metadata": {"name": name, "namespace": namespace}, "spec": {"containers": []}, "status": {"podIPs": [{"ip": address}]}});
    let service = |name: &str, addresses: Value| json!({"metadata": {"name": name, "namespace": "archive"}, "spec": {"clusterIPs": addresses, "externalIPs": ["203.0.113.7"], "ports": [{"port": 80, "name": "web"}]}});
    let slice = |name: &str| {
        json!({"metadata": {"name": name, "namespace": "archive", "labels": {"kubernetes.io/service-name": name}}, "addressType": "IPv4",
            "ports": [{"name": "web", "port": 80}], "endpoints": [{"addresses": ["10.244.0.2"]}]})
    };
    match (path, second) {
        ("/api/v1/services", _) => vec![service("vectors", json!(["10.244.5.1"])), service("headless", json!(["None"]))],
        ("/apis/discovery.k8s.io/v1/endpointslices", _) => vec![slice("vectors"), slice("headless")],
        (PODS, false) => vec![pod("elsewhere", "cameras", "10.244.0.1")],
        (PODS, true) => vec![pod("there", "archive", "10.244.0.2")],
        _ => vec![],
    }
}

/// What was read, and what was asked for it.
async fn read(refused: Option<&'static str>, service: Option<&str>, addresses: &[&str]) -> (Network, Vec<String>) {
    let server = Arc::new(Server { refused, ..Server::default() });
    let answering = Arc::clone(&server);
    let router = Router::new().fallback(move |uri: Uri| {
        let answer = answering.answer(&uri);
        async move { answer }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = kube::Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
    let reader = Reader {
        client: kube::Client::try_from(config).unwrap(),
        namespace: Some("cameras".into()),
        operator_namespace: "shekara-system".into(),
        timeout: std::time::Duration::from_secs(30),
    };
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let networks: [IpNet; 1] = ["10.244.0.0/16".parse().unwrap()];
    let service = service.map(|name| Key::new("archive", name));
    let asked = Asked { service, addresses: &addresses, port: 80, networks: &networks };
    let network = tokio::select! {
        network = reader.network(&asked) => network,
        ended = async { axum::serve(listener, router).await } => panic!("the server ended: {ended:?}"),
    };
    let asked = server.asked.lock().unwrap().clone();
    (network, asked)
}

#[tokio::test]
async fn an_address_outside_costs_the_services_and_nodes_alone() {
    let (network, asked) = read(None, None, &["192.0.2.1"]).await;
    assert_eq!(asked, ["/api/v1/services", "/api/v1/nodes"]);
    assert_eq!(network.all_unread().count(), 0);
}

#[tokio::test]
async fn for_one_inside_the_pods_that_may_be_there_are_kept_and_the_holdings_of_their_namespaces_read() {
    let holdings = "/apis/shekara.dev/v1alpha1/namespaces/archive/dataholdings";
    let all = ["/api/v1/services", "/api/v1/nodes", "/apis/discovery.k8s.io/v1/endpointslices", PODS, PODS, holdings];
    // by the address of a Service, by one outside that the cluster takes for it, by the pod's own, and by the name of a headless one
    for (service, addresses) in [(None, "10.244.5.1"), (None, "203.0.113.7"), (None, "10.244.0.2"), (Some("headless"), "")] {
        let addresses: Vec<&str> = [addresses].into_iter().filter(|address| !address.is_empty()).collect();
        let (network, asked) = read(None, service, &addresses).await;
        assert_eq!(asked, all, "{addresses:?}");
        assert_eq!(network.pods.keys().cloned().collect::<Vec<_>>(), [Key::new("archive", "there")], "{addresses:?}");
    }
}

#[tokio::test]
async fn what_may_not_be_listed_is_told_with_the_right_that_is_missing() {
    let (network, _) = read(Some(PODS), None, &["10.244.0.2"]).await;
    let unread: Vec<&str> = network.all_unread().collect();
    assert!(
        matches!(unread.as_slice(), [one] if one.starts_with("you may not list pods in the whole cluster: ask for that right")),
        "{unread:?}"
    );
    assert_eq!(network.taken_unread().count(), 0);
    let (network, _) = read(Some("/api/v1/nodes"), None, &["192.0.2.1"]).await;
    assert!(network.taken_unread().all(|why| why.starts_with("you may not list nodes in the whole cluster")));
    assert_eq!(network.taken_unread().count(), 1);
}
