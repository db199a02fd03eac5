//! The command line says what the cluster does: for each try of a pod, outside and inside the cluster, `simulate` gives the verdict, the
//! reason and the rule of the sidecar's record, by the document that is in force; `explain`, `inventory` and `status` say what is there,
//! also to somebody who may read the kinds of Shekara alone, and of a holding that is closed; a draft of `propose` is refused by the API
//! server until each fact is filled in, and then taken.

mod inside;
pub(crate) mod program;
mod proposal;

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use kube::api::DeleteParams;
use serde_json::{Value, json};
use shekara_crds::DataHolding;
use shekara_e2e::clients::{curl_at, curl_with};
use shekara_e2e::holdings::{CONDITION, FACE};
use shekara_e2e::scenario::{Border, Scenario};
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::{ADS, CLINIC, MAPS};
use shekara_policy::record::{Decision, FlowRecord};

use program::{ALLOWED, DENIED, ERROR, Program, at};

/// A Service of every cluster, which no holding lists.
const KUBERNETES: &str = "kubernetes.default.svc.cluster.local";

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let tls = |host: &str| json!([{"host": host, "ports": [443], "protocol": "TLS"}]);
    let border = scenario.border(&[("clinic", tls(CLINIC)), ("maps", tls(MAPS))]).await?;
    let program = Program::find(&scenario.namespace)?;
    explain(&program, &border).await?;
    simulate(scenario, &program, &border).await?;
    inventory(&program, &border).await?;
    status(&program).await?;
    regulator(scenario, &program).await?;
    proposal::check(scenario, &program, &border).await?;
    inside::check(scenario, &program, &border).await?;
    closed(scenario, &program).await
}

/// A holding that was deleted stays, for a regulator too.
async fn closed(scenario: &Scenario, program: &Program) -> Result<()> {
    scenario.api::<DataHolding>().delete("faces", &DeleteParams::default()).await?;
    let regulator = program.bound("auditor", Some("shekara-regulator")).await?;
    let row = until("the inventory shows the holding as closed", CONDITION, async || {
        let (_, said) = regulator.run(&["inventory"]).await?;
        let row = said.lines().find(|line| line.contains("faces") && line.contains("closed 20")).map(str::to_owned);
        Ok(Seen::some_or(row, said))
    })
    .await?;
    ensure!(row.contains(FACE), "another row: {row}");
    let (code, said) = regulator.run(&["status", "faces"]).await?;
    let whole = ["Closed:", "clinic", "UnlistedParty"].iter().all(|word| said.contains(word));
    ensure!(code == ALLOWED && whole, "it ended with {code}: {said}");
    let (_, list) = program.json(&["status", "faces"]).await?;
    ensure!(*at(&list, "/items/0/kind") == json!("ClosedHolding"), "{list:#}");
    program.unbind("auditor", &scenario.namespace).await
}

/// Tries destinations for real, and asks the program the same.
async fn simulate(scenario: &Scenario, program: &Program, border: &Border) -> Result<()> {
    let world = scenario.world()?;
    let ads = world.hosts.get(ADS)?.any_v4()?;
    let maps = world.hosts.get(MAPS)?.v4("DE")?;
    let clinic = world.hosts.get(CLINIC)?.v4("KZ")?;
    let named = |name: &'static str| move |record: &FlowRecord| record.name.as_deref() == Some(name) && record.port == 443;
    let tries: [(&str, Vec<String>, &str, Option<IpAddr>); 4] = [
        (CLINIC, curl_with(&format!("https://{CLINIC}/"), &["--ipv4"]), CLINIC, Some(clinic)),
        (ADS, curl_at(&format!("https://{ADS}/"), ADS, 443, ads), ADS, Some(ads)),
        (MAPS, curl_with(&format!("https://{MAPS}/"), &["--ipv4"]), MAPS, Some(maps)),
        ("an address without a name", curl_with(&format!("https://{ads}/"), &["--insecure"]), "", None),
    ];
    for (what, command, host, address) in tries {
        border.covered.run(&command).await?;
        let record = match host {
            "" => border.covered.record(what, |record| record.name.is_none() && record.destination == Some(ads)).await?,
            _ => {
                border
                    .covered
                    .record(
                        what,
                        named(if host == CLINIC {
                            CLINIC
                        } else if host == ADS {
                            ADS
                        } else {
                            MAPS
                        }),
                    )
                    .await?
            }
        };
        let destination = if host.is_empty() { format!("{ads}:443") } else { format!("{host}:443") };
        let address = address.map(|address| address.to_string());
        let given = address.as_deref().map(|address| vec!["--address", address]).unwrap_or_default();
        same(program, &border.covered.name, &destination, &given, &record).await?;
    }
    Ok(())
}

/// Asserts that the program says what the record says.
async fn same(program: &Program, pod: &str, destination: &str, address: &[&str], record: &FlowRecord) -> Result<()> {
    let target = format!("pod/{pod}");
    let arguments = [&["simulate", target.as_str(), destination][..], address].concat();
    let (code, answer) = program.json(&arguments).await?;
    let differs = || format!("{destination}: the record is {record:?}, the program says {answer:#}");
    let expected = if record.verdict == Decision::Allow { ALLOWED } else { DENIED };
    ensure!(code == expected, "it ended with {code}; {}", differs());
    ensure!(*at(&answer, "/verdict") == json!(record.verdict), "{}", differs());
    ensure!(*at(&answer, "/reason") == json!(record.reason), "{}", differs());
    ensure!(*at(&answer, "/country") == json!(record.country), "{}", differs());
    ensure!(*at(&answer, "/protocol") == json!(record.protocol) || record.verdict == Decision::Deny, "{}", differs());
    let rules: Vec<Value> = record.rules.iter().map(|rule| json!(rule)).collect();
    let said: Vec<Value> = at(&answer, "/rules").as_array().into_iter().flatten().map(rule).collect();
    ensure!(said == rules, "other rules; {}", differs());
    if record.verdict == Decision::Deny {
        ensure!(*at(&answer, "/deniedBy/holding") == json!(record.denied_by), "another holding; {}", differs());
        ensure!(*at(&answer, "/deniedBy/standard") == json!(record.standard), "another standard; {}", differs());
    }
    ensure!(*at(&answer, "/documents/0/inForce") == json!(true), "another document than the operator's; {}", differs());
    ensure!(*at(&answer, "/warnings") == json!([]), "{}", differs());
    Ok(())
}

fn rule(view: &Value) -> Value {
    json!({"holding": at(view, "/holding"), "recipient": at(view, "/recipient")})
}

/// The covered pod is explained, with its routes, and so is the one that nobody covers.
async fn explain(program: &Program, border: &Border) -> Result<()> {
    let target = format!("pod/{}", border.covered.name);
    let covered = until("the pod is explained as enforcing", CONDITION, async || {
        let (_, answer) = program.json(&["explain", &target]).await?;
        Ok(Seen::some_or((*at(&answer, "/state") == json!("Enforcing")).then(|| answer.clone()), answer.to_string()))
    })
    .await?;
    ensure!(
        *at(&covered, "/injected") == json!(true) && *at(&covered, "/proven") == json!(true),
        "other than covered: {covered:#}"
    );
    let holding = at(&covered, "/holdings/0");
    ensure!(*at(holding, "/name") == json!("faces") && *at(holding, "/inForce") == json!(true), "another holding: {covered:#}");
    ensure!(*at(holding, "/stamped") == json!(true) && *at(holding, "/claimedBy") == json!("workloadSelector"), "{covered:#}");
    let routes = at(holding, "/routes").as_array().context("there are no routes")?;
    let open = routes.iter().filter(|route| at(route, "/closed").is_null() && *at(route, "/countries") == json!(["KZ"]));
    ensure!(open.count() == 2, "other routes: {covered:#}");
    let (code, free) = program.json(&["explain", &format!("pod/{}", border.free.name)]).await?;
    ensure!(code == ALLOWED && *at(&free, "/state") == json!("NoHolding") && *at(&free, "/injected") == json!(false), "{free:#}");
    let (code, said) = program.run(&["explain", "pod/nobody"]).await?;
    ensure!(code == ERROR && said.contains("there is no pod \"nobody\""), "it ended with {code}: {said}");
    Ok(())
}

async fn inventory(program: &Program, border: &Border) -> Result<()> {
    let (_, answer) = program.json(&["inventory"]).await?;
    let holding = at(&answer, "/holdings/0");
    ensure!(*at(holding, "/name") == json!("faces") && *at(holding, "/data") == json!([FACE]), "another holding: {answer:#}");
    ensure!(*at(holding, "/protected") == json!(true) && *at(holding, "/covered") == json!(1), "other coverage: {answer:#}");
    let unclaimed = at(&answer, "/unclaimed").as_array().context("workloads that nobody claims are not there")?;
    let free = unclaimed
        .iter()
        .any(|workload| *at(workload, "/name") == json!(border.free.name) && *at(workload, "/kind") == json!("Pod"));
    ensure!(free, "the free pod is not among those that nobody claims: {answer:#}");
    let covered = unclaimed.iter().any(|workload| *at(workload, "/name") == json!(border.covered.name));
    ensure!(!covered, "the covered pod is among those that nobody claims: {answer:#}");
    Ok(())
}

/// As a plugin of kubectl, in words.
async fn status(program: &Program) -> Result<()> {
    until("the denials are in the status", CONDITION, async || {
        let (code, said) = program.plugin(&["status", "faces"]).await?;
        ensure!(code == ALLOWED, "it ended with {code}: {said}");
        let all = ["UnlistedParty", "CrossBorder", "NoName"].iter().all(|reason| said.contains(reason));
        Ok(Seen::some_or(all.then_some(()), said))
    })
    .await?;
    let (_, said) = program.plugin(&["status"]).await?;
    let row = said.lines().find(|line| line.contains("faces")).context("there is no row of the holding")?;
    let cells: Vec<&str> = row.split_whitespace().collect();
    ensure!(cells.get(1..5) == Some(&["faces", "True", "Enforce", "1/1"]), "another row: {row}");
    Ok(())
}

/// Somebody who may read the kinds of Shekara alone gets what they say, and is told what he may not see; a stranger is told that
/// he may see nothing.
async fn regulator(scenario: &Scenario, program: &Program) -> Result<()> {
    let (code, said) = program.bound("stranger", None).await?.run(&["status"]).await?;
    ensure!(code == ERROR && said.contains("you may not list dataholdings in the namespace"), "it ended with {code}: {said}");
    let regulator = program.bound("regulator", Some("shekara-regulator")).await?;
    for command in [&["status"][..], &["inventory"], &["propose"]] {
        let (code, said) = regulator.run(command).await?;
        ensure!(code == ALLOWED, "a regulator's {command:?} ended with {code}: {said}");
    }
    let (_, said) = regulator.run(&["inventory"]).await?;
    ensure!(said.contains("faces") && said.contains("note: you may not"), "what may not be seen is not said: {said}");
    let (code, said) = regulator.run(&["simulate", "holding/faces", &format!("{CLINIC}:443"), "--country", "KZ"]).await?;
    ensure!(said.contains("--cluster-network"), "nobody says what is not known: {said}");
    ensure!(code == ALLOWED || code == DENIED, "it ended with {code}: {said}");
    let inside = format!("{KUBERNETES}:443");
    let (code, said) = regulator.run(&["simulate", "holding/faces", &inside]).await?;
    ensure!(code == ERROR && said.contains("you may not list services in the whole cluster"), "it ended with {code}: {said}");
    program.unbind("regulator", &scenario.namespace).await
}
