//! Inside the cluster a covered pod reaches what is covered for the same data and what its holding lists, and nothing else: by a
//! pod's address, a Service, a headless one, one with endpoints made by hand, one with an external address. An address of a node,
//! with its node ports and host ports, and the API server stay closed. A name of the cluster that leads outside opens what the
//! party there opens. What goes through an uncovered pod does not get out.
//!
//! Closes 21, 22 (nodes and the Kubernetes API) and 32 of the threat model, and 38 for names of the cluster.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join3;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::PostParams;
use serde_json::{Value, json};
use shekara_e2e::attempt::packets_from;
use shekara_e2e::clients::{curl_with, tcp};
use shekara_e2e::holdings::{CONDITION, with};
use shekara_e2e::pods::Client;
use shekara_e2e::pods::workload::{Cover, Workload};
use shekara_e2e::records::is_denial;
use shekara_e2e::scenario::{Border, Scenario};
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::{ADS, CLINIC, ECHO};
use shekara_policy::Reason;

/// Addresses outside the cluster that its Services take: nobody's, but a recipient lists them.
const TAKEN: [&str; 2] = ["192.0.2.201", "192.0.2.202"];

const ECHO_PORT: u16 = 7;
const RELAY_PORT: u16 = 8080;
/// The file that the relay makes when it listens.
const LISTENING: &str = "/tmp/listening";
const HOST_PORT: u16 = 18_080;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let echo = scenario.world()?.hosts.get(ECHO)?.any_v4()?;
    let networks = TAKEN.map(|address| json!({"network": format!("{address}/32"), "ports": [80], "protocol": "HTTP"}));
    let recipients = [
        ("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}])),
        ("echo", json!([{"network": format!("{echo}/32"), "ports": [ECHO_PORT], "protocol": "TCP"}])),
        ("taken", json!(networks)),
    ];
    let border = scenario.border(&recipients).await?;
    let nginx = scenario.images.get("nginx")?;
    let on_node = json!({"containerPort": 80, "hostPort": HOST_PORT});
    let pause = with(scenario.client_container("pause", &["sleep", "infinity"])?, "/ports", json!([on_node]))?;
    let bare = Workload::new("bare", Cover::Free).serving("nginx", nginx, 80).container(pause);
    let (covered, bare, relay) = try_join3(
        scenario.start(&Workload::new("web", Cover::Covered).serving("nginx", nginx, 80)),
        scenario.start(&bare),
        scenario.start(&relay(scenario)?),
    )
    .await?;
    scenario.enforcing(2).await?;
    let place = Place { scenario, border, covered, bare };
    place.pods().await.context("pods")?;
    place.services().await.context("Services")?;
    place.listed().await.context("a listed headless Service")?;
    place.by_hand(echo).await.context("endpoints made by hand")?;
    place.external().await.context("external addresses")?;
    place.nodes().await.context("nodes")?;
    place.api_server().await.context("the API server")?;
    place.other_names().await.context("names that lead outside")?;
    place.through(&relay).await.context("a relay")
}

struct Place<'a> {
    scenario: &'a Scenario,
    border: Border,
    covered: Client,
    bare: Client,
}

impl Place<'_> {
    async fn pods(&self) -> Result<()> {
        self.open(self.covered.v4()?, 80).await?;
        self.closed(self.bare.v4()?, 80, Reason::InClusterUnlisted).await
    }

    async fn services(&self) -> Result<()> {
        let covered = self.service("covered", json!({"selector": {"workload": "web"}})).await?;
        self.open(covered, 80).await?;
        let bare = self.service("bare", json!({"selector": {"workload": "bare"}})).await?;
        self.closed(bare, 80, Reason::InClusterUnlisted).await?;
        // one uncovered endpoint closes the Service, and it opens when that is gone
        let slices = self.scenario.api::<EndpointSlice>();
        let mixed = self.service("mixed", json!({})).await?;
        self.endpoints("mixed", &[self.covered.v4()?, self.bare.v4()?], 80).await?;
        self.closed(mixed, 80, Reason::InClusterUnlisted).await?;
        slices.delete("mixed-by-hand", &kube::api::DeleteParams::default()).await?;
        self.endpoints("mixed", &[self.covered.v4()?], 80).await?;
        self.open(mixed, 80).await
    }

    /// A headless Service is its pods, and listing it opens those that it has at the time, with no other document.
    async fn listed(&self) -> Result<()> {
        let headless = json!({"clusterIP": "None", "selector": {"workload": "bare"}});
        self.create("headless", headless).await?;
        let spec = self.scenario.holding_spec(&["clinic", "echo", "taken"]);
        let listing = json!([{"namespace": self.scenario.namespace, "service": "headless", "data": []}]);
        self.scenario.holding_with("faces", with(spec.clone(), "/inCluster", listing)?).await?;
        self.scenario.condition("faces", "Enforcing", "True").await?;
        self.open(self.bare.v4()?, 80).await?;
        self.scenario.holding_with("faces", spec).await?;
        self.scenario.condition("faces", "Enforcing", "True").await?;
        self.closed(self.bare.v4()?, 80, Reason::InClusterUnlisted).await
    }

    /// A Service without a selector leads where its endpoints say.
    async fn by_hand(&self, echo: IpAddr) -> Result<()> {
        let world = self.scenario.world()?;
        let home = self.service("home", json!({})).await?;
        self.endpoints("home", &[echo], ECHO_PORT).await?;
        self.open(home, 80).await?;
        let ads = world.hosts.get(ADS)?.any_v4()?;
        let abroad = self.service("abroad", json!({})).await?;
        self.endpoints("abroad", &[ads], 80).await?;
        let since = world.sniffer.clock().await?;
        self.closed(abroad, 80, Reason::UnlistedParty).await?;
        let leaked = packets_from(&world.sniffer, &self.border.covered, ads, since).await?;
        ensure!(leaked.is_empty(), "the advertiser saw the covered pod: {leaked:?}");
        Ok(())
    }

    /// An address outside that the cluster takes for a Service is no party outside, though a recipient lists it.
    async fn external(&self) -> Result<()> {
        let [covered, bare] = TAKEN;
        self.service("external-covered", json!({"selector": {"workload": "web"}, "externalIPs": [covered]})).await?;
        self.open(covered.parse()?, 80).await?;
        self.service("external-bare", json!({"selector": {"workload": "bare"}, "externalIPs": [bare]})).await?;
        self.closed(bare.parse()?, 80, Reason::InClusterUnlisted).await
    }

    async fn nodes(&self) -> Result<()> {
        let node = self.bare.object().await?.status.and_then(|status| status.host_ip).context("the pod has no node")?;
        let node: IpAddr = node.parse()?;
        let service = self
            .create("on-nodes", json!({"type": "NodePort", "selector": {"workload": "web"}, "ports": [{"port": 80}]}))
            .await?;
        let ports = service.spec.and_then(|spec| spec.ports).unwrap_or_default();
        let port = ports.first().and_then(|port| port.node_port).context("the Service has no port on nodes")?;
        self.closed(node, u16::try_from(port)?, Reason::PeerNodeAddress).await?;
        self.closed(node, HOST_PORT, Reason::PeerNodeAddress).await
    }

    async fn api_server(&self) -> Result<()> {
        let program = "import os\nprint(os.environ['KUBERNETES_SERVICE_HOST'], os.environ['KUBERNETES_SERVICE_PORT'])";
        let service = self.border.covered.python(program).await?.success()?;
        let (address, port) = service.trim().split_once(' ').context("the pod knows no API server")?;
        let slices = shekara_e2e::cluster::within::<EndpointSlice>(&self.scenario.kube, "default");
        let slice = slices.get("kubernetes").await?;
        let endpoint = slice.endpoints.first().and_then(|endpoint| endpoint.addresses.first()).context("no endpoint")?;
        let number = slice.ports.iter().flatten().find_map(|port| port.port).context("no port")?;
        for (address, port) in [(address, port.parse()?), (endpoint.as_str(), u16::try_from(number)?)] {
            self.denied(address.parse()?, port, Reason::ClusterAPIDenied).await?;
        }
        Ok(())
    }

    /// An application that uses a name of the cluster for a party outside is judged by the party.
    async fn other_names(&self) -> Result<()> {
        let world = self.scenario.world()?;
        let since = world.sniffer.clock().await?;
        for (alias, party, open) in [("clinic", CLINIC, true), ("ads", ADS, false)] {
            self.create(alias, json!({"type": "ExternalName", "externalName": party})).await?;
            let there = format!("{party}:443:{alias}.{}.svc.cluster.local:443", self.scenario.namespace);
            let command = curl_with(&format!("https://{party}/"), &["--connect-to", &there]);
            // each replica of the cluster's DNS learns of the name in its own time
            until(&format!("{alias} leads the uncovered pod to {party}"), CONDITION, async || {
                Ok(self.border.free.run(&command).await?.seen())
            })
            .await?;
            until(&format!("{alias} is judged as {party}"), CONDITION, async || {
                let outcome = self.border.covered.run(&command).await?;
                let told = |record: &_| is_denial(record, Reason::UnlistedParty) && record.name.as_deref() == Some(party);
                let judged = if open { outcome.succeeded() } else { self.border.covered.records().await?.iter().any(told) };
                ensure!(open || !outcome.succeeded(), "{outcome}");
                Ok(if judged { Seen::Yes(()) } else { Seen::NotYet(outcome.to_string()) })
            })
            .await?;
        }
        let leaked = packets_from(&world.sniffer, &self.border.covered, world.hosts.get(ADS)?.any_v4()?, since).await?;
        ensure!(leaked.is_empty(), "the advertiser saw the covered pod: {leaked:?}");
        Ok(())
    }

    /// An uncovered pod passes on what it gets.
    async fn through(&self, relay: &Client) -> Result<()> {
        let world = self.scenario.world()?;
        let ads = world.hosts.get(ADS)?.any_v4()?;
        let since = world.sniffer.clock().await?;
        self.denied(relay.v4()?, RELAY_PORT, Reason::InClusterUnlisted).await?;
        let early = packets_from(&world.sniffer, relay, ads, since).await?;
        ensure!(early.is_empty(), "the relay passed something on: {early:?}");
        self.border.free.python(&tcp(relay.v4()?, RELAY_PORT)).await?.success().context("the relay does not work")?;
        ensure!(!packets_from(&world.sniffer, relay, ads, since).await?.is_empty(), "the sniffer does not see the relay");
        Ok(())
    }

    /// The covered pod gets an answer there, as soon as the operator knows of what was just made.
    async fn open(&self, address: IpAddr, port: u16) -> Result<()> {
        until(&format!("{address}:{port} is reached"), CONDITION, async || {
            Ok(self.border.covered.python(&tcp(address, port)).await?.seen())
        })
        .await
    }

    /// The uncovered pod gets an answer there, and the covered one none, for this reason.
    async fn closed(&self, address: IpAddr, port: u16, reason: Reason) -> Result<()> {
        until(&format!("{address}:{port} is reached by the uncovered pod"), CONDITION, async || {
            Ok(self.border.free.python(&tcp(address, port)).await?.seen())
        })
        .await?;
        self.denied(address, port, reason).await
    }

    async fn denied(&self, address: IpAddr, port: u16, reason: Reason) -> Result<()> {
        let covered = &self.border.covered;
        until(&format!("{address}:{port} is denied as {reason}"), CONDITION, async || {
            let outcome = covered.python(&tcp(address, port)).await?;
            let told = |record: &_| is_denial(record, reason) && record.destination == Some(address) && record.port == port;
            let told = covered.records().await?.iter().any(told);
            Ok(if told && !outcome.succeeded() { Seen::Yes(()) } else { Seen::NotYet(outcome.to_string()) })
        })
        .await
    }

    /// A Service for port 80 with a cluster address, which is given.
    async fn service(&self, name: &str, spec: Value) -> Result<IpAddr> {
        let service = self.create(name, with(spec, "/ports", json!([{"port": 80}]))?).await?;
        let address = service.spec.and_then(|spec| spec.cluster_ip).context("the Service has no address")?;
        Ok(address.parse()?)
    }

    async fn create(&self, name: &str, spec: Value) -> Result<Service> {
        let service: Service = serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec}))?;
        self.scenario.api::<Service>().create(&PostParams::default(), &service).await.context("the Service is refused")
    }

    async fn endpoints(&self, service: &str, addresses: &[IpAddr], port: u16) -> Result<()> {
        let slice: EndpointSlice = serde_json::from_value(json!({
            "metadata": {"name": format!("{service}-by-hand"), "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4", "ports": [{"name": "", "port": port, "protocol": "TCP"}],
            "endpoints": addresses.iter().map(|address| json!({"addresses": [address]})).collect::<Vec<_>>(),
        }))?;
        self.scenario.api::<EndpointSlice>().create(&PostParams::default(), &slice).await.context("the endpoints are refused")?;
        Ok(())
    }
}

/// An uncovered pod that passes everything on to the advertiser.
fn relay(scenario: &Scenario) -> Result<Workload> {
    let ads = scenario.world()?.hosts.get(ADS)?.any_v4()?;
    let program = format!(
        "import socket, threading\n\
         def copy(a, b):\n\
         \x20   try:\n\
         \x20       while data := a.recv(4096): b.sendall(data)\n\
         \x20   except OSError: pass\n\
         \x20   a.close(); b.close()\n\
         listener = socket.create_server(('', {RELAY_PORT}))\n\
         open('{LISTENING}', 'w').close()\n\
         while True:\n\
         \x20   client, _ = listener.accept()\n\
         \x20   server = socket.create_connection(('{ads}', 80))\n\
         \x20   threading.Thread(target=copy, args=(client, server)).start()\n\
         \x20   threading.Thread(target=copy, args=(server, client)).start()\n"
    );
    let container = scenario.client_container("relay", &["python3", "-c", &program])?;
    // a probe that connects would be passed on as well
    let probe = json!({"exec": {"command": ["test", "-f", LISTENING]}, "periodSeconds": 1});
    Ok(Workload::new("relay", Cover::Free).container(with(container, "/readinessProbe", probe)?))
}
