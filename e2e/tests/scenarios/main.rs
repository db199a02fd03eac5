//! Scenarios that run beside each other, on a real cluster with real clients.
//!
//! Each says what it promises and which ways out it closes, by their numbers in the threat model.

mod access;
mod adversary;
mod bad_objects;
mod bounded_map;
mod carve_out;
mod claims;
mod command_line;
mod cross_border;
mod database;
mod dns_question;
mod drafts;
mod footprint;
mod forbidden_pod;
mod honest_clients;
mod inbound;
mod init_container;
mod kinds_of_workload;
mod listed_party;
mod literal_address;
mod log_collectors;
mod mqtt_broker;
mod name_elsewhere;
mod narrowed_pods;
mod narrowing;
mod observe;
mod operator_rights;
mod other_protocols;
mod over_ipv6;
mod peers;
mod pod_fields;
mod pod_security;
mod resources;
mod restarts;
mod revocation;
mod roles;
mod running_pod;
mod stateful_peers;
mod status_and_conditions;
mod stock_images;
mod uncovered_pod;
mod unlisted_party;

use std::process::ExitCode;

use shekara_e2e::harness::Needs::{Cluster, World};
use shekara_e2e::harness::{run, scenario};

fn main() -> ExitCode {
    run(vec![
        scenario("revocation", World, revocation::run),
        scenario("listed_party", World, listed_party::run),
        scenario("unlisted_party", World, unlisted_party::run),
        scenario("cross_border", World, cross_border::run),
        scenario("bounded_map", World, bounded_map::run),
        scenario("name_elsewhere", World, name_elsewhere::run),
        scenario("literal_address", World, literal_address::run),
        scenario("log_collectors", World, log_collectors::run),
        scenario("over_ipv6", World, over_ipv6::run),
        scenario("observe", World, observe::run),
        scenario("other_protocols", World, other_protocols::run),
        scenario("dns_question", World, dns_question::run),
        scenario("mqtt_broker", World, mqtt_broker::run),
        scenario("database", World, database::run),
        scenario("honest_clients", World, honest_clients::run),
        scenario("init_container", World, init_container::run),
        scenario("kinds_of_workload", World, kinds_of_workload::run),
        scenario("stock_images", World, stock_images::run),
        scenario("pod_security", World, pod_security::run),
        scenario("pod_fields", World, pod_fields::run),
        scenario("running_pod", World, running_pod::run),
        scenario("carve_out", World, carve_out::run),
        scenario("adversary", World, adversary::run),
        scenario("peers", World, peers::run),
        scenario("inbound", World, inbound::run),
        scenario("stateful_peers", World, stateful_peers::run),
        scenario("uncovered_pod", World, uncovered_pod::run),
        scenario("drafts", World, drafts::run),
        scenario("status_and_conditions", World, status_and_conditions::run),
        scenario("command_line", World, command_line::run),
        scenario("forbidden_pod", Cluster, forbidden_pod::run),
        scenario("narrowed_pods", World, narrowed_pods::run),
        scenario("restarts", Cluster, restarts::run),
        scenario("resources", Cluster, resources::run),
        scenario("claims", Cluster, claims::run),
        scenario("access", Cluster, access::run),
        scenario("roles", Cluster, roles::run),
        scenario("operator_rights", Cluster, operator_rights::run),
        scenario("narrowing", Cluster, narrowing::run),
        scenario("bad_objects", Cluster, bad_objects::run),
        scenario("footprint", Cluster, footprint::run),
    ])
}
