//! Scenarios that take minutes, need many pods, or lose what cannot be put back: one after the other, with nothing else beside
//! them (`make test-long`).

mod admission_measured;
mod another_network;
mod burst;
mod clients_idle;
mod clients_more;
mod clients_volume;
mod idle_long;
mod inbound_measured;
mod keys_under_load;
mod new_root;
mod operator_away;
mod own_authority;
mod permit_expires;
mod policy_change;
mod postgres_replication;
mod restarts_of_nodes;
mod revocation_many;
mod upgraded;

use std::process::ExitCode;
use std::time::Duration;

use shekara_e2e::harness::Needs::{Own, World};
use shekara_e2e::harness::{run, scenario_by_itself, scenario_in_turn, scenario_within};

/// Longer than any of them takes on two processors, without a failure.
const LIMIT: Duration = Duration::from_secs(1200);

/// The same for the burst: whatever fails in it, the values of the release are put back within this time.
const LIMIT_OF_BURST: Duration = Duration::from_secs(1800);

fn main() -> ExitCode {
    run(vec![
        // beside those that follow: a quarter of an hour in which nothing happens
        scenario_within(LIMIT, "clients_idle", World, clients_idle::run),
        scenario_in_turn(LIMIT, "revocation_many", World, revocation_many::run),
        scenario_in_turn(LIMIT, "policy_change", World, policy_change::run),
        scenario_in_turn(LIMIT, "postgres_replication", World, postgres_replication::run),
        scenario_in_turn(LIMIT, "clients_more", World, clients_more::run),
        scenario_in_turn(LIMIT, "clients_volume", World, clients_volume::run),
        scenario_in_turn(LIMIT, "inbound_measured", World, inbound_measured::run),
        scenario_in_turn(LIMIT, "permit_expires", Own, permit_expires::run),
        scenario_in_turn(LIMIT, "keys_under_load", Own, keys_under_load::run),
        scenario_in_turn(LIMIT, "operator_away", Own, operator_away::run),
        scenario_by_itself(LIMIT, "upgraded", Own, upgraded::run),
        scenario_by_itself(LIMIT, "own_authority", Own, own_authority::run),
        scenario_by_itself(LIMIT, "admission_measured", Own, admission_measured::run),
        scenario_by_itself(LIMIT, "idle_long", Own, idle_long::run),
        scenario_by_itself(LIMIT_OF_BURST, "burst", Own, burst::run),
        scenario_by_itself(LIMIT, "another_network", Own, another_network::run),
        scenario_by_itself(LIMIT, "restarts_of_nodes", Own, restarts_of_nodes::by_container),
        scenario_by_itself(LIMIT, "restarts_of_nodes_that_set_filters", Own, restarts_of_nodes::by_node),
        // the last: from then on every pod of before is one that needs a restart
        scenario_in_turn(LIMIT, "new_root", Own, new_root::run),
    ])
}
