//! Who may what, as a value: a pure function of the objects. Its form is stable, and docs/cli.md describes it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::rbac::v1::{PolicyRule, RoleRef, Subject};
use kube::ResourceExt as _;
use serde::Serialize;
use shekara_crds::SovereigntyStandard;
use shekara_crds::cover::is_protected;
use shekara_crds::sovereignty_standard::{AccessRules, Listing};

use super::powers::{Power, powers};
use crate::objects::{Objects, Rights};
use crate::text::{Cell, Text, Tone};
use crate::words::list;

/// Who may come at what is held, and at what binds it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Access {
    kind: &'static str,
    subjects: Vec<Holder>,
}

/// Somebody with rights.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Holder {
    /// `User`, `Group` or `ServiceAccount`.
    kind: String,
    /// The name; of a service account with its namespace before it.
    name: String,
    rights: Vec<Right>,
}

/// A right, and from where it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
struct Right {
    power: Power,
    /// Where it counts; null for the whole cluster.
    namespace: Option<String>,
    /// Whether it is for objects of some names alone.
    named: bool,
    /// The binding, as `KIND/NAME`.
    binding: String,
    /// The role, as `KIND/NAME`.
    role: String,
    /// The standards that refuse it all the same (`spec.access`).
    refused_by: BTreeSet<String>,
}

/// A binding of either kind.
struct Bound<'a> {
    namespace: Option<String>,
    binding: String,
    role: &'a RoleRef,
    subjects: &'a [Subject],
}

impl Access {
    pub(super) fn of(objects: &Objects, rights: &Rights, system: bool) -> Self {
        let holding: BTreeSet<String> = objects.holdings.iter().filter_map(|holding| holding.namespace()).collect();
        let mut subjects: BTreeMap<(String, String), BTreeSet<Right>> = BTreeMap::new();
        for bound in bindings(rights) {
            // what is held elsewhere is not held there
            if bound.namespace.as_ref().is_some_and(|namespace| !holding.contains(namespace)) {
                continue;
            }
            for rule in rules(rights, &bound) {
                for (power, named) in powers(rule) {
                    if bound.namespace.is_some() && !power.is_of_namespace() {
                        continue;
                    }
                    for subject in bound.subjects {
                        let who = name(subject);
                        if !system && is_of_system(subject) {
                            continue;
                        }
                        let refused_by = refusals(objects, power, bound.namespace.as_deref(), subject, &holding);
                        let right = Right {
                            power,
                            namespace: bound.namespace.clone(),
                            named,
                            binding: bound.binding.clone(),
                            role: format!("{}/{}", bound.role.kind, bound.role.name),
                            refused_by,
                        };
                        subjects.entry((subject.kind.clone(), who)).or_default().insert(right);
                    }
                }
            }
        }
        let holder = |((kind, name), rights): ((String, String), BTreeSet<Right>)| Holder {
            kind,
            name,
            rights: rights.into_iter().collect(),
        };
        Self { kind: "Access", subjects: subjects.into_iter().map(holder).collect() }
    }

    pub(super) fn text(&self, wide: bool) -> Text {
        let mut text = Text::default();
        if self.subjects.is_empty() {
            text.line("Nobody but the cluster's own parts has rights that lead past the sidecars; --system shows those.");
            return text;
        }
        let head = ["KIND", "NAME", "MAY", "IN", "REFUSED BY", "BINDING", "ROLE"];
        let shown = if wide { head.len() } else { head.len() - 2 };
        let rows = self.subjects.iter().flat_map(|holder| holder.rows(wide, shown)).collect();
        text.table(head.get(..shown).unwrap_or(&head), rows);
        text
    }
}

impl Holder {
    /// A row for each right; without bindings, one for what is the same but for them.
    fn rows(&self, wide: bool, shown: usize) -> Vec<Vec<Cell>> {
        let mut seen = BTreeSet::new();
        let shown_once = |right: &&Right| wide || seen.insert((right.power, right.namespace.clone(), right.named));
        let row = |right: &Right| {
            let may = right.power.sentence();
            let refused = if right.refused_by.is_empty() {
                Cell::new("-", Tone::Doubtful)
            } else {
                Cell::new(list(&right.refused_by), Tone::Good)
            };
            let mut row: Vec<Cell> = vec![
                self.kind.clone().into(),
                self.name.clone().into(),
                if right.named { format!("{may} (some names)") } else { may.to_owned() }.into(),
                right.namespace.clone().unwrap_or_else(|| "the whole cluster".into()).into(),
                refused,
                right.binding.clone().into(),
                right.role.clone().into(),
            ];
            row.truncate(shown);
            row
        };
        self.rights.iter().filter(shown_once).map(row).collect()
    }
}

fn bindings(rights: &Rights) -> Vec<Bound<'_>> {
    let whole = rights.cluster_bindings.iter().map(|binding| Bound {
        namespace: None,
        binding: format!("ClusterRoleBinding/{}", binding.name_any()),
        role: &binding.role_ref,
        subjects: binding.subjects.as_deref().unwrap_or_default(),
    });
    let within = rights.bindings.iter().map(|binding| Bound {
        namespace: binding.namespace(),
        binding: format!("RoleBinding/{}", binding.name_any()),
        role: &binding.role_ref,
        subjects: binding.subjects.as_deref().unwrap_or_default(),
    });
    whole.chain(within).collect()
}

/// The rules of the role that a binding names; none of one that is not there, which gives nothing.
fn rules<'a>(rights: &'a Rights, bound: &Bound<'_>) -> &'a [PolicyRule] {
    let name = Some(&bound.role.name);
    let rules = if bound.role.kind == "ClusterRole" {
        rights.cluster_roles.iter().find(|role| role.metadata.name.as_ref() == name).and_then(|role| role.rules.as_deref())
    } else {
        let is_it = |role: &&k8s_openapi::api::rbac::v1::Role| {
            role.metadata.name.as_ref() == name && role.metadata.namespace == bound.namespace
        };
        rights.roles.iter().find(is_it).and_then(|role| role.rules.as_deref())
    };
    rules.unwrap_or_default()
}

/// The name of a subject.
fn name(subject: &Subject) -> String {
    match &subject.namespace {
        Some(namespace) if subject.kind == "ServiceAccount" => format!("{namespace}/{}", subject.name),
        _ => subject.name.clone(),
    }
}

/// Whether somebody is a part of the cluster itself.
fn is_of_system(subject: &Subject) -> bool {
    let account = subject.kind == "ServiceAccount" && subject.namespace.as_deref() == Some("kube-system");
    // of these everybody is
    let everybody = ["system:authenticated", "system:unauthenticated", "system:serviceaccounts", "system:masters"];
    let reserved = subject.kind != "ServiceAccount" && subject.name.starts_with("system:");
    let accounts = subject.name.starts_with("system:serviceaccounts:") && subject.name != "system:serviceaccounts:kube-system";
    account || (reserved && !accounts && !everybody.contains(&subject.name.as_str()))
}

/// The standards that refuse somebody to enter pods in a namespace; for the whole cluster those that refuse it in every namespace with
/// holdings.
fn refusals(
    objects: &Objects,
    power: Power,
    namespace: Option<&str>,
    subject: &Subject,
    holding: &BTreeSet<String>,
) -> BTreeSet<String> {
    if power != Power::EntersPods {
        return BTreeSet::new();
    }
    let refusing = |namespace: &str| -> BTreeSet<String> {
        let labels = objects.labels_of(namespace).filter(|labels| is_protected(labels));
        let binds = |standard: &&SovereigntyStandard| {
            labels.is_some_and(|labels| standard.spec.applies_to.namespace_selector.matches(labels))
        };
        let refuses = |standard: &&SovereigntyStandard| standard.spec.access.as_ref().is_some_and(|rules| !lists(rules, subject));
        objects.standards.iter().filter(binds).filter(refuses).map(|standard| standard.name_any()).collect()
    };
    match namespace {
        Some(namespace) => refusing(namespace),
        None => {
            let everywhere: Vec<BTreeSet<String>> = holding.iter().map(|namespace| refusing(namespace)).collect();
            let all = !everywhere.is_empty() && everywhere.iter().all(|names| !names.is_empty());
            if all { everywhere.into_iter().flatten().collect() } else { BTreeSet::new() }
        }
    }
}

/// Whether a standard lets somebody enter pods. Of which groups a user is, the cluster does not say: a user is taken for one who is of
/// none that is listed.
fn lists(rules: &AccessRules, subject: &Subject) -> bool {
    let group = |name: &String| subject.kind == "Group" && *name == subject.name;
    let account = |listed: &String| subject.kind == "ServiceAccount" && *listed == name(subject);
    let accounts = subject.namespace.as_ref().map(|namespace| format!("system:serviceaccounts:{namespace}"));
    let of_all =
        |name: &String| subject.kind == "ServiceAccount" && (name == "system:serviceaccounts" || Some(name) == accounts.as_ref());
    let everybody = |name: &String| name == "system:authenticated";
    rules.mode == Listing::Open
        || rules.groups.iter().any(|name| group(name) || of_all(name) || everybody(name))
        || rules.service_accounts.iter().any(account)
}
