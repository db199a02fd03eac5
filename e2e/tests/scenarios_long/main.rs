//! Scenarios that take minutes, need many pods, or lose what cannot be put back: one after the other, with nothing else beside
//! them (`make test-long`).

mod clients_idle;
mod clients_more;
mod clients_volume;
mod inbound_measured;
mod keys_under_load;
mod new_root;
mod operator_away;
mod permit_expires;
mod policy_change;
mod postgres_replication;
mod revocation_many;

use std::process::ExitCode;
use std::time::Duration;

use shekara_e2e::harness::Needs::{Own, World};
use shekara_e2e::harness::{run, scenario_within};

/// Longer than any of them takes on two processors, without a failure.
const LIMIT: Duration = Duration::from_secs(1200);

fn main() -> ExitCode {
    run(vec![
        scenario_within(LIMIT, "revocation_many", World, revocation_many::run),
        scenario_within(LIMIT, "policy_change", World, policy_change::run),
        scenario_within(LIMIT, "postgres_replication", World, postgres_replication::run),
        scenario_within(LIMIT, "clients_more", World, clients_more::run),
        scenario_within(LIMIT, "clients_volume", World, clients_volume::run),
        scenario_within(LIMIT, "clients_idle", World, clients_idle::run),
        scenario_within(LIMIT, "inbound_measured", World, inbound_measured::run),
        scenario_within(LIMIT, "permit_expires", Own, permit_expires::run),
        scenario_within(LIMIT, "keys_under_load", Own, keys_under_load::run),
        scenario_within(LIMIT, "operator_away", Own, operator_away::run),
        // the last: from then on every pod of before is one that needs a restart
        scenario_within(LIMIT, "new_root", Own, new_root::run),
    ])
}
