//! Who may reach into the workloads of holdings by the Kubernetes API, by a standard.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::listing::Listing;

/// Who may reach into pods by the Kubernetes API: run programs in them, attach to them, forward ports to them, or have the API server
/// as a proxy to them and their services. Whoever does so reads past sidecar and packet filter, so it is a way out for data.
///
/// The API server says which pod is meant by name alone, so the rule is for whole namespaces: those with the label
/// `shekara.dev/protect` that the standard binds, whatever data their holdings have. By `Listed` those alone pass that have the right in the
/// cluster and are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.mode == 'Listed' || ((!has(self.groups) || size(self.groups) == 0) && (!has(self.serviceAccounts) || size(self.serviceAccounts) == 0))").message("groups or service accounts are listed, and mode is Open: whoever has the right passes").field_path(".groups"),
    validation = Rule::new("!has(self.serviceAccounts) || self.serviceAccounts.all(account, account.matches('^[a-z0-9-]+/[a-z0-9.-]+$'))").message("a service account is written as namespace/name").field_path(".serviceAccounts")
)]
pub struct AccessRules {
    /// Whether people and programs must be listed.
    #[serde(default)]
    pub mode: Listing,
    /// The groups of users that may, as the cluster knows them. Of several standards each must list one of the user's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 256)))]
    pub groups: Vec<String>,
    /// The service accounts that may, as `namespace/name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 3, max = 317)))]
    pub service_accounts: Vec<String>,
}
