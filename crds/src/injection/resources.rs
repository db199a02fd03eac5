//! What each of our containers may use: as the platform says and the pod's annotations raise it, in the pod's own class of service, and
//! within what the namespace asks of every container; and what the pod may use as a whole, where it says that.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, LimitRange, LimitRangeItem, ResourceQuota, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Value, json};

use super::refusal::Faults;
use crate::quantity::thousandths;
use crate::{SIDECAR_CPU_ANNOTATION, SIDECAR_MEMORY_ANNOTATION};

/// What the namespace asks of the containers of its pods.
#[derive(Clone, Debug, Default)]
pub struct Room {
    /// Its LimitRanges.
    pub limit_ranges: Vec<LimitRange>,
    /// Its ResourceQuotas: what one counts, every container must say.
    pub quotas: Vec<ResourceQuota>,
}

/// A resource that is fitted. Others stay as the platform says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resource {
    Cpu,
    Memory,
}

impl Resource {
    const ALL: [Self; 2] = [Self::Cpu, Self::Memory];

    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }

    fn annotation(self) -> &'static str {
        match self {
            Self::Cpu => SIDECAR_CPU_ANNOTATION,
            Self::Memory => SIDECAR_MEMORY_ANNOTATION,
        }
    }

    /// The limit where the platform says none and one is needed, in thousandths: half a processor carries a gigabit a second.
    fn needed(self) -> u128 {
        match self {
            Self::Cpu => 500,
            Self::Memory => 128 * MEBIBYTE,
        }
    }

    /// Amounts as the API server writes them, so that what comes back can be compared.
    fn write(self, thousandths: u128) -> Quantity {
        const BINARY: [(&str, u128); 4] = [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
        const DECIMAL: [(&str, u128); 4] = [("T", 1_000_000_000_000), ("G", 1_000_000_000), ("M", 1_000_000), ("k", 1000)];
        let whole = thousandths.div_ceil(1000);
        let units: &[(&str, u128)] = if self == Self::Memory { &[BINARY, DECIMAL].concat() } else { &[] };
        let unit = units.iter().find(|(_, unit)| whole > 0 && whole.is_multiple_of(*unit));
        Quantity(match unit {
            Some((name, unit)) => format!("{}{name}", whole / unit),
            None if self == Self::Cpu && !thousandths.is_multiple_of(1000) => format!("{thousandths}m"),
            None => whole.to_string(),
        })
    }
}

/// In thousandths of a byte.
const MEBIBYTE: u128 = 1000 << 20;

/// Request and limit of a resource, in thousandths of a processor or byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Share {
    /// What platform and annotations ask for: less is refused.
    least: u128,
    request: Option<u128>,
    limit: Option<u128>,
}

/// The resources of each of our containers in a pod, whose own containers are `applications`, and which says `of_pod` of itself as a
/// whole, if it does: its class then goes by that alone (`ComputePodQOS` of Kubernetes).
pub(super) fn fitted<'a>(
    platform: &ResourceRequirements,
    of_pod: Option<&ResourceRequirements>,
    applications: impl Iterator<Item = &'a Container> + Clone,
    annotations: &BTreeMap<String, String>,
    room: &Room,
    faults: &mut Faults,
) -> ResourceRequirements {
    let guaranteed = match of_pod {
        Some(resources) => is_guaranteed(resources),
        None => {
            let is_guaranteed = |container: &Container| container.resources.as_ref().is_some_and(is_guaranteed);
            applications.clone().next().is_some() && applications.clone().all(is_guaranteed)
        }
    };
    let mut fitted = platform.clone();
    for resource in Resource::ALL {
        let mut share = Share::of(platform, resource);
        if let Some(text) = annotations.get(resource.annotation()) {
            match thousandths(text) {
                Ok(wish) => share = share.raised(wish),
                Err(problem) => {
                    let field = format!("metadata.annotations[{}]", resource.annotation());
                    faults.when(
                        true,
                        field,
                        format!("{problem}; as in {}", if resource == Resource::Cpu { "500m" } else { "64Mi" }),
                    );
                }
            }
        }
        if guaranteed {
            // another class would have the kernel end the application sooner
            share = share.alike(share.limited(resource));
        }
        share = share.counted(resource, &room.quotas);
        for item in room.limit_ranges.iter().flat_map(items) {
            match share.within(resource, item, guaranteed) {
                Ok(within) => share = within,
                Err(sentence) => faults.when(true, "spec.initContainers", sentence),
            }
        }
        write(&mut fitted.requests, resource, share.request);
        write(&mut fitted.limits, resource, share.limit);
    }
    fitted
}

/// An amount that a pod says of itself as a whole, as it is to be.
#[derive(Debug, PartialEq)]
pub(super) struct Raised {
    /// `requests` or `limits`.
    pub(super) list: &'static str,
    /// The resource.
    pub(super) name: &'static str,
    pub(super) amount: Quantity,
}

/// What a pod that says `of_pod` of itself as a whole (KEP-2837) says with our containers in it, each of which has the resources `ours`, where
/// that is more: its application keeps what it had, and the API server refuses requests below the sum of all containers
/// (`validatePodResourceConsistency`). `standing` are those of the proxy that an earlier call put in, which was counted then.
pub(super) fn raised(
    of_pod: &ResourceRequirements,
    ours: &ResourceRequirements,
    standing: Option<&ResourceRequirements>,
) -> Vec<Raised> {
    let mut raised = Vec::new();
    for resource in Resource::ALL {
        // the API server takes a limit for the request where none is said
        let request = |resources: &ResourceRequirements| {
            let share = Share::of(resources, resource);
            share.request.or(share.limit).unwrap_or(0)
        };
        let limit = |resources: &ResourceRequirements| Share::of(resources, resource).limited(resource);
        let said = Share::of(of_pod, resource);
        for (list, now, need, stands) in [
            ("requests", said.request, request(ours), standing.map_or(0, request)),
            ("limits", said.limit, limit(ours), standing.map_or(0, limit)),
        ] {
            let Some(now) = now else { continue };
            // the proxy is beside the application, and before that beside the proof; what others gave the proxy meanwhile lowers nothing
            let wanted = now.saturating_sub(stands).max(need) + need;
            if wanted > now {
                raised.push(Raised { list, name: resource.name(), amount: resource.write(wanted) });
            }
        }
    }
    raised
}

/// Leaves what `standing`, a container of ours from an earlier call, has of other resources than those that are fitted: LimitRanges give
/// them to every container, once, and ask for them afterwards.
pub(super) fn keep_others(ours: &mut Value, standing: &Value) {
    for list in ["requests", "limits"] {
        let amounts = standing.pointer(&format!("/resources/{list}")).and_then(Value::as_object);
        let others = amounts.into_iter().flatten().filter(|(name, _)| Resource::ALL.iter().all(|fitted| fitted.name() != *name));
        for (name, amount) in others {
            let resources = ours.get_mut("resources").and_then(Value::as_object_mut);
            let amounts = resources.map(|resources| resources.entry(list).or_insert_with(|| json!({})));
            if let Some(amounts) = amounts.and_then(Value::as_object_mut) {
                amounts.entry(name).or_insert_with(|| amount.clone());
            }
        }
    }
}

impl Share {
    /// What resources say of one of them.
    fn of(resources: &ResourceRequirements, resource: Resource) -> Self {
        let said = |amounts: &Option<BTreeMap<String, Quantity>>| thousandths(&amounts.as_ref()?.get(resource.name())?.0).ok();
        let request = said(&resources.requests);
        Self { least: request.unwrap_or(0), request, limit: said(&resources.limits) }
    }

    /// An annotation raises and never lowers.
    fn raised(self, wish: u128) -> Self {
        let least = self.least.max(wish);
        Self { least, request: Some(self.request.unwrap_or(0).max(least)), limit: self.limit.map(|limit| limit.max(least)) }
    }

    /// The limit, where one has to be.
    fn limited(self, resource: Resource) -> u128 {
        self.limit.unwrap_or(resource.needed().max(self.request.unwrap_or(0)))
    }

    fn alike(self, both: u128) -> Self {
        Self { request: Some(both), limit: Some(both), ..self }
    }

    /// With what the quotas count.
    fn counted(self, resource: Resource, quotas: &[ResourceQuota]) -> Self {
        let hard =
            |name: &str| quotas.iter().filter_map(|quota| quota.spec.as_ref()?.hard.as_ref()).any(|hard| hard.contains_key(name));
        let name = resource.name();
        let limit = if hard(&format!("limits.{name}")) { Some(self.limited(resource)) } else { self.limit };
        let requests = hard(&format!("requests.{name}")) || hard(name);
        let request = if requests { self.request.or(limit).or(Some(resource.needed())) } else { self.request };
        Self { request, limit, ..self }
    }

    /// Within what a LimitRange asks of a container; a sentence where that cannot be.
    fn within(self, resource: Resource, item: &LimitRangeItem, guaranteed: bool) -> Result<Self, String> {
        let name = resource.name();
        let bound = |bounds: &Option<BTreeMap<String, Quantity>>| thousandths(&bounds.as_ref()?.get(name)?.0).ok();
        let mut share = self;
        if let Some(least) = bound(&item.min) {
            share.request = Some(share.request.unwrap_or(least).max(least));
            share.limit = share.limit.map(|limit| limit.max(least));
        }
        if let Some(most) = bound(&item.max) {
            if share.least > most {
                return Err(format!(
                    "a LimitRange of the namespace leaves a container {} of {name} at most, and the sidecar needs {}: raise its max, or have \
                     the platform lower sidecar.resources",
                    resource.write(most).0,
                    resource.write(share.least).0
                ));
            }
            share.limit = Some(share.limited(resource).min(most));
            share.request = share.request.map(|request| request.min(most));
        }
        // a ratio is a number, of which a quantity has thousandths
        if let Some(ratio) = bound(&item.max_limit_request_ratio).filter(|ratio| *ratio > 0) {
            let limit = share.limited(resource);
            share.limit = Some(limit);
            share.request = Some(share.request.unwrap_or(0).max((limit * 1000).div_ceil(ratio)));
        }
        // a limit below its request is refused by the API server
        share.limit = share.limit.map(|limit| limit.max(share.request.unwrap_or(0)));
        Ok(match share.limit {
            Some(limit) if guaranteed => share.alike(limit),
            _ => share,
        })
    }
}

/// What a LimitRange says of containers.
fn items(range: &LimitRange) -> impl Iterator<Item = &LimitRangeItem> {
    range.spec.iter().flat_map(|spec| spec.limits.iter()).filter(|item| item.type_ == "Container")
}

/// Whether these are limits of processor and memory, and requests no less: the class `Guaranteed` asks that of a pod as a whole, or of all
/// its containers.
fn is_guaranteed(resources: &ResourceRequirements) -> bool {
    Resource::ALL.into_iter().all(|resource| {
        let said = Share::of(resources, resource);
        let limit = said.limit.filter(|limit| *limit > 0);
        limit.is_some() && said.request.is_none_or(|request| Some(request) == limit)
    })
}

fn write(amounts: &mut Option<BTreeMap<String, Quantity>>, resource: Resource, thousandths: Option<u128>) {
    if let Some(amount) = thousandths {
        amounts.get_or_insert_default().insert(resource.name().to_owned(), resource.write(amount));
    }
}

#[cfg(test)]
mod tests;
