//! The sidecar as a real process behind its real packet filter, with real clients and servers, in network namespaces that lead
//! nowhere: a pod, and a world beside it whose sniffer says what arrived.
//!
//! What must be closed is seen open first, in the same pod without the filter, so that no test passes because its client is
//! broken. The tests need root, and `nft`, `ip`, `setpriv`, `curl`, `openssl`, `ping` and `python3` (see `tools/prerequisites`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on is a failed test"
)]

mod actor;
mod authority;
mod cases;
mod client;
mod document;
mod echo;
mod namespace;
mod peers;
mod piecemeal;
mod place;
mod policy_api;
mod process;
mod resolver;
mod sidecar;
mod signing;
mod sniffer;
mod wait;
mod world;
