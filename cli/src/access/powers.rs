//! What a rule of RBAC lets its subjects do that matters here: a pure function of the rule, by the rules of the API server's authorizer.

use k8s_openapi::api::rbac::v1::PolicyRule;
use serde::Serialize;

/// A way to what is held, or to what binds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum Power {
    /// Runs programs in pods, attaches or forwards ports to them, or has the API server as a proxy to them.
    EntersPods,
    /// Reaches kubelets, which run programs in any pod of their node, past the API server's policies.
    ReachesKubelets,
    /// Reads what applications write to their logs.
    ReadsLogs,
    /// Reads Secrets, by which stores and brokers are entered.
    ReadsSecrets,
    /// Creates pods, which may mount what others have written.
    CreatesPods,
    /// Declares less than is held, or nothing any more.
    NarrowsHoldings,
    /// Lists recipients, or changes what standards ask.
    OpensRoutes,
    /// Takes namespaces out of protection by their labels.
    RelabelsNamespaces,
    /// Changes the policies and webhooks by which covered pods are admitted.
    ChangesAdmission,
}

impl Power {
    /// In words.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::EntersPods => "enters pods",
            Self::ReachesKubelets => "reaches kubelets",
            Self::ReadsLogs => "reads logs",
            Self::ReadsSecrets => "reads Secrets",
            Self::CreatesPods => "creates pods",
            Self::NarrowsHoldings => "narrows holdings",
            Self::OpensRoutes => "opens routes",
            Self::RelabelsNamespaces => "relabels namespaces",
            Self::ChangesAdmission => "changes admission",
        }
    }

    /// Whether the right to it counts in one namespace. The others count for the whole cluster alone.
    pub(super) fn is_of_namespace(self) -> bool {
        matches!(self, Self::EntersPods | Self::ReadsLogs | Self::ReadsSecrets | Self::CreatesPods | Self::NarrowsHoldings)
    }
}

/// Any of the verbs on any of the resources of a group gives the power.
struct Way {
    power: Power,
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
}

const WAYS: [Way; 11] = [
    Way {
        power: Power::EntersPods,
        group: "",
        resources: &["pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy"],
        // a WebSocket begins with get
        verbs: &["create", "get", "update", "patch", "delete"],
    },
    Way { power: Power::EntersPods, group: "", resources: &["pods/ephemeralcontainers"], verbs: &["update", "patch"] },
    Way {
        power: Power::ReachesKubelets,
        group: "",
        resources: &["nodes/proxy"],
        verbs: &["create", "get", "update", "patch", "delete"],
    },
    Way { power: Power::ReadsLogs, group: "", resources: &["pods/log"], verbs: &["get"] },
    Way { power: Power::ReadsSecrets, group: "", resources: &["secrets"], verbs: &["get", "list", "watch"] },
    Way { power: Power::CreatesPods, group: "", resources: &["pods", "replicationcontrollers"], verbs: &["create"] },
    Way {
        power: Power::CreatesPods,
        group: "apps",
        resources: &["deployments", "statefulsets", "daemonsets", "replicasets"],
        verbs: &["create", "update", "patch"],
    },
    Way { power: Power::CreatesPods, group: "batch", resources: &["jobs", "cronjobs"], verbs: &["create", "update", "patch"] },
    Way { power: Power::NarrowsHoldings, group: "shekara.dev", resources: &["dataholdings"], verbs: &["narrow"] },
    Way {
        power: Power::OpensRoutes,
        group: "shekara.dev",
        resources: &["recipients", "sovereigntystandards"],
        verbs: &["create", "update", "patch", "delete", "deletecollection"],
    },
    Way { power: Power::RelabelsNamespaces, group: "", resources: &["namespaces"], verbs: &["update", "patch"] },
];

/// Kinds of the group of admission.
const ADMISSION: Way = Way {
    power: Power::ChangesAdmission,
    group: "admissionregistration.k8s.io",
    resources: &["validatingadmissionpolicies", "validatingadmissionpolicybindings", "mutatingwebhookconfigurations"],
    verbs: &["create", "update", "patch", "delete", "deletecollection"],
};

/// What a rule gives, each with whether it is for objects of some names alone.
pub(super) fn powers(rule: &PolicyRule) -> Vec<(Power, bool)> {
    let named = rule.resource_names.as_ref().is_some_and(|names| !names.is_empty());
    let gives = |way: &&Way| {
        let groups = rule.api_groups.iter().flatten().any(|group| group == "*" || group == way.group);
        let verbs = rule.verbs.iter().any(|verb| verb == "*" || way.verbs.contains(&verb.as_str()));
        let resources = || rule.resources.iter().flatten().any(|given| way.resources.iter().any(|wanted| covers(given, wanted)));
        groups && verbs && resources()
    };
    let mut powers: Vec<(Power, bool)> = WAYS.iter().chain([&ADMISSION]).filter(gives).map(|way| (way.power, named)).collect();
    powers.sort();
    powers.dedup();
    powers
}

/// Whether a resource as a rule writes it is this one: `*`, its name, or `*/exec` for a subresource of whatever kind.
fn covers(given: &str, wanted: &str) -> bool {
    let subresource = wanted.split_once('/').map(|(_, subresource)| subresource);
    given == "*" || given == wanted || given.strip_prefix("*/").is_some_and(|given| Some(given) == subresource)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::everything(json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}), 9)]
    #[case::reading_pods(json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}), 0)]
    #[case::another_group(json!({"apiGroups": ["apps"], "resources": ["pods/exec"], "verbs": ["create"]}), 0)]
    #[case::exec(json!({"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get"]}), 1)]
    #[case::any_exec(json!({"apiGroups": [""], "resources": ["*/exec"], "verbs": ["create"]}), 1)]
    #[case::pods_are_not_their_subresources(json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]}), 1)]
    #[case::logs(json!({"apiGroups": [""], "resources": ["pods/log", "secrets"], "verbs": ["get"]}), 2)]
    #[case::paths(json!({"nonResourceURLs": ["*"], "verbs": ["*"]}), 0)]
    #[case::all_verbs_are_narrow_too(json!({"apiGroups": ["shekara.dev"], "resources": ["dataholdings"], "verbs": ["*"]}), 1)]
    fn a_rule_gives_as_the_authorizer_reads_it(#[case] rule: Value, #[case] expected: usize) {
        let rule: PolicyRule = serde_json::from_value(rule).unwrap();
        let found = powers(&rule);
        assert_eq!(found.len(), expected, "{found:?}");
        assert!(found.iter().all(|(_, named)| !named));
    }

    #[test]
    fn a_rule_of_names_says_so() {
        let rule = json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"], "verbs": ["get"]});
        assert_eq!(powers(&serde_json::from_value(rule).unwrap()), [(Power::ReadsSecrets, true)]);
    }
}
