//! Who may connect to the workloads: what the standards list, and the clients that the holding declares.

use std::collections::BTreeSet;

use shekara_policy::document::{Client, Inbound, InboundTerms, PlatformSource};
use shekara_policy::{Category, Reason};

use super::problem::{ProblemCode, Problems, categories};
use super::route::network;
use super::standard::{Standard, known};
use crate::data_holding::Client as Declared;
use crate::sovereignty_standard::{InboundRules, Listing};

/// What opens the workloads to clients; none where no standard asks that they be listed.
pub(super) fn compile(
    declared: &[Declared],
    held: &BTreeSet<Category>,
    standards: &[Standard],
    problems: &mut Problems,
) -> Option<Inbound> {
    let clients = declared.iter().enumerate();
    let clients = clients.map(|(index, declared)| client(declared, &format!("spec.clients[{index}]"), held, standards, problems));
    let clients: Vec<Client> = clients.collect::<Vec<_>>().into_iter().flatten().collect();
    let terms = |standard: &Standard| {
        let from = standard.inbound.clone()?;
        Some(InboundTerms { standard: standard.name.clone(), from })
    };
    let terms: Vec<InboundTerms> = standards.iter().filter_map(terms).collect();
    (!terms.is_empty()).then_some(Inbound { standards: terms, clients })
}

/// The sources that a standard lists; none where it asks for no lists. One that cannot be read is left out, which only ever closes
/// something.
pub(super) fn sources(rules: Option<&InboundRules>, prefix: &str, problems: &mut Problems) -> Option<Vec<PlatformSource>> {
    let rules = rules.filter(|rules| rules.mode == Listing::Listed)?;
    let mut sources = Vec::new();
    for (index, source) in rules.from.iter().enumerate() {
        let field = format!("{prefix}spec.inbound.from[{index}]");
        let networks = source.networks.iter().enumerate();
        let networks =
            networks.filter_map(|(at, text)| problems.check(&format!("{field}.networks[{at}]"), network(text))).collect();
        let Some(ports) = ports(&source.ports, &field, problems) else { continue };
        sources.push(PlatformSource { name: source.name.clone(), pods: source.pods.is_some(), networks, ports });
    }
    Some(sources)
}

/// A client. One that may not connect stays in the document, barred, so that its denials say why; one without a network is none.
fn client(
    declared: &Declared,
    field: &str,
    held: &BTreeSet<Category>,
    standards: &[Standard],
    problems: &mut Problems,
) -> Option<Client> {
    let before = problems.len();
    let data = categories(&declared.data, &format!("{field}.data"), problems);
    if data.is_empty() {
        problems.add(
            &format!("{field}.data"),
            ProblemCode::InvalidField,
            "it names no category, and who connects reads something",
        );
    }
    if let Some(category) = data.difference(held).next() {
        let message = format!("the holding does not hold {category}: spec.data does not name it");
        problems.add(&format!("{field}.data"), ProblemCode::DataNotHeld, message);
    }
    let country = declared.country.as_deref();
    let country = country.and_then(|code| problems.check(&format!("{field}.country"), known(code)));
    let ports = ports(&declared.ports, field, problems).unwrap_or_default();
    let network = problems.check(&format!("{field}.network"), network(&declared.network))?;
    let unreadable = problems.len() > before || standards.iter().any(|standard| standard.broken);
    let constraints: Vec<_> = standards.iter().flat_map(|standard| standard.constraints(&data)).collect();
    let unbound = data.iter().find(|category| !standards.iter().any(|standard| standard.binds(**category)));
    let abroad = country.and_then(|country| constraints.iter().find(|constraint| !constraint.countries.contains(&country)));
    let barred = if unreadable {
        Some(Reason::RouteInvalid)
    } else if let Some(category) = unbound {
        if !standards.is_empty() {
            let message = format!("no standard binds {category}, so nothing says from where it may be read");
            problems.add(field, ProblemCode::NoStandard, message);
        }
        Some(Reason::NoStandard)
    } else if let Some(constraint) = abroad {
        let message = format!("the standard {} does not allow this data to be read from that country", constraint.standard);
        problems.add(&format!("{field}.country"), ProblemCode::CrossBorder, message);
        Some(Reason::InboundCrossBorder)
    } else {
        None
    };
    Some(Client { network, country, ports, data, constraints, barred })
}

fn ports(numbers: &[i32], field: &str, problems: &mut Problems) -> Option<BTreeSet<u16>> {
    let number = |(index, number): (usize, &i32)| {
        let port = u16::try_from(*number).ok().filter(|port| *port != 0);
        problems.check(&format!("{field}.ports[{index}]"), port.ok_or("it is no port, 1 to 65535"))
    };
    // fewer ports than are meant would be none at all, which is every port
    numbers.iter().enumerate().map(number).collect::<Vec<_>>().into_iter().collect()
}
