//! Who is at which address inside the cluster: what Services, their endpoints, nodes and pods say of it. The operator, which tells
//! sidecars, and whoever simulates a flow ask the same.

mod by_address;
mod index;
mod peer;
mod summary;

use std::net::IpAddr;

pub use index::{Found, Index, Lead};
pub use peer::{cover, peer};
pub use summary::{NodeSummary, ServiceSummary, SliceSummary};

/// An address in the one form that is judged; none where the text is no address.
#[must_use]
pub fn address(text: &str) -> Option<IpAddr> {
    Some(shekara_policy::Address::new(text.parse().ok()?).ip())
}
