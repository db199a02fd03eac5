//! The operator of Shekara: compiles declarations into policy documents, serves them to the sidecars, puts the sidecar into
//! the pods of a holding, and writes into the status of the objects what it found.
//!
//! The way of the data: [`watch`] keeps what the API server says in caches; `dispatch` compiles what a change affects, has
//! it signed by the `signer` with the `keys`, and publishes it; `policy_files` keeps it beside the holdings; `policy_api` streams it to the sidecars and takes their checkpoints into the `ledger`; `controllers` write
//! the status; `admission` answers the API server for pods that are created; `drafts` makes a holding where an annotation says what is
//! held and none claims it; `events` tells the owners of the pods.
//! [`run`](run()) starts all of it and ends the process if any part ends. [`node`] is another program in the same image: the agent of a node
//! that sets packet filters.

mod admin;
mod admission;
mod caches;
mod certificates;
pub mod config;
mod controllers;
mod dispatch;
mod documents;
mod drafts;
mod events;
#[cfg(test)]
mod fixtures;
mod kept;
mod keys;
mod leadership;
mod ledger;
mod log_readers;
mod metrics;
pub mod node;
mod owners;
mod peers;
mod policy_api;
mod policy_files;
pub mod probe;
mod queue;
mod readiness;
pub mod run;
mod serve;
mod signer;
mod trust;
mod watch;

pub use config::Config;
pub use run::run;
