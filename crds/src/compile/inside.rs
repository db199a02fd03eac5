//! Destinations inside the cluster: what a holding lists, as far as the standards leave it to be listed.

use std::collections::BTreeSet;

use shekara_policy::Category;
use shekara_policy::document::InClusterRoute;

use super::ListedService;
use super::problem::{self, ProblemCode, Problems};
use super::standard::Standard;
use crate::data_holding::InCluster;
use crate::sovereignty_standard::InClusterRule;

/// Whether a standard lets the data go to no pod at all.
pub(super) fn are_peers_denied(held: &BTreeSet<Category>, standards: &[Standard]) -> bool {
    standards.iter().any(|standard| standard.in_cluster(held) == Some(InClusterRule::Denied))
}

/// The Services that are listed, exist, and may be listed. Each is judged by all that the holding holds, whatever it is listed for:
/// nobody but the owner lists it, and inside the cluster nothing bounds what goes there.
pub(super) fn listed(
    listed: &[InCluster],
    held: &BTreeSet<Category>,
    standards: &[Standard],
    services: &[ListedService],
    problems: &mut Problems,
) -> Vec<InClusterRoute> {
    let route = |(index, wanted): (usize, &InCluster)| {
        let field = format!("spec.inCluster[{index}]");
        let data = problem::categories(&wanted.data, &format!("{field}.data"), problems);
        let name = format!("{}/{}", wanted.namespace, wanted.service);
        let strictest = standards.iter().filter_map(|standard| {
            let rule = standard.in_cluster(&held.union(&data).copied().collect())?;
            Some((rule, &standard.name))
        });
        let strictest = strictest.max_by_key(|(rule, _)| *rule);
        let found = services.iter().find(|service| service.namespace == wanted.namespace && service.name == wanted.service);
        let unheld = data.difference(held).next();
        let (code, message) = match (found, strictest) {
            _ if unheld.is_some() => (
                ProblemCode::DataNotHeld,
                format!("the holding does not hold {}", unheld.map(ToString::to_string).unwrap_or_default()),
            ),
            (None, _) => (ProblemCode::ServiceNotFound, format!("there is no Service {name}")),
            (Some(service), _) if service.external_name => (
                ProblemCode::ServiceWithoutAddress,
                format!("the Service {name} is another name for one outside the cluster, which needs a transfer"),
            ),
            (_, Some((InClusterRule::SameData | InClusterRule::Denied, standard))) => (
                ProblemCode::InClusterDenied,
                format!(
                    "SovereigntyStandard/{standard} lets the data go to no Service because it is listed: cover its pods with a holding of the same data"
                ),
            ),
            (Some(_), None | Some((InClusterRule::Covered, _))) => {
                let covered = strictest.is_some();
                let (namespace, service) = (wanted.namespace.clone(), wanted.service.clone());
                return Some(InClusterRoute { namespace, service, data, covered });
            }
        };
        problems.add(&field, code, message);
        None
    };
    listed.iter().enumerate().filter_map(route).collect()
}
