//! A hostile application tries to get out from the first moment of each of its containers on, without a pause, while what it stands on is
//! started again: the sandbox of its pod, the container runtime, the kubelet, the whole node. Nothing of it arrives outside, from
//! whatever address; the same program in a pod that no holding covers gets out each time, by the same ways and from its init container
//! too. Afterwards the holding is enforced by reports of sidecars that were started since, and the listed party is reached.
//!
//! Closes 12 and 15 of the threat model, where a container of the pod sets the packet filter and where the node does.

mod started;
mod targets;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use futures::future::try_join;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Node as NodeObject, Pod};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use shekara_crds::DataHolding;
use shekara_e2e::clients::curl;
use shekara_e2e::cluster::operator_pods;
use shekara_e2e::diagnose;
use shekara_e2e::measure;
use shekara_e2e::node::{Node, join_world};
use shekara_e2e::pods::workload::{Cover, Workload};
use shekara_e2e::pods::{Client, is_ready};
use shekara_e2e::scenario::{AUTHORITY_FOLDER, Scenario};
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::CLINIC;
use shekara_e2e::world::{Packet, Query};
use tokio::time::{Instant, timeout};

use started::{Started, first_start};
use targets::{COVERED, EARLY, FREE, LATE, TARGETS};

/// The program.
const PROGRAM: &str = include_str!("../../adversary/restless.py");

/// A port that nobody uses: the Services of StatefulSets have one.
const PORT: u16 = 80;

/// How many seconds the init container tries.
const TRIED: &str = "3";

/// The networks of the world, as the nodes have ways to them (`e2e/world/world`).
const WORLD: [&str; 4] = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"];

/// How long what was started again may take to be as it was, on two processors.
const RESTORED: Duration = Duration::from_secs(300);

/// How long everything may take: the ways to the world are set again within the scenario's own time.
const ALL: Duration = Duration::from_secs(960);

/// So many reports show that a sidecar is there now: the status can come to one late, of a sidecar that is gone.
const REPORTS: usize = 3;

/// A container of the pod sets the packet filter.
pub(super) async fn by_container(scenario: &Scenario) -> Result<()> {
    restarts(scenario).await
}

/// The node sets it.
pub(super) async fn by_node(scenario: &Scenario) -> Result<()> {
    scenario.enforce_pod_security("baseline").await?;
    restarts(scenario).await
}

async fn restarts(scenario: &Scenario) -> Result<()> {
    let outcome = timeout(ALL, all(scenario)).await;
    // whatever came of it, the next scenarios reach the world
    join_world().await?;
    outcome.map_err(|_| anyhow!("not at its end after {} s", ALL.as_secs())).flatten()
}

/// The two pods on one node, and since when they try.
struct Place<'a> {
    scenario: &'a Scenario,
    node: Node,
    begin: f64,
}

async fn all(scenario: &Scenario) -> Result<()> {
    scenario.standard().await?;
    scenario.recipient("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}])).await?;
    scenario.holding(&["clinic"]).await?;
    let data = json!({"data": {"restless.py": PROGRAM}});
    scenario.api::<ConfigMap>().patch("authority", &PatchParams::default(), &Patch::Merge(&data)).await?;
    let begin = scenario.world()?.sniffer.clock().await?;
    let (covered, free) = (manifest(scenario, Cover::Covered)?, manifest(scenario, Cover::Free)?);
    let (covered, free) = try_join(scenario.members(&covered, PORT, 1), scenario.members(&free, PORT, 1)).await?;
    let node = Node::of(covered.first().context("there is no covered pod")?).await?;
    ensure!(node == Node::of(free.first().context("there is no free pod")?).await?, "the two pods are on two nodes");
    scenario.enforcing(1).await?;
    let place = Place { scenario, node, begin };
    place.holds(begin, &[EARLY, LATE]).await.context("at first")?;

    place.sandboxes_killed().await.context("when the processes of the sandboxes were killed")?;
    place.service_restarted("containerd").await.context("when containerd was started again")?;
    place.service_restarted("kubelet").await.context("when the kubelet was started again")?;
    place.node_restarted().await.context("when the node was started again")
}

/// A pod that tries from its first moment on, in its init container and then in its application.
fn manifest(scenario: &Scenario, cover: Cover) -> Result<Workload> {
    let pod = if cover == Cover::Covered { COVERED } else { FREE };
    let resolver = scenario.world()?.hosts.resolver()?.to_string();
    let program = format!("{AUTHORITY_FOLDER}/restless.py");
    let trying = |name: &'static str, more: &[&str]| {
        let targets = TARGETS.iter().find(|targets| targets.pod == pod && targets.container == name);
        let targets = targets.with_context(|| format!("{name} of {pod} has no targets"))?;
        let question = targets.question(scenario);
        let command = [&["python3", &program, targets.v4, targets.v6, &question, &resolver], more].concat();
        scenario.client_container(name, &command)
    };
    Ok(Workload::new(pod, cover).init_container(trying(EARLY, &[TRIED])?).container(trying(LATE, &[])?))
}

impl Place<'_> {
    /// Each of these containers of the free pod gets out by each way since then, and nothing of the covered pod ever did. The free pod
    /// comes first: what arrived before its packets has been seen as well.
    async fn holds(&self, since: f64, able: &[&str]) -> Result<()> {
        let sniffer = &self.scenario.world()?.sniffer;
        for targets in TARGETS.iter().filter(|targets| targets.pod == FREE && able.contains(&targets.container)) {
            for query in targets.queries(self.scenario, since)? {
                sniffer.arrival(&format!("what {} of the free pod sends", targets.container), &query).await?;
            }
        }
        let mut leaked: Vec<Packet> = Vec::new();
        let ever = Query { since: Some(self.begin), ..Query::default() };
        for targets in TARGETS.iter().filter(|targets| targets.pod == COVERED) {
            let question = Query { name: Some(targets.question(self.scenario)), ..ever.clone() };
            leaked.extend(sniffer.packets(&question).await?);
            for address in [targets.v4, targets.v6] {
                let any = Query { destination: Some(address.parse()?), ..ever.clone() };
                leaked.extend(sniffer.packets(&any).await?);
            }
        }
        ensure!(leaked.is_empty(), "of the covered pod arrived {leaked:?}");
        Ok(())
    }

    async fn sandboxes_killed(&self) -> Result<()> {
        let before = self.starts().await?;
        let since = self.scenario.world()?.sniffer.clock().await?;
        for name in [COVERED, FREE] {
            self.node.kill_sandbox(&self.scenario.namespace, &format!("{name}-0")).await?;
        }
        self.started_again(&before).await?;
        self.holds(since, &[EARLY, LATE]).await?;
        self.enforces().await
    }

    /// The pods go on meanwhile.
    async fn service_restarted(&self, service: &str) -> Result<()> {
        let before = self.starts().await?;
        let since = self.scenario.world()?.sniffer.clock().await?;
        self.node.run(&["systemctl", "restart", service]).await?;
        until(&format!("{service} answers"), RESTORED, async || {
            let runtime = self.node.run(&["crictl", "info"]).await.is_ok();
            let kubelet = self.node.run(&["curl", "--silent", "--fail", "http://127.0.0.1:10248/healthz"]).await.is_ok();
            Ok(Seen::some_or((runtime && kubelet).then_some(()), (runtime, kubelet)))
        })
        .await?;
        self.holds(since, &[]).await?;
        let since = self.scenario.world()?.sniffer.clock().await?;
        self.holds(since, &[LATE]).await?;
        self.enforces().await?;
        let after = self.starts().await?;
        ensure!(before == after, "containers were started again: {before:?} have become {after:?}");
        Ok(())
    }

    /// The ways to the world are back before anything of the pods is, so that whatever they send from then on is seen.
    async fn node_restarted(&self) -> Result<()> {
        let before = self.starts().await?;
        let routes = self.node.routes(&WORLD).await?;
        let since = self.scenario.world()?.sniffer.clock().await?;
        let begin = Instant::now();
        self.node.restart().await?;
        until("the node has its ways to the world", RESTORED, async || {
            let set = self.node.set_routes(&routes).await;
            Ok(set.map_or_else(|error| Seen::NotYet(format!("{error:#}")), Seen::Yes))
        })
        .await?;
        let reaches = Timestamp::now();
        self.started_again(&before).await?;
        measure::print("until both pods were ready after their node was started again", format_args!("{:.1?}", begin.elapsed()));
        for name in [COVERED, FREE] {
            let first = first_start(&self.pod(name).await?)?;
            // the times of containers are whole seconds, of which the rest is left out
            ensure!(first.as_second() > reaches.as_second(), "{name} started at {first}, and the world was reached at {reaches}");
        }
        self.ready().await?;
        join_world().await?;
        self.holds(since, &[EARLY, LATE]).await?;
        self.enforces().await
    }

    /// Waits until all of the operator's pods, and the node, are ready.
    async fn ready(&self) -> Result<()> {
        let nodes: Api<NodeObject> = Api::all(self.scenario.kube.clone());
        until("the node and the operator are ready", RESTORED, async || {
            let node = nodes.get(&self.node.name).await?.status.and_then(|status| status.conditions).unwrap_or_default();
            let node = node.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
            let operators = operator_pods(&self.scenario.kube).await?;
            let operator = !operators.is_empty() && operators.iter().all(is_ready);
            Ok(Seen::some_or((node && operator).then_some(()), (node, operator)))
        })
        .await
    }

    /// The status says so by reports of sidecars of now, and the listed party is reached.
    async fn enforces(&self) -> Result<()> {
        let holdings = self.scenario.api::<DataHolding>();
        let mut counts = BTreeSet::new();
        until("the sidecar reports what it denies", RESTORED, async || {
            counts.insert(holdings.get("faces").await?.status.map_or(0, |status| status.denied));
            Ok(Seen::some_or((counts.len() > REPORTS).then_some(()), &counts))
        })
        .await?;
        self.scenario.enforcing(1).await?;
        until("the clinic is reached", RESTORED, async || {
            let ran = async {
                let covered = Client::of(&self.scenario.api(), &self.pod(COVERED).await?)?;
                covered.run(&curl(&format!("https://{CLINIC}/"))).await?.success()
            };
            Ok(ran.await.map_or_else(|error| Seen::NotYet(format!("{error:#}")), |_| Seen::Yes(())))
        })
        .await
    }

    async fn pod(&self, name: &str) -> Result<Pod> {
        Ok(self.scenario.api::<Pod>().get(&format!("{name}-0")).await?)
    }

    /// How often the applications were started, and in which pods.
    async fn starts(&self) -> Result<[Started; 2]> {
        Ok([Started::of(&self.pod(COVERED).await?)?, Started::of(&self.pod(FREE).await?)?])
    }

    /// Waits until both pods are ready, and their applications were started since.
    async fn started_again(&self, before: &[Started; 2]) -> Result<()> {
        for (name, before) in [COVERED, FREE].into_iter().zip(before) {
            until(&format!("{name} was started again"), RESTORED, async || {
                let pod = match self.pod(name).await {
                    Ok(pod) => pod,
                    Err(error) => return Ok(Seen::NotYet(format!("{error:#}"))),
                };
                let again = Started::of(&pod).is_ok_and(|now| now.is_after(before));
                Ok(Seen::some_or((again && is_ready(&pod)).then_some(()), diagnose::pod(&pod)))
            })
            .await?;
        }
        Ok(())
    }
}
