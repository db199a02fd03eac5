//! What the scenarios and the demo stand on: a real cluster, real pods with real clients, and the test hosts outside, the
//! world, whose sniffer says what arrived there.
//!
//! A scenario asserts twice: at the client, and at the receiving end. A way out counts as closed only where the same attempt
//! got out of a pod that no holding covers.

pub mod api_server;
pub mod attempt;
pub mod clients;
pub mod closed;
pub mod cluster;
pub mod counted;
pub mod demo;
pub mod diagnose;
pub mod environment;
pub mod examples;
pub mod exec;
pub mod files;
pub mod harness;
pub mod histogram;
pub mod holdings;
pub mod honest;
pub mod idle;
pub mod live;
pub mod measure;
pub mod node;
pub mod open_namespace;
pub mod operator_metrics;
pub mod people;
pub mod pod_security;
pub mod pods;
pub mod random_object;
pub mod records;
pub mod release;
pub mod replicas;
pub mod rotation;
pub mod scenario;
pub mod wait;
pub mod witness;
pub mod world;
