//! The demo: applies the examples, lets real clients in their pods try real destinations, and says what came of it: at the client, in
//! the sidecar's record, at the destination, and in the status of the holdings.

mod stage;
mod status;
mod table;
mod tries;

use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::cluster::{connect, operator};
use crate::environment::{self, Images};
use crate::world::World;
use stage::Stage;
use tries::Outcome;

/// Runs the demo on the cluster that KUBECONFIG names. It can be run again on the same cluster.
///
/// # Errors
/// When something cannot be brought up, or an expectation fails: the message names each that did.
pub async fn run() -> Result<()> {
    let begin = Instant::now();
    let say = |what: &str| println!("demo: {what} ({:.0} s)", begin.elapsed().as_secs_f32());
    let settings = environment::world()?.context(
        "the demo needs the world, the test hosts that its clients try to reach, and this cluster has none beside it: \
         `make demo` without CLUSTER=current brings up a cluster that has",
    )?;
    let world = World::find(&settings).await?;
    let kube = connect().await?;
    operator(&kube).await?;

    say("applying examples/ and starting their workloads");
    let stage = Stage::set(&kube, &world, &Images::read()?).await?;
    say("every holding is enforced; clients try to get out");
    let mut failures = Vec::new();
    let mut rows = Vec::new();
    for one in tries::all(&world)? {
        let outcome = one.make(&stage, &world).await?;
        failures.extend(outcome.failure().map(|failure| format!("{} to {}: {failure}", outcome.client, outcome.destination)));
        rows.push(outcome);
    }
    println!("\n{}", table::render(&HEAD, &rows.iter().map(Outcome::cells).collect::<Vec<_>>()));
    failures.extend(status::show(&kube).await?);
    say("done");
    if !failures.is_empty() {
        bail!("not as expected:\n  {}", failures.join("\n  "));
    }
    Ok(())
}

const HEAD: [&str; 6] = ["CLIENT", "DESTINATION", "COUNTRY", "VERDICT", "REASON", "SAW A BYTE"];
