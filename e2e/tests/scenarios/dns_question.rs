//! A question for a name that no transfer lists is answered NXDOMAIN with a reason, at once, and no question reaches the
//! world: over UDP, over TCP, to a resolver of one's own, for a child of a listed name, for any type.
//!
//! Closes 5, 6, 7 and 38 of the threat model.

use anyhow::{Result, ensure};
use serde_json::json;
use shekara_e2e::attempt::{Arrival, Attempt, POD, all_closed};
use shekara_e2e::records::is_denial;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::world::hosts::cast::CLINIC;
use shekara_policy::Reason;
use shekara_policy::flow::Protocol;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let world = scenario.world()?;
    let border = scenario.border(&[("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}]))]).await?;
    let resolver = world.hosts.resolver()?.to_string();
    let at = format!("@{resolver}");
    let dig = |name: &str, options: &[&str]| -> (Vec<String>, Arrival) {
        let name = format!("{name}.{POD}.{}", scenario.namespace);
        let command = ["dig", "+tries=1", "+time=5"].iter().chain(options).map(ToString::to_string);
        (command.chain([format!("{name}.example.com")]).collect(), Arrival::Question(format!("{name}.example.com")))
    };
    let child = format!("{POD}.{}.{CLINIC}", scenario.namespace);
    let mut attempts = Vec::new();
    for (what, name, options) in [
        ("UDP", "a", &[][..]),
        ("TCP", "b", &["+tcp"][..]),
        ("another resolver", "c", &[at.as_str()][..]),
        ("another resolver over TCP", "d", &[at.as_str(), "+tcp"][..]),
        ("a TXT question", "e", &["-t", "TXT"][..]),
    ] {
        let (command, arrival) = dig(name, options);
        attempts.push(Attempt::new(what, &command, arrival));
    }
    let command = ["dig", "+tries=1", "+time=5", child.as_str()];
    attempts.push(Attempt::new("a child of a listed name", &command, Arrival::Question(child.clone())));
    for outcome in all_closed(&world.sniffer, &border.covered, &border.free, &attempts).await? {
        let answer = outcome.success()?;
        ensure!(answer.contains("status: NXDOMAIN"), "not NXDOMAIN: {answer}");
        ensure!(answer.contains("EDE: 15"), "no extended error 15: {answer}");
        ensure!(answer.contains("SOA"), "no SOA, so resolvers do not cache it: {answer}");
    }
    let listed = border.covered.run(&["dig", "+short", CLINIC]).await?.success()?;
    let addresses = &world.hosts.get(CLINIC)?.addresses;
    ensure!(
        addresses.iter().any(|placed| listed.contains(&placed.address.to_string())),
        "the listed name is answered {listed:?}"
    );
    let denied = |record: &shekara_policy::record::FlowRecord| {
        record.protocol == Protocol::Dns && is_denial(record, Reason::UnlistedQuestion)
    };
    border.covered.record("a denied question", denied).await?;
    Ok(())
}
