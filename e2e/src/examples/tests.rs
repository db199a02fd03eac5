use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt as _;
use serde::de::DeserializeOwned;
use shekara_crds::{DataHolding, PROTECT_LABEL, Recipient, SovereigntyStandard, Surroundings, compile};
use shekara_policy::decide::{Judge, decide};
use shekara_policy::document::Cluster;
use shekara_policy::flow::{Flow, Protocol, TlsVersion};
use shekara_policy::geo::CountrySource;
use shekara_policy::{Address, Country, PolicyDocument, Reason};

use super::*;
use crate::world::Hosts;
use crate::world::hosts::cast::{ADS, BROKER, CLINIC, DATABASE, MAPS, VENDOR};

const NOW: &str = "2026-11-24T00:00:00Z";

fn all<K: DeserializeOwned>(wanted: &str) -> Vec<K> {
    let objects = read().unwrap();
    let found = objects.into_iter().filter(|object| kind(object) == wanted);
    found.map(|object| serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{error}: {object}"))).collect()
}

fn world() -> Hosts {
    Hosts::parse(include_str!("../../world/hosts.yaml")).unwrap()
}

/// The document of a holding, which has no problem.
fn document(name: &str) -> PolicyDocument {
    let holding = all::<DataHolding>("DataHolding").into_iter().find(|holding| holding.name_any() == name).unwrap();
    let namespaces = all::<Namespace>("Namespace");
    let labels = namespaces.iter().find(|namespace| Some(namespace.name_any()) == holding.namespace()).unwrap().labels();
    let recipients: BTreeMap<String, Recipient> =
        all::<Recipient>("Recipient").into_iter().map(|recipient| (recipient.name_any(), recipient)).collect();
    let cluster =
        Cluster { networks: vec!["10.96.0.0/16".parse().unwrap()], domain: "cluster.local".parse().unwrap(), resolvers: vec![] };
    let standards = all::<SovereigntyStandard>("SovereigntyStandard");
    let compiled = compile(
        &holding,
        Surroundings {
            standards: &standards,
            recipients: &recipients,
            namespace_labels: labels,
            services: &[],
            cluster: &cluster,
            now: NOW.parse().unwrap(),
        },
    );
    assert_eq!(compiled.problems, [], "{name}");
    assert_eq!(compiled.standards, ["no-transfer-abroad"], "{name}");
    compiled.document
}

/// Why a flow to a host of the world is denied, by its first address: by the standard's networks alone, without a geo table.
fn reason(document: &PolicyDocument, host: &str, protocol: Protocol, port: u16) -> Option<Reason> {
    struct Nobody;
    impl CountrySource for Nobody {
        fn countries(&self, _: IpAddr) -> Vec<Country> {
            vec![]
        }
    }
    let address = world().get(host).unwrap().any_v4().unwrap();
    let flow = Flow {
        protocol,
        name: Some(host.parse().unwrap()),
        address: Some(Address::new(address)),
        port,
        tls: (protocol == Protocol::Tls).then_some(TlsVersion::V13),
        ech: false,
        via: None,
    };
    let documents = [document.clone()];
    decide(Judge { documents: &documents, geo: &Nobody, peers: &shekara_policy::peer::NoPeers, now: NOW.parse().unwrap() }, &flow)
        .reason()
}

#[test]
fn face_recognition_reaches_the_clinic_and_nobody_else() {
    let cameras = document("street-cameras");
    assert_eq!(reason(&cameras, CLINIC, Protocol::Tls, 443), None);
    assert_eq!(reason(&cameras, CLINIC, Protocol::Http, 80), Some(Reason::UnlistedParty));
    for host in [ADS, MAPS] {
        assert_eq!(reason(&cameras, host, Protocol::Tls, 443), Some(Reason::UnlistedParty), "{host}");
    }
}

#[test]
fn telematics_reach_what_is_at_home_and_not_the_vendor() {
    let telematics = document("fleet-telematics");
    assert_eq!(reason(&telematics, BROKER, Protocol::Tls, 8883), None);
    assert_eq!(reason(&telematics, BROKER, Protocol::Tcp, 1883), None);
    assert_eq!(reason(&telematics, DATABASE, Protocol::Tcp, 5432), None);
    assert_eq!(reason(&telematics, VENDOR, Protocol::Tls, 8883), Some(Reason::CrossBorder));
    assert_eq!(reason(&telematics, VENDOR, Protocol::Tcp, 1883), Some(Reason::CrossBorder));
    assert_eq!(reason(&telematics, CLINIC, Protocol::Tls, 443), Some(Reason::UnlistedParty));
}

#[test]
fn the_api_server_accepts_every_declaration() {
    assert!(all::<DataHolding>("DataHolding").iter().all(|holding| holding.validate_cel().is_ok()));
    assert!(all::<Recipient>("Recipient").iter().all(|recipient| recipient.validate_cel().is_ok()));
    assert!(all::<SovereigntyStandard>("SovereigntyStandard").iter().all(|standard| standard.validate_cel().is_ok()));
    let known = ["Namespace", "SovereigntyStandard", "Recipient", "DataHolding", "Deployment"];
    assert!(read().unwrap().iter().all(|object| known.contains(&kind(object))));
}

#[test]
fn the_standard_and_the_world_agree_where_addresses_are() {
    let standards = all::<SovereigntyStandard>("SovereigntyStandard");
    let [standard] = standards.as_slice() else { panic!("one standard is expected") };
    for placed in world().places() {
        let networks = standard.spec.networks.iter();
        let found: Vec<&str> = networks
            .filter(|network| network.cidr.parse::<ipnet::IpNet>().unwrap().contains(&placed.address))
            .map(|network| network.country.as_str())
            .collect();
        assert_eq!(found, [placed.country.as_str()], "{}", placed.address);
    }
}

#[test]
fn each_holding_claims_its_workload_and_no_other() {
    let holdings = all::<DataHolding>("DataHolding");
    let mut claims = Vec::new();
    for deployment in all::<Deployment>("Deployment") {
        let namespaces = all::<Namespace>("Namespace");
        let namespace = namespaces.iter().find(|namespace| Some(namespace.name_any()) == deployment.namespace()).unwrap();
        assert_eq!(namespace.labels().get(PROTECT_LABEL).map(String::as_str), Some("true"));
        let template = deployment.spec.clone().unwrap().template.metadata.unwrap();
        let (labels, annotations) = (template.labels.unwrap_or_default(), template.annotations.unwrap_or_default());
        let near = holdings.iter().filter(|holding| holding.namespace() == deployment.namespace());
        claims.extend(
            near.filter(|holding| holding.claims(&labels, &annotations))
                .map(|holding| (deployment.name_any(), holding.name_any())),
        );
    }
    let expected = [("recognizer", "street-cameras"), ("gateway", "fleet-telematics")];
    assert_eq!(claims, expected.map(|(workload, holding)| (workload.to_owned(), holding.to_owned())));
}

#[test]
fn the_placeholder_is_replaced_everywhere() {
    for mut object in read().unwrap().into_iter().filter(|object| kind(object) == "Deployment") {
        assert!(object.to_string().contains(PLACEHOLDER));
        set_image(&mut object, "clients:1");
        assert!(!object.to_string().contains(PLACEHOLDER) && object.to_string().contains("clients:1"));
    }
}
