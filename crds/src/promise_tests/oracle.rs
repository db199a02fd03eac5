//! What standards and recipients permit, said from their raw specs as plainly as can be.

use std::collections::BTreeSet;
use std::net::IpAddr;

use shekara_policy::document::EndpointProtocol;
use shekara_policy::flow::TlsVersion;
use shekara_policy::verdict::Budget;
use shekara_policy::{Flow, Protocol};

use super::worlds::{World, country_of, size};
use crate::DataHolding;
use crate::data_holding::Transfer;
use crate::recipient::{Endpoint, Permit, Recipient, Role, Tenancy};
use crate::sovereignty_standard::{
    EmptyTransfer, EncryptedClientHello, MinTls, SharedTenancy, SovereigntyStandard, TransferRule,
};

/// Whether some transfer of the holding is permitted for the flow, and no more than what bounds it was granted.
pub(super) fn permits(world: &World, holding: &DataHolding, flow: &Flow, granted: &[Budget]) -> bool {
    permits_pods_of(world, holding, &BTreeSet::new(), flow, granted)
}

/// The same for pods that may also have data of these categories: whatever standard binds one of them applies.
pub(super) fn permits_pods_of(
    world: &World,
    holding: &DataHolding,
    ever: &BTreeSet<String>,
    flow: &Flow,
    granted: &[Budget],
) -> bool {
    let held: Vec<&str> = holding.spec.data.iter().map(|held| held.category.as_str()).collect();
    let may_have: Vec<&str> = held.iter().copied().chain(ever.iter().map(String::as_str)).collect();
    let applying: Vec<&SovereigntyStandard> = world.standards.iter().filter(|standard| applies(standard, &may_have)).collect();
    let seen =
        !flow.ech || applying.iter().all(|standard| standard.spec.encrypted_client_hello == EncryptedClientHello::OuterName);
    seen && !applying.is_empty()
        && holding.spec.transfers.iter().any(|transfer| open(world, transfer, &held, &applying, flow, granted))
}

/// Namespaces of the test are labelled tier=a.
fn applies(standard: &SovereigntyStandard, held: &[&str]) -> bool {
    let scope = &standard.spec.applies_to;
    let selected = scope.namespace_selector.match_labels.iter().all(|(key, value)| key == "tier" && value == "a");
    selected && held.iter().any(|category| among(&scope.data, category))
}

fn among(patterns: &[String], category: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(family) => category.starts_with(family),
        None => pattern == category,
    })
}

fn open(
    world: &World,
    transfer: &Transfer,
    held: &[&str],
    applying: &[&SovereigntyStandard],
    flow: &Flow,
    granted: &[Budget],
) -> bool {
    let Some(recipient) = world.recipients.get(&transfer.recipient) else { return false };
    let address = flow.address.unwrap().ip();
    let listing: Vec<&Endpoint> = recipient.spec.endpoints.iter().filter(|endpoint| lists(endpoint, flow, address)).collect();
    let shared = listing.iter().any(|endpoint| endpoint.tenancy == Tenancy::Shared);
    let Some(country) = country(applying, address, shared) else { return false };
    if listing.is_empty() || transfer.data.iter().any(|category| !held.contains(&category.as_str())) {
        return false;
    }
    let mut bound = transfer.max_out_per_day.as_deref().map(size);
    let data_may_go = transfer.data.iter().all(|category| {
        applying.iter().any(|standard| among(&standard.spec.applies_to.data, category))
            && applying.iter().all(|standard| standard_lets(standard, category, recipient, &country, flow))
            && (recipient.spec.role == Role::Own
                || recipient.spec.permits.iter().any(|permit| permits_category(world, permit, category, transfer, applying)))
    });
    let claim_is_taken = !transfer.data.is_empty()
        || applying.iter().all(|standard| {
            let spec = &standard.spec;
            let home = spec.home_countries.contains(&country) && spec.home_countries.contains(&recipient.spec.country);
            let says = if home { spec.empty_transfers.home } else { spec.empty_transfers.abroad };
            if says == EmptyTransfer::Bounded {
                let limit = spec.max_empty_out_per_day.as_deref().map(size).unwrap_or(0);
                bound = Some(bound.map_or(limit, |bound| bound.min(limit)));
            }
            says != EmptyTransfer::Denied && (home || transfer.approval.is_some())
        });
    let granted = granted.iter().map(|budget| budget.max_out_per_day).min();
    let bounded = bound.is_none_or(|bound| granted.is_some_and(|granted| granted <= bound));
    data_may_go && claim_is_taken && bounded
}

fn lists(endpoint: &Endpoint, flow: &Flow, address: IpAddr) -> bool {
    let speaks = match endpoint.protocol {
        EndpointProtocol::Tls => Protocol::Tls,
        EndpointProtocol::Http => Protocol::Http,
        EndpointProtocol::Tcp | EndpointProtocol::TcpServerFirst => Protocol::Tcp,
        EndpointProtocol::Udp => Protocol::Udp,
    };
    let private = address.to_string().starts_with("10.");
    let there = match (&endpoint.host, &endpoint.network) {
        (Some(host), None) => !private && flow.name.as_ref().is_some_and(|name| name.as_str() == host),
        (None, Some(network)) => network.parse::<ipnet::IpNet>().unwrap().contains(&address),
        _ => false,
    };
    there && speaks == flow.protocol && endpoint.ports.contains(&i32::from(flow.port))
}

/// The country, where everybody who says one says the same.
fn country(applying: &[&SovereigntyStandard], address: IpAddr, shared: bool) -> Option<String> {
    let mut declared: Vec<&str> = Vec::new();
    for standard in applying {
        let mut networks: Vec<(u8, &str)> = Vec::new();
        for network in &standard.spec.networks {
            let cidr: ipnet::IpNet = network.cidr.parse().unwrap();
            if cidr.contains(&address) {
                networks.push((cidr.prefix_len(), &network.country));
            }
        }
        networks.sort_by_key(|(length, _)| *length);
        // of two networks of one length the later one counts, by whichever order the standard lists them
        declared.extend(networks.last().map(|(_, country)| *country));
    }
    if let Some(first) = declared.first() {
        return declared.iter().all(|country| country == first).then(|| (*first).to_owned());
    }
    if shared && !applying.iter().all(|standard| standard.spec.shared_tenancy == SharedTenancy::Located) {
        return None;
    }
    country_of(address).map(str::to_owned)
}

fn rules<'a>(standard: &'a SovereigntyStandard, category: &'a str) -> impl Iterator<Item = &'a TransferRule> {
    standard.spec.transfers.iter().filter(move |rule| among(&rule.data, category))
}

fn standard_lets(standard: &SovereigntyStandard, category: &str, recipient: &Recipient, country: &String, flow: &Flow) -> bool {
    let binds = among(&standard.spec.applies_to.data, category);
    let tls = |rule: &TransferRule| match rule.min_tls {
        None => true,
        Some(MinTls::V12) => flow.protocol == Protocol::Tls && flow.tls.is_some(),
        Some(MinTls::V13) => flow.protocol == Protocol::Tls && flow.tls == Some(TlsVersion::V13),
    };
    (!binds || rules(standard, category).next().is_some())
        && rules(standard, category)
            .all(|rule| rule.countries.contains(country) && rule.countries.contains(&recipient.spec.country) && tls(rule))
}

fn permits_category(
    world: &World,
    permit: &Permit,
    category: &String,
    transfer: &Transfer,
    applying: &[&SovereigntyStandard],
) -> bool {
    let holder = permit.holders.is_empty() || permit.holders.iter().any(|holder| ["*", "n/*", "n/h"].contains(&holder.as_str()));
    // instants of the test are written alike, so that their texts are in the order of time
    let begun = permit.valid_from.as_ref().is_none_or(|from| from.as_str() <= world.now);
    let ended = permit.valid_until.as_ref().is_some_and(|until| until.as_str() <= world.now);
    let words = |text: &str| text.to_lowercase().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let purpose = permit.purposes.is_empty()
        || transfer.purpose.as_ref().is_some_and(|purpose| permit.purposes.iter().any(|one| words(one) == words(purpose)));
    let ground = applying.iter().all(|standard| rules(standard, category).all(|rule| rule.grounds.contains(&permit.ground)));
    permit.data.contains(category) && holder && begun && !ended && purpose && ground
}
