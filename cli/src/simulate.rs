//! `kubectl shekara simulate`: would this flow leave, and by which rule? Nothing is sent.

mod country;
mod destination;
mod inside;
mod judge;
mod peers;
mod text;
mod view;

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use ipnet::IpNet;
use kube::ResourceExt as _;
use shekara_crds::{DataHolding, Key};
use shekara_policy::decide::{Question, decide_question};
use shekara_policy::flow::TlsVersion;
use shekara_policy::{Country, HostName, Judge, PolicyDocument, Protocol};

use crate::arguments::{Common, Target};
use crate::cover::Covered;
use crate::objects::{Asked, Need, Needs, Network, Objects, Request, network, read};
use crate::output;
use crate::place::{Bound, Place, documents};
use country::Source;
use destination::{Host, HostPort};
use judge::{Destination, Judged, judge_surely};
use peers::Peers;
use view::Simulation;

/// What is denied.
const DENIED: u8 = 1;

/// Which flow to judge. The exit code is 0 where it may leave, 1 where it may not, 2 where that cannot be said.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Whose flow: pod/NAME, or holding/NAME for any pod of a holding
    target: Target,
    /// Where it goes: HOST:PORT, where HOST is a name or an address
    destination: HostPort,
    /// What the client speaks; HTTP on port 80 and TLS elsewhere when absent
    #[arg(long, value_enum, ignore_case = true)]
    protocol: Option<Spoken>,
    /// The highest version of TLS that the client offers
    #[arg(long, value_enum, default_value = "1.3")]
    tls: Offered,
    /// An address that the name has; may be repeated
    #[arg(long, value_name = "IP", conflicts_with = "resolve")]
    address: Vec<IpAddr>,
    /// Resolve the name with the resolver of this machine
    #[arg(long)]
    resolve: bool,
    /// A geo table, as `kubectl shekara geo build` makes them, for addresses that no standard places
    #[arg(long, value_name = "FILE")]
    geo: Option<PathBuf>,
    /// Assume that addresses that no standard places are in this country
    #[arg(long, value_name = "COUNTRY", conflicts_with = "geo")]
    country: Option<Country>,
    /// A network of pods, Services or nodes, in place of what the operator was told; may be repeated
    #[arg(long = "cluster-network", value_name = "CIDR")]
    cluster_networks: Vec<IpNet>,
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
enum Spoken {
    Tls,
    Http,
    Tcp,
    Udp,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Offered {
    #[value(name = "1.1")]
    V11,
    #[value(name = "1.2")]
    V12,
    #[value(name = "1.3")]
    V13,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let common = &arguments.common;
    let objects = read(common, &request(arguments))?;
    output::notes(&objects.notes);
    let place = Place::new(&objects, &arguments.cluster_networks, common.now())?;
    let simulation = match &arguments.target {
        Target::Pod(name) => of_pod(arguments, &objects, &place, name)?,
        Target::Holding(name) => of_holding(arguments, &objects, &place, objects.holding(name, common)?)?,
    };
    output::write(common.output, &simulation, |wide| simulation.text(wide))?;
    if let Some(question) = simulation.open_question() {
        bail!("{question}");
    }
    Ok(if simulation.is_allowed() { ExitCode::SUCCESS } else { ExitCode::from(DENIED) })
}

fn request(arguments: &Arguments) -> Request {
    let needs = Needs { namespaces: true, rules: Need::Needed, surroundings: true, network: true, ..Needs::default() };
    let service = arguments.destination.service();
    match &arguments.target {
        Target::Pod(name) => {
            Request { needs: Needs { pods: Need::Needed, ..needs }, pod: Some(name.clone()), service, ..Request::default() }
        }
        Target::Holding(_) => Request { needs, service, ..Request::default() },
    }
}

fn of_pod(arguments: &Arguments, objects: &Objects, place: &Place<'_>, name: &str) -> Result<Simulation> {
    let covered = Covered::of(objects.pod(name, &arguments.common)?, objects, place)?;
    if covered.names.is_empty() && !covered.sidecar.is_there() {
        return Ok(Simulation::unjudged(&arguments.target, &covered.namespace, &arguments.destination));
    }
    let documents = documents(&covered.names, &covered.bound);
    let mut simulation = simulate(arguments, objects, place, &covered.namespace, &documents, &covered.bound)?;
    simulation.whose(&arguments.target, &covered.namespace);
    if !covered.sidecar.is_there() {
        simulation.warn("the pod has no sidecar, so nothing holds it to this verdict; `kubectl shekara explain` says why");
    }
    if let Some(missing) = covered.missing().first() {
        simulation.warn(format!("the pod is in the holding {missing}, which does not exist, so nothing leaves"));
    }
    Ok(simulation)
}

fn of_holding<'a>(arguments: &Arguments, objects: &Objects, place: &Place<'a>, holding: &'a DataHolding) -> Result<Simulation> {
    let bound = [place.compile(holding)?];
    let documents: Vec<PolicyDocument> = bound.iter().map(|bound| bound.compiled.document.clone()).collect();
    let namespace = holding.namespace().unwrap_or_default();
    let mut simulation = simulate(arguments, objects, place, &namespace, &documents, &bound)?;
    simulation.whose(&arguments.target, &namespace);
    Ok(simulation)
}

fn simulate(
    arguments: &Arguments,
    objects: &Objects,
    place: &Place<'_>,
    namespace: &str,
    documents: &[PolicyDocument],
    bound: &[Bound<'_>],
) -> Result<Simulation> {
    let source = Source::new(arguments.geo.as_deref(), arguments.country)?;
    let (name, addresses) = match &arguments.destination.host {
        Host::Address(address) => (None, vec![*address]),
        Host::Name(name) => (Some(name.clone()), addresses(arguments, place, name)?),
    };
    let read = read_network(arguments, place, documents, &addresses)?;
    let network = read.as_ref().unwrap_or(&objects.network);
    let addresses = match headless(arguments, &addresses) {
        Some(service) => network.index.resolved(&service).unwrap_or_default(),
        None => addresses,
    };
    let peers = Peers::new(network, place.networks());
    let is_of_cluster = |name: &HostName| decide_question(documents, name, arguments.common.now()) == Question::InCluster;
    let outside = !documents.is_empty() && !name.as_ref().is_some_and(is_of_cluster);
    let stand_in = addresses.is_empty() && arguments.country.is_some() && outside;
    let addresses = if stand_in { vec![country::anywhere(documents)?] } else { addresses };
    let port = arguments.destination.port;
    let protocol = match arguments.protocol {
        Some(Spoken::Tls) => Protocol::Tls,
        Some(Spoken::Http) => Protocol::Http,
        Some(Spoken::Tcp) => Protocol::Tcp,
        Some(Spoken::Udp) => Protocol::Udp,
        None if port == 80 => Protocol::Http,
        None => Protocol::Tls,
    };
    let tls = match arguments.tls {
        Offered::V11 => None,
        Offered::V12 => Some(TlsVersion::V12),
        Offered::V13 => Some(TlsVersion::V13),
    };
    let to = Destination { name, addresses, port, protocol, tls: tls.filter(|_| protocol == Protocol::Tls) };
    let strictly = Judge { documents, geo: &source, peers: &peers, now: arguments.common.now() };
    let standards = documents.iter().flat_map(|document| &document.standards).map(|binding| binding.standard.clone()).collect();
    let judged = judge_surely(strictly, Judge { peers: &peers.kindly(&standards), ..strictly }, &to);
    let mut simulation = Simulation::of(&to, &judged, stand_in, bound, place, &peers, |address| source.says(documents, address));
    if !documents.is_empty() && !stand_in {
        doubts(&judged, &to, &peers, network).into_iter().for_each(|doubt| simulation.warn(doubt));
    }
    place.doubts(namespace).into_iter().for_each(|doubt| simulation.warn(doubt));
    if let Some(until) = PolicyDocument::observed_until(documents).filter(|until| arguments.common.now() < *until) {
        simulation.warn(format!("until {until} a pod that was admitted to observe records a denial and lets the flow pass"));
    }
    if place.misses_standards(namespace) {
        simulation.unsettle();
    }
    Ok(simulation)
}

/// Reads from a cluster who is where; none where files say it, or where no address is judged.
fn read_network(
    arguments: &Arguments,
    place: &Place<'_>,
    documents: &[PolicyDocument],
    addresses: &[IpAddr],
) -> Result<Option<Network>> {
    let service = headless(arguments, addresses);
    if arguments.common.is_offline() || documents.is_empty() || addresses.is_empty() && service.is_none() {
        return Ok(None);
    }
    let asked = Asked { service, addresses, port: arguments.destination.port, networks: place.networks() };
    network(&arguments.common, &asked).map(Some)
}

/// The Service that the destination names, where that has no address that is known: it may be one of its endpoints.
fn headless(arguments: &Arguments, addresses: &[IpAddr]) -> Option<Key> {
    let (namespace, name) = arguments.destination.service().filter(|_| addresses.is_empty())?;
    Some(Key::new(namespace, name))
}

/// What the verdict rests on and is not known: of who is there where it is inside the cluster, and whether it is where it seems not to
/// be.
fn doubts(judged: &Judged, to: &Destination, peers: &Peers<'_>, network: &Network) -> Vec<String> {
    if judged.addresses.is_empty() && judged.question == Some(Question::InCluster) {
        return network.all_unread().map(|why| format!("the addresses of the name are not known: {why}")).collect();
    }
    let mut doubts = Vec::new();
    for tried in &judged.addresses {
        let address = tried.address.ip();
        let more: Vec<String> = if tried.open {
            peers.doubts(SocketAddr::new(address, to.port))
        } else if peers.is_inside(address) {
            vec![]
        } else {
            network
                .taken_unread()
                .map(|why| format!("whether a Service or node of the cluster has the address is not known: {why}"))
                .collect()
        };
        for doubt in more {
            if !doubts.contains(&doubt) {
                doubts.push(doubt);
            }
        }
    }
    doubts
}

/// The addresses of a name: those given, those that the machine's resolver finds where it is told to ask, or those of a Service.
fn addresses(arguments: &Arguments, place: &Place<'_>, name: &HostName) -> Result<Vec<IpAddr>> {
    if let Some((namespace, service)) = arguments.destination.service() {
        let found = place.service(&namespace, &service);
        return Ok(found.filter(|_| arguments.address.is_empty()).unwrap_or_else(|| arguments.address.clone()));
    }
    if !arguments.resolve {
        return Ok(arguments.address.clone());
    }
    resolve(name, arguments.common.request_timeout)
}

/// The addresses that the resolver of this machine has for a name, each once.
fn resolve(name: &HostName, timeout: Duration) -> Result<Vec<IpAddr>> {
    let (sender, receiver) = mpsc::channel();
    let asked = name.clone();
    // the resolver cannot be told to stop, so a thread waits for it, which ends with the program
    std::thread::spawn(move || sender.send((asked.as_str(), 0).to_socket_addrs()).ok());
    let found =
        receiver.recv_timeout(timeout).with_context(|| format!("the resolver of this machine does not answer for {name}"))?;
    let found = found.with_context(|| format!("the resolver of this machine has no address for {name}: --address gives one"))?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in found.map(|address| address.ip()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}
