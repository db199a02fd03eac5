//! The decision of Shekara, without any input or output: policy documents, addresses, host names, the geo table, and
//! [`decide`], which says of one flow whether it may leave.
//!
//! The crate knows neither Kubernetes nor sockets, so the sidecar, the operator and the command line share one decision, and
//! it can be tested with millions of generated cases.

pub mod address;
pub mod category;
pub mod country;
pub mod datagrams;
pub mod decide;
pub mod document;
pub mod exchange;
pub mod flow;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod geo;
pub mod host_name;
pub mod limits;
pub mod packet_filter;
pub mod peer;
pub mod ports;
pub mod probes;
pub mod reason;
pub mod record;
pub mod signed;
pub mod verdict;

pub use address::{Address, Scope};
pub use category::Category;
pub use country::Country;
pub use decide::{Judge, decide, decide_inbound};
pub use document::PolicyDocument;
pub use flow::{Flow, Inflow, Protocol};
pub use host_name::{HostName, HostPattern};
pub use limits::Limits;
pub use peer::{Peer, PeerSource};
pub use reason::Reason;
pub use verdict::Verdict;
