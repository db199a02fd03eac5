//! The same places as in the other target, for what takes longer: many flows, many documents.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on is a failed test"
)]
#![allow(dead_code, reason = "the surroundings are those of the other target, which uses more of them")]

mod actor;
mod authority;
mod client;
mod document;
mod echo;
mod namespace;
mod peers;
mod place;
mod policy_api;
mod process;
mod resolver;
mod sidecar;
mod signing;
mod sniffer;
mod wait;
mod world;

mod long {
    mod capacity;
    mod flapping;
    mod many_flows;
}
