//! Scenarios that run beside each other, on a real cluster with real clients.
//!
//! Each says what it promises and which ways out it closes, by their numbers in the threat model.

mod cross_border;
mod dns_question;
mod listed_party;
mod literal_address;
mod name_elsewhere;
mod other_protocols;
mod over_ipv6;
mod unlisted_party;

use std::process::ExitCode;

use shekara_e2e::harness::Needs::World;
use shekara_e2e::harness::{run, scenario};

fn main() -> ExitCode {
    run(vec![
        scenario("listed_party", World, listed_party::run),
        scenario("unlisted_party", World, unlisted_party::run),
        scenario("cross_border", World, cross_border::run),
        scenario("name_elsewhere", World, name_elsewhere::run),
        scenario("literal_address", World, literal_address::run),
        scenario("over_ipv6", World, over_ipv6::run),
        scenario("other_protocols", World, other_protocols::run),
        scenario("dns_question", World, dns_question::run),
    ])
}
