//! Probes and lifecycle hooks of a covered pod: the kubelet asks the sidecar, which asks the application in its place. What comes
//! from the node's addresses is judged like everything else, for whoever is masqueraded to the node comes from there too.

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, PodSpec, TCPSocketAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};
use shekara_policy::ports;
use shekara_policy::probes::{Ask, HOOK, MOST_SECONDS, PORT, PROBE, Probe, Probes};

use super::containers::{PROBES_VARIABLE, RESERVED};
use super::refusal::Faults;
use crate::pods::PROXY;

/// Seconds that a hook after the start may take: the kubelet itself sets no limit.
const POST_START: u32 = 60;

/// What anybody may ask the sidecar of itself, and a probe too.
const OF_SIDECAR: [&str; 3] = ["/live", "/metrics", "/ready"];

/// Seconds from the wish to end until the end, where the pod does not say.
const GRACE: i64 = 30;

/// What becomes of the probes of a pod.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Rewritten {
    /// What the sidecar asks.
    pub(super) asked: Probes,
    /// What the kubelet asks instead, by the path of the probe or hook in the pod.
    pub(super) handlers: Vec<(String, Value)>,
}

/// One place of a container at which the kubelet asks.
struct Handler<'a> {
    /// The list and the number of the container.
    container: (&'static str, usize),
    /// The fields that lead to it.
    fields: &'static [&'static str],
    /// Where the sidecar is asked for it.
    path: String,
    http: Option<&'a HTTPGetAction>,
    tcp: Option<&'a TCPSocketAction>,
    grpc: Option<(i32, String)>,
    within: u32,
}

/// The probes of all containers of a pod that are not ours.
pub(super) fn rewrite(spec: &PodSpec, faults: &mut Faults) -> Rewritten {
    let standing = standing(spec);
    let mut rewritten = Rewritten::default();
    let lists = [("initContainers", spec.init_containers.as_deref().unwrap_or_default()), ("containers", &spec.containers)];
    for (list, containers) in lists {
        for (index, container) in containers.iter().enumerate().filter(|(_, container)| !container.name.starts_with(RESERVED)) {
            for handler in handlers(spec, container, (list, index)) {
                one(&handler, container, &standing, &mut rewritten, faults);
            }
        }
    }
    if let Err(problem) = rewritten.asked.to_json() {
        faults.when(true, "spec.containers", format!("the sidecar cannot ask all that the kubelet is to ask: {problem}"));
    }
    rewritten
}

/// What the sidecar that stands in the pod already was told by an earlier call. One that only looks like it is refused elsewhere.
fn standing(spec: &PodSpec) -> Probes {
    let proxy = spec.init_containers.iter().flatten().find(|container| container.name == PROXY);
    let variables = proxy.into_iter().flat_map(|proxy| proxy.env.iter().flatten());
    let told = variables.filter(|variable| variable.name == PROBES_VARIABLE).find_map(|variable| variable.value.as_deref());
    told.and_then(|told| Probes::from_json(told).ok()).unwrap_or_default()
}

fn handlers<'a>(spec: &PodSpec, container: &'a Container, place: (&'static str, usize)) -> Vec<Handler<'a>> {
    let name = &container.name;
    let probes = [
        ("startup", &["startupProbe"][..], &container.startup_probe),
        ("readiness", &["readinessProbe"], &container.readiness_probe),
        ("liveness", &["livenessProbe"], &container.liveness_probe),
    ];
    let probes = probes.into_iter().filter_map(|(kind, fields, probe)| {
        let probe = probe.as_ref()?;
        Some(Handler {
            container: place,
            fields,
            path: format!("{PROBE}{name}/{kind}"),
            http: probe.http_get.as_ref(),
            tcp: probe.tcp_socket.as_ref(),
            grpc: probe.grpc.as_ref().map(|grpc| (grpc.port, grpc.service.clone().unwrap_or_default())),
            within: seconds(i64::from(probe.timeout_seconds.unwrap_or(1))),
        })
    });
    let grace = seconds(spec.termination_grace_period_seconds.unwrap_or(GRACE));
    let hooks = container.lifecycle.iter().flat_map(move |lifecycle| {
        [
            ("postStart", &["lifecycle", "postStart"][..], &lifecycle.post_start, POST_START),
            ("preStop", &["lifecycle", "preStop"], &lifecycle.pre_stop, grace),
        ]
    });
    let hooks = hooks.filter_map(|(kind, fields, hook, within)| {
        let hook = hook.as_ref()?;
        let (http, tcp) = (hook.http_get.as_ref(), hook.tcp_socket.as_ref());
        Some(Handler { container: place, fields, path: format!("{HOOK}{name}/{kind}"), http, tcp, grpc: None, within })
    });
    probes.chain(hooks).collect()
}

fn one(handler: &Handler<'_>, container: &Container, standing: &Probes, rewritten: &mut Rewritten, faults: &mut Faults) {
    let (list, index) = handler.container;
    let field = format!("spec.{list}[{index}].{}", handler.fields.join("."));
    let elsewhere = "a probe of another host would be asked from the node; remove the field";
    let is_set = |host: Option<&String>| host.is_some_and(|host| !host.is_empty());
    faults.when(is_set(handler.http.and_then(|http| http.host.as_ref())), format!("{field}.httpGet.host"), elsewhere);
    faults.when(is_set(handler.tcp.and_then(|tcp| tcp.host.as_ref())), format!("{field}.tcpSocket.host"), elsewhere);
    let (kind, probe) = if let Some(http) = handler.http {
        let port = number(container, &http.port);
        if port == Some(PORT) && http.path.as_ref() == Some(&handler.path) {
            // of an earlier call
            let Some(told) = standing.0.get(&handler.path) else {
                let sentence = "it asks the sidecar, which does not know what to ask; say where the application answers";
                return faults.when(true, format!("{field}.httpGet.path"), sentence);
            };
            ("httpGet", Some(Probe { within: handler.within, ..told.clone() }))
        } else if port == Some(PORT) && http.path.as_deref().is_some_and(|path| OF_SIDECAR.contains(&path)) {
            return;
        } else {
            ("httpGet", port.map(|port| Probe { port, within: handler.within, ask: of_http(http) }))
        }
    } else if let Some(tcp) = handler.tcp.filter(|_| !handler.path.starts_with(HOOK)) {
        // the kubelet never makes a connection for a hook
        let port = number(container, &tcp.port);
        ("tcpSocket", port.map(|port| Probe { port, within: handler.within, ask: Ask::Tcp {} }))
    } else {
        let grpc = handler.grpc.as_ref().and_then(|(port, service)| Some((whole(*port)?, service.clone())));
        ("grpc", grpc.map(|(port, service)| Probe { port, within: handler.within, ask: Ask::Grpc { service } }))
    };
    // what has no port fails in the kubelet
    let Some(probe) = probe else { return };
    if ports::is_tcp(probe.port) {
        let sentence = format!("port {} is the sidecar's; say where the application answers", probe.port);
        faults.when(true, format!("{field}.{kind}.port"), sentence);
    } else {
        let instead = json!({"path": handler.path, "port": PORT, "scheme": "HTTP"});
        rewritten.handlers.push((format!("/spec/{list}/{index}/{}", handler.fields.join("/")), instead));
        rewritten.asked.0.insert(handler.path.clone(), probe);
    }
}

fn of_http(http: &HTTPGetAction) -> Ask {
    let headers = http.http_headers.iter().flatten().map(|header| (header.name.clone(), header.value.clone()));
    Ask::Http {
        tls: http.scheme.as_deref() == Some("HTTPS"),
        path: http.path.clone().unwrap_or_else(|| "/".into()),
        headers: headers.collect(),
    }
}

fn number(container: &Container, port: &IntOrString) -> Option<u16> {
    match port {
        IntOrString::Int(number) => whole(*number),
        IntOrString::String(name) => {
            let named = |port: &&k8s_openapi::api::core::v1::ContainerPort| port.name.as_ref() == Some(name);
            // the kubelet takes a number in quotes for one
            let declared = container.ports.iter().flatten().find(named).map(|port| port.container_port);
            whole(declared.or_else(|| name.parse().ok())?)
        }
    }
}

fn whole(number: i32) -> Option<u16> {
    u16::try_from(number).ok().filter(|number| *number != 0)
}

fn seconds(number: i64) -> u32 {
    u32::try_from(number.max(1)).unwrap_or(MOST_SECONDS).min(MOST_SECONDS)
}

#[cfg(test)]
mod tests;
