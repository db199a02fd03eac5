//! Who connects to a covered pod can read from it. As long as no standard asks for lists everybody can, and the status says so; when one
//! does, a pod that no holding covers is closed out, living connections too, while a pod of the same data and a listed source of the
//! platform go on. The kubelet's probes keep the pod ready all the while.
//!
//! Closes 23 and 33 of the threat model.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join;
use k8s_openapi::api::core::v1::Service;
use kube::api::PostParams;
use serde_json::{Value, json};
use shekara_crds::DataHolding;
use shekara_crds::data_holding::status::InboundSummary;
use shekara_crds::sovereignty_standard::Listing;
use shekara_e2e::clients::curl;
use shekara_e2e::holdings::{CONDITION, with};
use shekara_e2e::pods::Client;
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::CLINIC;
use shekara_policy::Reason;

/// How long a standard may take to reach every sidecar.
const SOON: Duration = Duration::from_secs(30);

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let border = scenario.border(&[("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}]))]).await?;
    let nginx = scenario.images.get("nginx")?;
    let (web, scraper) = try_join(
        scenario.start(&scenario.client_manifest("web", Cover::Covered)?.serving("nginx", nginx, 80)),
        scenario.client("scraper", Cover::Free),
    )
    .await?;
    scenario.enforcing(2).await?;
    let place = Place { scenario, web, free: border.free, covered: border.covered, scraper };

    place.reads(&place.free).await.context("nothing asks for lists")?;
    let open = place.status(|inbound| inbound.clients.iter().any(|client| client.by == "*" && client.bytes_out > 0)).await?;
    ensure!(open.mode == Listing::Open, "the status does not say that it is open: {open:?}");

    place.list(json!([])).await?;
    place.is_closed_out(&place.free).await?;
    place.is_closed_out(&place.scraper).await?;
    place.reads(&place.covered).await.context("a pod of the same data")?;
    place.reads_itself().await.context("a pod by its own Service")?;
    place.list(json!([{
        "name": "scraper", "pods": {"namespace": scenario.namespace, "podSelector": {"matchLabels": {"workload": "scraper"}}}, "ports": [80],
    }]))
    .await?;
    until("the listed scraper is let in", SOON, async || Ok(Seen::some_or(place.reads(&place.scraper).await.ok(), "not yet")))
        .await?;
    place.is_closed_out(&place.free).await?;
    let listed = place.status(|inbound| inbound.denied > 0 && inbound.clients.len() > 2).await?;
    ensure!(listed.mode == Listing::Listed, "the status does not say that clients are listed: {listed:?}");
    let code = Reason::InboundUnlisted.code();
    ensure!(listed.denials.iter().any(|denial| denial.reason == code), "{code} is not among the denials: {listed:?}");
    place.is_ready().await
}

struct Place<'a> {
    scenario: &'a Scenario,
    web: Client,
    free: Client,
    covered: Client,
    scraper: Client,
}

impl Place<'_> {
    /// The standard asks for lists, and lists these sources.
    async fn list(&self, from: Value) -> Result<()> {
        let spec = with(self.scenario.standard_spec(), "/inbound", json!({"mode": "Listed", "from": from}))?;
        self.scenario.standard_with(spec).await?;
        self.scenario.condition("faces", "Enforcing", "True").await?;
        Ok(())
    }

    async fn reads(&self, client: &Client) -> Result<()> {
        let status = client.run(&curl(&self.url()?)).await?.success()?;
        ensure!(status == "200", "{} is answered {status}", client.name);
        Ok(())
    }

    /// A Service leads the pod back to itself, from the address of its node.
    async fn reads_itself(&self) -> Result<()> {
        let service: Service = serde_json::from_value(
            json!({"metadata": {"name": "web"}, "spec": {"selector": {"workload": "web"}, "ports": [{"port": 80}]}}),
        )?;
        self.scenario.api::<Service>().create(&PostParams::default(), &service).await?;
        let url = format!("http://web.{}.svc/", self.scenario.namespace);
        until("it reads itself by its Service", SOON, async || {
            let status = self.web.run(&curl(&url)).await?.success();
            Ok(Seen::some_or(status.ok().filter(|status| status == "200"), "not yet"))
        })
        .await?;
        Ok(())
    }

    /// It is soon closed out, and stays so.
    async fn is_closed_out(&self, client: &Client) -> Result<()> {
        until(&format!("{} is closed out", client.name), SOON, async || {
            let has_read = client.run(&curl(&self.url()?)).await?.succeeded();
            Ok(if has_read { Seen::NotYet("it still reads".to_owned()) } else { Seen::Yes(()) })
        })
        .await?;
        ensure!(!client.run(&curl(&self.url()?)).await?.succeeded(), "{} reads again", client.name);
        Ok(())
    }

    fn url(&self) -> Result<String> {
        Ok(format!("http://{}/", self.web.v4()?))
    }

    async fn status(&self, like: impl Fn(&InboundSummary) -> bool) -> Result<InboundSummary> {
        let api = self.scenario.api::<DataHolding>();
        until("the status says who connected", CONDITION, async || {
            let inbound = api.get("faces").await?.status.and_then(|status| status.inbound);
            Ok(match inbound {
                Some(inbound) if like(&inbound) => Seen::Yes(inbound),
                other => Seen::NotYet(format!("{other:?}")),
            })
        })
        .await
    }

    /// Its readiness probe, every second, has not failed since it began, and the sidecar has not started again.
    async fn is_ready(&self) -> Result<()> {
        let status = self.web.object().await?.status.context("the pod has no status")?;
        let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready").context("it is not said")?;
        ensure!(ready.status == "True", "the pod is not ready: {ready:?}");
        let restarts = status.container_statuses.iter().flatten().map(|container| container.restart_count).sum::<i32>();
        ensure!(restarts == 0, "containers have started again {restarts} times");
        Ok(())
    }
}
