//! What the roles for people allow and what they do not, as the API server answers somebody who has one of them and nothing else: a
//! data owner declares, a registrar approves and sets standards, a regulator reads, a monitoring centre reads incidents alone, and none of
//! them sees a Secret or reaches a pod.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use shekara_crds::{DataHolding, Recipient};
use shekara_e2e::cluster::{OPERATOR_NAMESPACE, within};
use shekara_e2e::people::{acting_as, standing_for};
use shekara_e2e::scenario::Scenario;

const OURS: &str = "shekara.dev";

/// What may be done to a resource: verbs, the group, the resource and its part, and the name where one alone is meant.
type Right<'a> = (&'a [&'a str], &'a str, &'a str, &'a str);

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "update", "patch", "delete"];

/// What no role of Shekara's gives, in any namespace.
const NOBODY: &[Right<'_>] = &[
    (READ, "", "secrets", ""),
    (&["create"], "", "pods/exec", ""),
    (&["create"], "", "pods/portforward", ""),
    (&["get"], "", "pods/log", ""),
    (&["create"], "", "pods", ""),
    (&["update", "patch"], OURS, "dataholdings/status", ""),
    (&["update", "patch"], OURS, "recipients/status", ""),
    (&["update", "patch"], OURS, "sovereigntystandards/status", ""),
    (&["create"], "", "serviceaccounts/token", ""),
    (&["impersonate"], "", "users", ""),
    (&["update", "patch", "delete"], "admissionregistration.k8s.io", "mutatingwebhookconfigurations", ""),
    (&["update", "patch", "delete"], "admissionregistration.k8s.io", "validatingadmissionpolicies", ""),
];

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    scenario.standard().await?;
    scenario.holding(&[]).await?;
    data_owner(scenario).await?;
    everywhere(scenario, "shekara-registrar", registrar).await?;
    everywhere(scenario, "shekara-regulator", regulator).await?;
    everywhere(scenario, "shekara-centre", centre).await
}

async fn data_owner(scenario: &Scenario) -> Result<()> {
    let client = acting_as(scenario, "data-owner", &["shekara-data-owner"]).await?;
    let own = Judged { client: &client, namespace: &scenario.namespace };
    own.may(&[(READ, OURS, "dataholdings", ""), (WRITE, OURS, "dataholdings", "")]).await?;
    own.may_not(NOBODY).await?;
    own.may_not(&[
        (&["narrow"], OURS, "dataholdings", ""),
        (WRITE, OURS, "recipients", ""),
        (WRITE, OURS, "sovereigntystandards", ""),
        (READ, "", "pods", ""),
    ])
    .await?;
    let elsewhere = Judged { client: &client, namespace: "default" };
    elsewhere.may_not(&[(READ, OURS, "dataholdings", ""), (WRITE, OURS, "dataholdings", "")]).await
}

async fn registrar(scenario: &Scenario, client: &Client) -> Result<()> {
    let anywhere = Judged { client, namespace: &scenario.namespace };
    anywhere
        .may(&[
            (READ, OURS, "recipients", ""),
            (WRITE, OURS, "recipients", ""),
            (READ, OURS, "sovereigntystandards", ""),
            (WRITE, OURS, "sovereigntystandards", ""),
            (READ, OURS, "dataholdings", ""),
            (&["update", "patch", "delete", "narrow"], OURS, "dataholdings", ""),
        ])
        .await?;
    anywhere.may_not(NOBODY).await?;
    anywhere.may_not(&[(&["create"], OURS, "dataholdings", ""), (READ, "", "pods", ""), (READ, "", "configmaps", "")]).await
}

async fn regulator(scenario: &Scenario, client: &Client) -> Result<()> {
    for namespace in [scenario.namespace.as_str(), OPERATOR_NAMESPACE] {
        let anywhere = Judged { client, namespace };
        anywhere
            .may(&[
                (READ, OURS, "dataholdings", ""),
                (READ, OURS, "recipients", ""),
                (READ, OURS, "sovereigntystandards", ""),
                (&["get"], "", "configmaps", "shekara-closed"),
                (&["get"], "", "configmaps", "shekara-none-held"),
            ])
            .await?;
        anywhere.may_not(NOBODY).await?;
        anywhere
            .may_not(&[
                (WRITE, OURS, "dataholdings", ""),
                (&["narrow"], OURS, "dataholdings", ""),
                (WRITE, OURS, "recipients", ""),
                (WRITE, OURS, "sovereigntystandards", ""),
                (READ, "", "pods", ""),
                (&["get"], "", "configmaps", "shekara-trust"),
                (&["list", "watch"], "", "configmaps", ""),
            ])
            .await?;
    }
    let holdings = within::<DataHolding>(client, &scenario.namespace).list(&ListParams::default()).await?.items;
    ensure!(holdings.iter().any(|holding| holding.status.is_some()), "the regulator sees no status");
    Api::<Recipient>::all(client.clone()).list(&ListParams::default()).await.context("Recipients")?;
    match within::<Secret>(client, OPERATOR_NAMESPACE).list(&ListParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(()),
        other => anyhow::bail!("a regulator lists Secrets: {:?}", other.map(|list| list.items.len())),
    }
}

async fn centre(scenario: &Scenario, client: &Client) -> Result<()> {
    let anywhere = Judged { client, namespace: &scenario.namespace };
    anywhere.may(&[(READ, OURS, "incidents", ""), (&["acknowledge"], OURS, "incidents", "")]).await?;
    anywhere.may_not(NOBODY).await?;
    anywhere
        .may_not(&[
            (WRITE, OURS, "incidents", ""),
            (READ, OURS, "dataholdings", ""),
            (WRITE, OURS, "dataholdings", ""),
            (READ, OURS, "recipients", ""),
            (WRITE, OURS, "recipients", ""),
            (READ, OURS, "sovereigntystandards", ""),
            (WRITE, OURS, "sovereigntystandards", ""),
            (READ, "", "pods", ""),
            (READ, "", "configmaps", ""),
        ])
        .await?;
    match within::<DataHolding>(client, &scenario.namespace).list(&ListParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(()),
        other => anyhow::bail!("a centre lists holdings: {:?}", other.map(|list| list.items.len())),
    }
}

/// Judges somebody to whom a role is given in the whole cluster, and takes it away again, whatever came of it.
async fn everywhere(scenario: &Scenario, role: &str, judge: impl AsyncFnOnce(&Scenario, &Client) -> Result<()>) -> Result<()> {
    let bindings: Api<ClusterRoleBinding> = Api::all(scenario.kube.clone());
    let name = scenario.named(role);
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
    }))?;
    bindings.create(&PostParams::default(), &binding).await?;
    let outcome = async { judge(scenario, &standing_for(&name).await?).await }.await;
    bindings.delete(&name, &DeleteParams::default()).await?;
    outcome.with_context(|| format!("the role {role}"))
}

/// Somebody, asked about one namespace and, for kinds of the cluster, about the cluster.
struct Judged<'a> {
    client: &'a Client,
    namespace: &'a str,
}

impl Judged<'_> {
    async fn may(&self, rights: &[Right<'_>]) -> Result<()> {
        self.are(rights, true).await
    }

    async fn may_not(&self, rights: &[Right<'_>]) -> Result<()> {
        self.are(rights, false).await
    }

    async fn are(&self, rights: &[Right<'_>], expected: bool) -> Result<()> {
        for (verbs, group, resource, name) in rights {
            for verb in *verbs {
                let allowed = self.asks(verb, group, resource, name).await?;
                let namespace = self.namespace;
                ensure!(allowed == expected, "{verb} {resource} {name} in {namespace}: allowed is {allowed}");
            }
        }
        Ok(())
    }

    async fn asks(&self, verb: &str, group: &str, resource: &str, name: &str) -> Result<bool> {
        let (resource, part) = resource.split_once('/').map_or((resource, None), |(whole, part)| (whole, Some(part.to_owned())));
        let cluster = ["recipients", "sovereigntystandards", "users"].contains(&resource);
        let attributes = ResourceAttributes {
            verb: Some(verb.to_owned()),
            group: Some(group.to_owned()),
            resource: Some(resource.to_owned()),
            subresource: part,
            name: Some(name.to_owned()),
            namespace: (!cluster).then(|| self.namespace.to_owned()),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
        let review = SelfSubjectAccessReview { spec, ..Default::default() };
        let answered = Api::<SelfSubjectAccessReview>::all(self.client.clone()).create(&PostParams::default(), &review).await?;
        Ok(answered.status.context("no answer")?.allowed)
    }
}
