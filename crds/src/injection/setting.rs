//! Who sets the packet filter of a pod: its own container, or the node, by what PodSecurity lets containers have.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// The label of a namespace with the level of PodSecurity that is enforced there (pod security admission, `k8s.io/pod-security-admission`).
const LEVEL_LABEL: &str = "pod-security.kubernetes.io/enforce";

/// The user by whom packet filters know sidecars that may set no mark. Every container of such a pod says which user it is, and none may
/// be this one: the user that an image says is not enough, since whoever makes the image can change it. It is one that user namespaces
/// of pods have too.
pub const SIDECAR_USER: u32 = 65_533;

/// Who sets packet filters, as the platform wants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    /// A container of each pod, which needs the capability NET_ADMIN.
    #[default]
    Init,
    /// The node, for every pod.
    Node,
    /// The node where PodSecurity forbids containers that capability, and a container of the pod elsewhere.
    Auto,
}

/// A level of PodSecurity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Everything is allowed.
    #[default]
    Privileged,
    /// No container adds NET_ADMIN or NET_RAW.
    Baseline,
    /// No container is root, has a capability that counts or becomes another user.
    Restricted,
}

impl Level {
    /// The one that is enforced in a namespace with these labels; the cluster's own where they do not say. One that is not known is
    /// taken for the strictest.
    #[must_use]
    pub fn of(labels: &BTreeMap<String, String>, cluster: Self) -> Self {
        match labels.get(LEVEL_LABEL).map(String::as_str) {
            None => cluster,
            Some("privileged") => Self::Privileged,
            Some("baseline") => Self::Baseline,
            Some(_) => Self::Restricted,
        }
    }
}

/// Who sets the packet filter of one pod, and by what it knows the sidecar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Setting {
    /// A container of the pod; by the mark of its sockets.
    #[default]
    Init,
    /// The node; by the mark of its sockets.
    Node,
    /// The node; by the user [`SIDECAR_USER`], since no container may have what a mark needs.
    NodeByUser,
}

impl Setting {
    /// What it is in a namespace of this level.
    #[must_use]
    pub fn of(wanted: Wanted, level: Level) -> Self {
        match (wanted, level) {
            (Wanted::Init, _) | (Wanted::Auto, Level::Privileged) => Self::Init,
            (Wanted::Node, Level::Privileged) | (_, Level::Baseline) => Self::Node,
            (_, Level::Restricted) => Self::NodeByUser,
        }
    }

    /// The user by whom the packet filter knows the sidecar.
    #[must_use]
    pub fn user(self) -> Option<NonZeroU32> {
        match self {
            Self::Init | Self::Node => None,
            Self::NodeByUser => NonZeroU32::new(SIDECAR_USER),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Wanted::Init, "restricted", Setting::Init)]
    #[case(Wanted::Node, "privileged", Setting::Node)]
    #[case(Wanted::Node, "baseline", Setting::Node)]
    #[case(Wanted::Auto, "", Setting::Init)]
    #[case(Wanted::Auto, "privileged", Setting::Init)]
    #[case(Wanted::Auto, "baseline", Setting::Node)]
    #[case(Wanted::Auto, "restricted", Setting::NodeByUser)]
    #[case::a_level_of_tomorrow(Wanted::Auto, "sealed", Setting::NodeByUser)]
    fn the_namespace_decides_where_the_platform_leaves_it_open(
        #[case] wanted: Wanted,
        #[case] label: &str,
        #[case] expected: Setting,
    ) {
        let labels = Some(label).filter(|label| !label.is_empty()).map(|label| (LEVEL_LABEL.to_owned(), label.to_owned()));
        let level = Level::of(&labels.into_iter().collect(), Level::Privileged);
        assert_eq!(Setting::of(wanted, level), expected);
    }
}
