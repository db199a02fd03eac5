//! The peer at an address, as it is judged.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::Timestamp;
use shekara_policy::Category;
use shekara_policy::peer::{Cover, End, MOST_ENDS, Peer, ServiceName};

use super::index::{Found, Lead};
use crate::{DataHolding, Key, narrowing};

/// The peer of what was found at an address and port; none where nothing can be said of one of its pods yet. `is_inside` says whether
/// an address is one of the cluster, and `pod` who a pod is as an end: none where that is not known. Of sources of the platform, which
/// matter for clients alone, it says none.
#[must_use]
pub fn peer(found: Found, is_inside: impl Fn(IpAddr) -> bool, mut pod: impl FnMut(&Key) -> Option<End>) -> Option<Peer> {
    let mut end = |lead: &Lead| match lead {
        Lead::Node => Some(End::Node),
        Lead::ApiServer => Some(End::ApiServer),
        Lead::Stray(at) if is_inside(at.ip()) => Some(End::Unknown),
        Lead::Stray(at) => Some(End::Outside(*at)),
        Lead::Pod(key) => pod(key),
    };
    // each pod is asked for, also where one is not known already: who asks may learn when to ask again
    let ends: Vec<Option<End>> = found.ends.iter().map(&mut end).collect();
    let ends: BTreeSet<End> = ends.into_iter().collect::<Option<_>>()?;
    let ends = if ends.len() > MOST_ENDS { [End::Unknown].into() } else { ends };
    let services = found.services.into_iter().map(|Key { namespace, name }| ServiceName { namespace, name }).collect();
    Some(Peer { services, ends, sources: BTreeSet::new() })
}

/// A holding as the cover of a pod that was created then, given what its document counts and the standards that bind it. The data are those that the pod may be sent as
/// the holding is declared now: what its document still counts for others is not for a pod that never had it. A holding that is gone has
/// none.
#[must_use]
pub fn cover(
    holding: &Key,
    declared: Option<&DataHolding>,
    documented: &BTreeSet<Category>,
    standards: BTreeSet<String>,
    created: Timestamp,
    enforcing: bool,
) -> Cover {
    let data = declared.map(|declared| narrowing::receives(declared, documented, created)).unwrap_or_default();
    Cover { holding: holding.to_string(), data, standards, enforcing }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ends: impl IntoIterator<Item = Lead>) -> Found {
        Found { services: [Key::new("archive", "vectors")].into(), ends: ends.into_iter().collect() }
    }

    fn pods(number: u8) -> impl Iterator<Item = Lead> {
        (0..number).map(|number| Lead::Pod(Key::new("archive", format!("pod-{number}"))))
    }

    fn covered_by(name: &str) -> End {
        End::Pod([Cover { holding: name.into(), data: BTreeSet::new(), standards: BTreeSet::new(), enforcing: true }].into())
    }

    #[test]
    fn an_address_of_nobody_is_unknown_inside_the_cluster_and_a_party_outside_of_it() {
        let (near, far) = ("10.244.0.9:80".parse().unwrap(), "192.0.2.9:80".parse().unwrap());
        let inside = |address: IpAddr| address == IpAddr::from([10, 244, 0, 9]);
        let peer = peer(found([Lead::Stray(near), Lead::Stray(far), Lead::Node, Lead::ApiServer]), inside, |_| None).unwrap();
        assert_eq!(peer.ends, [End::Unknown, End::Outside(far), End::Node, End::ApiServer].into());
        assert_eq!(peer.services, [ServiceName { namespace: "archive".into(), name: "vectors".into() }].into());
    }

    #[test]
    fn equal_pods_are_one_end_and_one_that_is_not_known_leaves_all_unsaid_after_each_was_asked_for() {
        let mut asked = 0;
        let told = peer(
            found(pods(3)),
            |_| true,
            |_| {
                asked += 1;
                Some(covered_by("a"))
            },
        );
        assert_eq!((told.unwrap().ends.len(), asked), (1, 3));
        asked = 0;
        let told = peer(
            found(pods(3)),
            |_| true,
            |key| {
                asked += 1;
                (key.name != "pod-0").then(|| covered_by("a"))
            },
        );
        assert_eq!((told, asked), (None, 3));
    }

    #[test]
    fn more_kinds_of_ends_than_can_be_told_are_unknown() {
        let told = |number| peer(found(pods(number)), |_| true, |key| Some(covered_by(&key.name))).unwrap().ends;
        assert_eq!(told(64).len(), 64);
        assert_eq!(told(65), [End::Unknown].into());
    }
}
