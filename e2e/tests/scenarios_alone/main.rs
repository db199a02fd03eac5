//! Scenarios that take the operator or the whole installation away: one after the other, with nothing else beside them.

mod operator_stopped;
mod uninstall;

use std::process::ExitCode;

use shekara_e2e::harness::Needs::Own;
use shekara_e2e::harness::{run, scenario};

fn main() -> ExitCode {
    run(vec![
        scenario("operator_stopped", Own, operator_stopped::run),
        // the last: it installs anew at its end
        scenario("uninstall", Own, uninstall::run),
    ])
}
