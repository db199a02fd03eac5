//! Of several denials, the one to report.

use crate::reason::Reason;
use crate::verdict::Denial;

/// The denial that says most: where data would have gone, before where nobody knows, before addresses that mean nothing.
#[must_use]
pub fn most_telling(denials: impl IntoIterator<Item = Denial>) -> Denial {
    denials.into_iter().max_by_key(|denial| telling(denial.reason)).unwrap_or_else(|| Denial::of(Reason::NoAddress))
}

fn telling(reason: Reason) -> u8 {
    match reason {
        Reason::CrossBorder | Reason::EmptyTransferDenied | Reason::NoApproval => 6,
        Reason::SourcesDisagree => 5,
        Reason::UnknownCountry | Reason::SharedTenancy | Reason::ManyPlaces => 4,
        Reason::InClusterUnlisted
        | Reason::PeerOtherData
        | Reason::PeerOtherStandards
        | Reason::PeerNotEnforcing
        | Reason::PeerDenied
        | Reason::PeerNodeAddress
        | Reason::PeerUnknown
        | Reason::PeerUnanswered
        | Reason::ClusterAPIDenied => 2,
        Reason::ForbiddenAddress => 1,
        Reason::NoAddress => 0,
        _ => 3,
    }
}
