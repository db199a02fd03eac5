//! What runs in a covered pod: `init` sets the packet filter, `run` judges and carries every flow, `verify` proves that there
//! is no other way out, and `ready` asks the proxy whether it is ready. On a node that sets packet filters, it is the plugin that does so
//! ([`cni`]), put there by `install`.
//!
//! The proxy is one process with one thread for all flows; [`context::Context`] is what its tasks share.

pub mod admin;
pub mod app;
pub mod bound;
pub mod carve_out;
pub mod clock;
pub mod cni;
pub mod config;
pub mod context;
pub mod datagrams;
pub mod dns;
pub mod filter;
pub mod flow;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod geo;
pub mod init;
pub mod install;
pub mod ledger;
pub mod mark;
pub mod metrics;
pub mod observe;
pub mod peers;
pub mod policy;
pub mod probes;
pub mod proof;
pub mod random;
pub mod readiness;
pub mod ready;
pub mod record;
pub mod sink;
pub mod spending;
pub mod verify;
