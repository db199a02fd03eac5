//! A second injector of containers beside Shekara, as meshes and collectors of secrets or logs are, whose webhook the API server asks
//! before ours or behind it. One that leaves our containers alone works: they are first, as they are without it, and there once, and what
//! it adds, init containers and sidecars too, is judged like the application. One that takes them out is put right, or the pod is
//! refused; whatever else it does to what was put in, the pod is refused, and the answer says why. Pods that no holding covers are what
//! it makes of them.
//!
//! Closes 12, 14 and 27 of the threat model for what other webhooks do.

mod injector;

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::try_join;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt as _;
use serde_json::json;
use shekara_crds::COVERED_LABEL;
use shekara_crds::pods::{INIT, PROXY, VERIFY};
use shekara_e2e::attempt::packets_from;
use shekara_e2e::holdings::CONDITION;
use shekara_e2e::pods::workload::{Cover, Workload};
use shekara_e2e::scenario::{Border, Scenario};
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::{ADS, CLINIC};

use injector::{Again, Injector, Place};

/// The init containers of a covered pod which no injector has changed.
const OURS: [&str; 3] = [INIT, PROXY, VERIFY];

/// Those of the second injector, and the application's own, in their order.
const OTHERS: [&str; 4] = ["second-first", "own", "second-sidecar", "second-last"];

/// Of no sidecar, or one that is not as admission makes it.
const NO_SIDECAR: &str = "does not have the sidecar of Shekara before all its containers";

/// What it does to our containers after we were asked for the last time, and what the API server's own policies say.
const TOO_LATE: [(&str, &str); 32] = [
    ("without-all", NO_SIDECAR),
    ("without-init", NO_SIDECAR),
    ("without-proxy", NO_SIDECAR),
    ("without-verify", NO_SIDECAR),
    ("before", NO_SIDECAR),
    ("everywhere", NO_SIDECAR),
    ("image", NO_SIDECAR),
    ("image-of-the-filter", NO_SIDECAR),
    ("command", NO_SIDECAR),
    ("arguments", NO_SIDECAR),
    ("hook", NO_SIDECAR),
    ("probe", NO_SIDECAR),
    ("folder", NO_SIDECAR),
    ("filter-beside", NO_SIDECAR),
    ("proof-beside", NO_SIDECAR),
    ("without-seccomp", NO_SIDECAR),
    ("more-capabilities", NO_SIDECAR),
    ("no-capability", NO_SIDECAR),
    ("privileged", NO_SIDECAR),
    ("user", NO_SIDECAR),
    ("policy-api", NO_SIDECAR),
    ("variable", NO_SIDECAR),
    ("mounted", NO_SIDECAR),
    ("root", "has another SHEKARA_ROOT"),
    ("resolvers", "has another SHEKARA_RESOLVERS"),
    ("holdings", "its sidecar was not told so"),
    ("observes", "was told to observe for longer"),
    ("speaks", "is mounted by the sidecar alone"),
    ("unmarked", "lacks the label shekara.dev/covered"),
    ("port-of-the-node", "or have a port of the node"),
    ("able", "none of its own containers may be privileged"),
    ("application-without-seccomp", "none of its own containers may be privileged"),
];

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    scenario.standard().await?;
    scenario.recipient("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}])).await?;
    scenario.holding(&["clinic"]).await?;
    let injector = Injector::start(scenario).await?;
    let alone = until("a pod would be covered", CONDITION, async || {
        let pod = scenario.would_be("alone", Cover::Covered).await;
        Ok(pod.map_or_else(|error| Seen::NotYet(format!("{error:#}")), Seen::Yes))
    })
    .await?;
    for (place, covered) in Place::BOTH.into_iter().zip(1..) {
        leaves_ours_alone(scenario, &injector, &alone, place).await.with_context(|| format!("{place:?}"))?;
        scenario.enforcing(covered).await?;
    }
    for (place, again) in [(Place::Before, Again::IfNeeded), (Place::Behind, Again::Never)] {
        put_right(scenario, &injector, &alone, place, again).await.with_context(|| format!("taken out {place:?}"))?;
    }
    look_alikes(scenario, &injector).await?;
    for (way, why) in TOO_LATE {
        injector.asked(Place::Behind, Again::IfNeeded, &format!("late/{way}")).await?;
        refused(scenario, why).await.with_context(|| format!("{way} after the last call"))?;
    }
    injector.asked(Place::Behind, Again::IfNeeded, "late/of-the-node").await?;
    refused(scenario, "it may not share the network").await.context("the network of the node")
}

/// It adds and reorders containers before ours are put in or behind that: both work, and the border stands for all containers.
async fn leaves_ours_alone(scenario: &Scenario, injector: &Injector<'_>, alone: &Pod, place: Place) -> Result<()> {
    injector.asked(place, Again::Never, "beside").await?;
    stands_first(&scenario.would_be("never", Cover::Covered).await?, alone).context("asked once")?;
    injector.asked(place, Again::IfNeeded, "beside").await?;
    let world = scenario.world()?;
    let since = world.sniffer.clock().await?;
    let (covered, free) = (format!("covered-{}", place.word()), format!("free-{}", place.word()));
    let (covered, free) = (manifest(scenario, &covered, Cover::Covered)?, manifest(scenario, &free, Cover::Free)?);
    let (covered, free) = try_join(scenario.start_in_time(&covered), scenario.start(&free)).await?;
    let pod = covered.object().await?;
    stands_first(&pod, alone)?;
    added_once(&pod)?;

    for container in ["second-first", "second-last"] {
        let (here, there) = (covered.log(container).await?, free.log(container).await?);
        ensure!(there == "clinic=0\nads=0\n", "without enforcement {container} says {there:?}");
        ensure!(here.starts_with("clinic=0\nads=") && !here.contains("ads=0"), "{container} says {here:?}");
    }
    let ads = world.hosts.get(ADS)?.any_v4()?;
    ensure!(!packets_from(&world.sniffer, &free, ads, since).await?.is_empty(), "the sniffer does not see the unlisted party");
    let leaked = packets_from(&world.sniffer, &covered, ads, since).await?;
    ensure!(leaked.is_empty(), "the unlisted party saw an init container of the second injector: {leaked:?}");
    for container in ["second-sidecar", "second-beside", "client"] {
        let border = Border { covered: covered.container(container), free: free.container(container) };
        border.stands(world).await.with_context(|| container.to_owned())?;
    }
    Ok(())
}

fn manifest(scenario: &Scenario, name: &str, cover: Cover) -> Result<Workload> {
    Ok(scenario.client_manifest(name, cover)?.init_container(scenario.client_container("own", &["true"])?))
}

/// Our containers are first, there once, and as they are in a pod that nobody else has changed.
fn stands_first(pod: &Pod, alone: &Pod) -> Result<()> {
    let (here, there) = (init_containers(pod), init_containers(alone));
    ensure!(names(there) == OURS, "without the second injector the init containers are {:?}", names(there));
    ensure!(here.starts_with(there), "ours are not first, or not as without the second injector: {here:#?}");
    let own = here.iter().skip(OURS.len()).chain(pod.spec.iter().flat_map(|spec| &spec.containers));
    let twice: Vec<&str> = own.map(|container| container.name.as_str()).filter(|name| name.starts_with("shekara-")).collect();
    ensure!(twice.is_empty(), "there a second time: {twice:?}");
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let volumes: Vec<&str> = volumes.map(|volume| volume.name.as_str()).filter(|name| name.starts_with("shekara-")).collect();
    ensure!(volumes.len() == 2, "the volumes of ours are {volumes:?}");
    ensure!(pod.labels().get(COVERED_LABEL).is_some_and(|value| value == "true"), "the pod lacks the label {COVERED_LABEL}");
    Ok(())
}

/// What the second injector wanted is there, once, and confined.
fn added_once(pod: &Pod) -> Result<()> {
    let init: Vec<&str> = OURS.into_iter().chain(OTHERS).collect();
    ensure!(names(init_containers(pod)) == init, "the init containers are {:?}", names(init_containers(pod)));
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    ensure!(names(containers) == ["second-beside", "client"], "the containers are {:?}", names(containers));
    for container in init_containers(pod).iter().skip(OURS.len()).chain(containers) {
        let variables = container.env.iter().flatten().filter(|variable| variable.name == "SECOND").count();
        ensure!(variables == 1, "{} has the variable of the second injector {variables} times", container.name);
        let context = container.security_context.as_ref().and_then(|context| context.capabilities.as_ref());
        let dropped = context.and_then(|capabilities| capabilities.drop.clone()).unwrap_or_default();
        ensure!(dropped.iter().any(|name| name == "NET_RAW"), "{} keeps NET_RAW", container.name);
    }
    Ok(())
}

/// It takes our containers out and is not asked last: they are put in again.
async fn put_right(scenario: &Scenario, injector: &Injector<'_>, alone: &Pod, place: Place, again: Again) -> Result<()> {
    injector.asked(place, again, "without-all").await?;
    stands_first(&scenario.would_be("put-right", Cover::Covered).await?, alone)
}

/// It changes our containers and we are asked again: what bears their names is not ours any more.
async fn look_alikes(scenario: &Scenario, injector: &Injector<'_>) -> Result<()> {
    for again in [Again::Never, Again::IfNeeded] {
        for way in ["image", "arguments", "variable", "everywhere", "more-capabilities"] {
            injector.asked(Place::Behind, again, way).await?;
            let why = "names that begin with shekara- are kept for the sidecar";
            refused(scenario, why).await.with_context(|| format!("{way}, asked again {again:?}"))?;
        }
    }
    Ok(())
}

/// The API server refuses the covered pod and says so of it; the free one is created.
async fn refused(scenario: &Scenario, why: &str) -> Result<()> {
    match scenario.would_be("refused", Cover::Covered).await {
        Err(error) if format!("{error:#}").contains(why) => {}
        Err(error) => return Err(error).with_context(|| format!("it is refused for another reason than {why:?}")),
        Ok(pod) => bail!("it is not refused: {:#?}", init_containers(&pod)),
    }
    scenario.would_be("bystander", Cover::Free).await.context("a pod that no holding covers").map(drop)
}

fn init_containers(pod: &Pod) -> &[Container] {
    pod.spec.as_ref().and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default()
}

fn names(containers: &[Container]) -> Vec<&str> {
    containers.iter().map(|container| container.name.as_str()).collect()
}
