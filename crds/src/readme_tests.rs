//! What README.md and the guides let people copy: every manifest is sound, and the declarations open the routes that they are to open.

mod manifest;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, Role};
use kube::ResourceExt as _;
use serde_json::Value;
use shekara_policy::document::Cluster;

use crate::compile::{ListedService, recipient_problems, standard_problems};
use crate::{DataHolding, Recipient, SovereigntyStandard, Surroundings, compile};
use manifest::{manifests, object, out_of_bounds, unknown_values};

const README: &str = include_str!("../../README.md");
/// They tell one story: what one of them declares, another one uses.
const GUIDES: [&str; 3] = [
    include_str!("../../docs/guides/data-owners.md"),
    include_str!("../../docs/guides/registrars.md"),
    include_str!("../../docs/guides/platform-teams.md"),
];
const VALUES: &str = include_str!("../../charts/shekara/values.yaml");

/// What a reader has who applied every manifest.
#[derive(Default)]
struct Declared {
    standards: Vec<SovereigntyStandard>,
    recipients: BTreeMap<String, Recipient>,
    holdings: Vec<DataHolding>,
}

impl Declared {
    /// Reads each manifest as what it is; one that is nothing known is a fault.
    fn read(documents: &[&str]) -> Self {
        let mut declared = Self::default();
        for said in documents.iter().flat_map(|document| manifests(document)) {
            match said["kind"].as_str() {
                Some("SovereigntyStandard") => declared.standards.push(sound(&said)),
                Some("Recipient") => {
                    let recipient: Recipient = sound(&said);
                    declared.recipients.insert(recipient.name_any(), recipient);
                }
                Some("DataHolding") => declared.holdings.push(sound(&said)),
                Some("Namespace") => drop(object::<Namespace>(&said)),
                Some("ClusterRoleBinding") => drop(object::<ClusterRoleBinding>(&said)),
                Some("Role") => drop(object::<Role>(&said)),
                Some(other) => panic!("nobody here knows a {other}"),
                None => assert_eq!(unknown_values("", &said, &chart()), Vec::<String>::new(), "{said}"),
            }
        }
        declared
    }

    /// Nothing is wrong with any declaration, and every route is open as far as the declarations say.
    fn opens_every_route(&self) {
        let cluster = Cluster { networks: vec![], domain: "cluster.local".parse().unwrap(), resolvers: vec![] };
        for standard in &self.standards {
            assert_eq!(standard_problems(standard), [], "{}", standard.name_any());
        }
        for recipient in self.recipients.values() {
            assert_eq!(recipient_problems(recipient), [], "{}", recipient.name_any());
        }
        for holding in &self.holdings {
            let listed = holding.spec.in_cluster.iter();
            let service = listed.map(|listed| ListedService {
                namespace: listed.namespace.clone(),
                name: listed.service.clone(),
                external_name: false,
            });
            let surroundings = Surroundings {
                standards: &self.standards,
                recipients: &self.recipients,
                namespace_labels: &BTreeMap::new(),
                services: &service.collect::<Vec<_>>(),
                cluster: &cluster,
                now: "2027-01-01T00:00:00Z".parse().unwrap(),
            };
            let compiled = compile(holding, surroundings);
            assert_eq!(compiled.problems, [], "{}", holding.name_any());
            assert!(!compiled.document.routes.is_empty() && compiled.document.routes.iter().all(|route| route.barred.is_none()));
        }
    }
}

/// The values of the chart.
fn chart() -> Value {
    serde_saphyr::from_str(VALUES).unwrap()
}

/// An object of ours that the API server takes.
fn sound<K: Ours>(said: &Value) -> K {
    let object: K = object(said);
    assert_eq!(said["apiVersion"], "shekara.dev/v1alpha1");
    assert_eq!(out_of_bounds(said), Vec::<String>::new(), "{said}");
    object.breaks_no_rule();
    object
}

trait Ours: serde::de::DeserializeOwned + serde::Serialize {
    fn breaks_no_rule(&self);
}

macro_rules! ours {
    ($($kind:ident),*) => { $(impl Ours for $kind { fn breaks_no_rule(&self) { self.validate_cel().unwrap(); } })* };
}

ours!(SovereigntyStandard, Recipient, DataHolding);

#[test]
fn the_first_holding_is_sound_and_opens_its_route() {
    let declared = Declared::read(&[README]);
    assert_eq!((declared.standards.len(), declared.recipients.len(), declared.holdings.len()), (1, 1, 1));
    declared.opens_every_route();
}

#[test]
fn the_manifests_of_the_guides_are_sound_and_open_their_routes() {
    let declared = Declared::read(&GUIDES);
    assert_eq!((declared.standards.len(), declared.recipients.len(), declared.holdings.len()), (1, 3, 1));
    declared.opens_every_route();
}

#[test]
fn what_is_out_of_bounds_or_no_value_of_the_chart_is_found() {
    let recipient = serde_json::json!({"kind": "Recipient", "spec": {"legalName": "", "endpoints": [{"ports": [70_000]}]}});
    let found: BTreeSet<String> = out_of_bounds(&recipient).into_iter().collect();
    assert_eq!(found, [".spec.endpoints[].ports[]", ".spec.legalName"].map(str::to_owned).into());
    let given = serde_json::json!({"operator": {"replica": 2, "affinity": {"any": {}}}, "images": "a"});
    let found: BTreeSet<String> = unknown_values("", &given, &chart()).into_iter().collect();
    assert_eq!(found, [".images", ".operator.replica"].map(str::to_owned).into());
}
