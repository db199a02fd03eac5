//! What each of our containers may use: as the platform says and the pod's annotations raise it, in the pod's own class of service, and
//! within what the namespace asks of every container.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, LimitRange, LimitRangeItem, ResourceQuota, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

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
        let whole = thousandths.div_ceil(1000);
        Quantity(match self {
            Self::Cpu if !thousandths.is_multiple_of(1000) => format!("{thousandths}m"),
            Self::Memory if whole.is_multiple_of(1 << 20) => format!("{}Mi", whole >> 20),
            Self::Memory if whole.is_multiple_of(1 << 10) => format!("{}Ki", whole >> 10),
            Self::Cpu | Self::Memory => whole.to_string(),
        })
    }
}

/// In thousandths of a byte.
const MEBIBYTE: u128 = 1000 << 20;

/// Request and limit of a resource, in thousandths of a processor or byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Share {
    request: Option<u128>,
    limit: Option<u128>,
}

/// The resources of each of our containers in a pod, whose own containers are `applications`.
pub(super) fn fitted<'a>(
    platform: &ResourceRequirements,
    applications: impl Iterator<Item = &'a Container> + Clone,
    annotations: &BTreeMap<String, String>,
    room: &Room,
    faults: &mut Faults,
) -> ResourceRequirements {
    let guaranteed = applications.clone().next().is_some() && applications.clone().all(is_guaranteed);
    let mut fitted = platform.clone();
    for resource in Resource::ALL {
        let said = |amounts: &Option<BTreeMap<String, Quantity>>| thousandths(&amounts.as_ref()?.get(resource.name())?.0).ok();
        let mut share = Share { request: said(&platform.requests), limit: said(&platform.limits) };
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
            let both = share.limit.unwrap_or(resource.needed().max(share.request.unwrap_or(0)));
            share = Share { request: Some(both), limit: Some(both) };
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

impl Share {
    /// An annotation raises and never lowers.
    fn raised(self, wish: u128) -> Self {
        Self { request: Some(self.request.unwrap_or(0).max(wish)), limit: self.limit.map(|limit| limit.max(wish)) }
    }

    /// With what the quotas count.
    fn counted(self, resource: Resource, quotas: &[ResourceQuota]) -> Self {
        let hard =
            |name: &str| quotas.iter().filter_map(|quota| quota.spec.as_ref()?.hard.as_ref()).any(|hard| hard.contains_key(name));
        let name = resource.name();
        let limit = if hard(&format!("limits.{name}")) {
            Some(self.limit.unwrap_or(resource.needed().max(self.request.unwrap_or(0))))
        } else {
            self.limit
        };
        let requests = hard(&format!("requests.{name}")) || hard(name);
        let request = if requests { self.request.or(limit).or(Some(resource.needed())) } else { self.request };
        Self { request, limit }
    }

    /// Within what a LimitRange asks of a container; a sentence where that cannot be.
    fn within(self, resource: Resource, item: &LimitRangeItem, guaranteed: bool) -> Result<Self, String> {
        let name = resource.name();
        let bound = |bounds: &Option<BTreeMap<String, Quantity>>| thousandths(&bounds.as_ref()?.get(name)?.0).ok();
        let Self { mut request, mut limit } = self;
        if let Some(least) = bound(&item.min) {
            request = Some(request.unwrap_or(least).max(least));
            limit = limit.map(|limit| limit.max(least));
        }
        if let Some(most) = bound(&item.max) {
            limit = Some(limit.unwrap_or(most).min(most));
            if request.is_some_and(|request| request > most) {
                return Err(format!(
                    "a LimitRange of the namespace leaves a container {} of {name} at most, and the sidecar needs {}: raise its max, or have \
                     the platform lower sidecar.resources",
                    resource.write(most).0,
                    resource.write(request.unwrap_or_default()).0
                ));
            }
        }
        // a ratio is a number, of which a quantity has thousandths
        if let Some(ratio) = bound(&item.max_limit_request_ratio).filter(|ratio| *ratio > 0) {
            let within = limit.or(request).unwrap_or(resource.needed());
            limit = Some(within);
            request = Some(request.unwrap_or(0).max((within * 1000).div_ceil(ratio)));
        }
        if guaranteed {
            request = limit;
        }
        // a limit below its request is refused by the API server
        Ok(Self { request, limit: limit.map(|limit| limit.max(request.unwrap_or(0))) })
    }
}

/// What a LimitRange says of containers.
fn items(range: &LimitRange) -> impl Iterator<Item = &LimitRangeItem> {
    range.spec.iter().flat_map(|spec| spec.limits.iter()).filter(|item| item.type_ == "Container")
}

/// Whether a container says limits of processor and memory, and requests no less: the class `Guaranteed` asks that of all.
fn is_guaranteed(container: &Container) -> bool {
    let Some(resources) = &container.resources else { return false };
    Resource::ALL.into_iter().all(|resource| {
        let said = |amounts: &Option<BTreeMap<String, Quantity>>| thousandths(&amounts.as_ref()?.get(resource.name())?.0).ok();
        let limit = said(&resources.limits).filter(|limit| *limit > 0);
        limit.is_some() && said(&resources.requests).is_none_or(|request| Some(request) == limit)
    })
}

fn write(amounts: &mut Option<BTreeMap<String, Quantity>>, resource: Resource, thousandths: Option<u128>) {
    if let Some(amount) = thousandths {
        amounts.get_or_insert_default().insert(resource.name().to_owned(), resource.write(amount));
    }
}

#[cfg(test)]
mod tests;
