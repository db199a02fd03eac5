//! Who sets the packet filter of a pod: its own container, or the node, by what PodSecurity lets containers have.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// The label of a namespace with the level of PodSecurity that is enforced there (pod security admission, `k8s.io/pod-security-admission`).
const LEVEL_LABEL: &str = "pod-security.kubernetes.io/enforce";

/// The first of the users by whom packet filters know sidecars. No image can have been made for one: which it is, is drawn for each pod.
pub const FIRST_USER: u32 = 1_879_048_192;

/// The last of them: beyond it are numbers that the API server takes for none.
pub const LAST_USER: u32 = 2_147_483_647;

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
    /// The node; by this user, since no container may have what a mark needs.
    NodeByUser(NonZeroU32),
}

impl Setting {
    /// What it is in a namespace of this level. `user` is drawn for the pod.
    #[must_use]
    pub fn of(wanted: Wanted, level: Level, user: NonZeroU32) -> Self {
        match (wanted, level) {
            (Wanted::Init, _) | (Wanted::Auto, Level::Privileged) => Self::Init,
            (Wanted::Node, Level::Privileged) | (_, Level::Baseline) => Self::Node,
            (_, Level::Restricted) => Self::NodeByUser(user),
        }
    }

    /// The user by whom the packet filter knows the sidecar.
    #[must_use]
    pub fn user(self) -> Option<NonZeroU32> {
        match self {
            Self::Init | Self::Node => None,
            Self::NodeByUser(user) => Some(user),
        }
    }
}

/// The user that a random number stands for.
#[must_use]
pub fn user(random: u32) -> NonZeroU32 {
    NonZeroU32::new(FIRST_USER + random % (LAST_USER - FIRST_USER)).unwrap_or(NonZeroU32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Wanted::Init, "restricted", Setting::Init)]
    #[case(Wanted::Node, "privileged", Setting::Node)]
    #[case(Wanted::Node, "baseline", Setting::Node)]
    #[case(Wanted::Auto, "", Setting::Init)]
    #[case(Wanted::Auto, "privileged", Setting::Init)]
    #[case(Wanted::Auto, "baseline", Setting::Node)]
    #[case(Wanted::Auto, "restricted", Setting::NodeByUser(user(7)))]
    #[case::a_level_of_tomorrow(Wanted::Auto, "sealed", Setting::NodeByUser(user(7)))]
    fn the_namespace_decides_where_the_platform_leaves_it_open(
        #[case] wanted: Wanted,
        #[case] label: &str,
        #[case] expected: Setting,
    ) {
        let labels = Some(label).filter(|label| !label.is_empty()).map(|label| (LEVEL_LABEL.to_owned(), label.to_owned()));
        let level = Level::of(&labels.into_iter().collect(), Level::Privileged);
        assert_eq!(Setting::of(wanted, level, user(7)), expected);
    }

    proptest! {
        #[test]
        fn every_user_is_beyond_those_of_images(random: u32) {
            prop_assert!((FIRST_USER..=LAST_USER).contains(&user(random).get()));
        }
    }
}
