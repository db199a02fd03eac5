//! Scenarios that count what the whole cluster does, or take parts of the installation away: one after the other, with nothing
//! else beside them.

mod counts;
mod keys_rotated;
mod node_agent;
mod operator_stopped;
mod other_injectors;
mod random_objects;
mod signed_documents;
mod undecodable_object;
mod uninstall;

use std::process::ExitCode;
use std::time::Duration;

use shekara_e2e::harness::Needs::Own;
use shekara_e2e::harness::{run, scenario, scenario_within};

/// How long those may take that start many pods.
const LIMIT: Duration = Duration::from_secs(900);

fn main() -> ExitCode {
    run(vec![
        scenario("random_objects", Own, random_objects::run),
        scenario("undecodable_object", Own, undecodable_object::run),
        scenario("counts", Own, counts::run),
        scenario("operator_stopped", Own, operator_stopped::run),
        scenario("signed_documents", Own, signed_documents::run),
        scenario("keys_rotated", Own, keys_rotated::run),
        scenario("node_agent", Own, node_agent::run),
        scenario_within(LIMIT, "other_injectors", Own, other_injectors::run),
        // the last: it installs anew at its end
        scenario("uninstall", Own, uninstall::run),
    ])
}
