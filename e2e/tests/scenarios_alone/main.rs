//! Scenarios that take the operator or the whole installation away: one after the other, with nothing else beside them.

mod keys_rotated;
mod operator_stopped;
mod signed_documents;
mod uninstall;

use std::process::ExitCode;

use shekara_e2e::harness::Needs::Own;
use shekara_e2e::harness::{run, scenario};

fn main() -> ExitCode {
    run(vec![
        scenario("operator_stopped", Own, operator_stopped::run),
        scenario("signed_documents", Own, signed_documents::run),
        scenario("keys_rotated", Own, keys_rotated::run),
        // the last: it installs anew at its end
        scenario("uninstall", Own, uninstall::run),
    ])
}
