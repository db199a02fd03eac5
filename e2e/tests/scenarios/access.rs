//! Who reaches into the pods of a namespace by the Kubernetes API, where a standard lists who may: nobody else, not even the
//! cluster's administrators, and not by way of the kubelets either. Elsewhere nothing changes.
//!
//! Closes 25 and, by way of the API server, 39 of the threat model.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use shekara_e2e::cluster::program;
use shekara_e2e::holdings::with;
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, until};

/// How long the API server may take to learn of a standard.
const LEARN: Duration = Duration::from_secs(30);

const ON_CALL: &str = "on-call";

/// What the kubelets tell of their node alone.
const OF_THE_NODE: [&str; 3] = ["metrics", "stats/summary", "healthz"];

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let pod = scenario.client("entered", Cover::Free).await?;
    let spec = scenario.api::<Pod>().get(&pod.name).await?.spec.unwrap_or_default();
    let node = spec.node_name.context("the pod is on no node")?;
    let ways = ways(&scenario.namespace, &pod.name, &node);
    for way in &ways {
        ensure!(administrator().tries(way).await?.is_none(), "{way} is refused though no standard asks for it");
    }
    administrator().runs_a_program(&scenario.namespace, &pod.name).await?;

    let account = |name: &str| format!("system:serviceaccount:{}:{name}", scenario.namespace);
    let listed = json!({"mode": "Listed", "groups": [ON_CALL], "serviceAccounts": [format!("{}/agent", scenario.namespace)]});
    let standard = scenario.standard_with(with(scenario.standard_spec(), "/access", listed)?).await?;
    for way in &ways {
        let said =
            until(&format!("{way} is refused"), LEARN, async || Ok(Seen::some_or(administrator().tries(way).await?, "not yet")))
                .await?;
        let who = format!(
            "the SovereigntyStandard {} lets only the groups {ON_CALL} ",
            standard.metadata.name.as_deref().unwrap_or_default()
        );
        ensure!(said.contains(&who), "another answer: {said}");
        for (user, group, refused) in [
            ("doctor".to_owned(), Some(ON_CALL), false),
            ("doctor".to_owned(), Some("on-call-2"), true),
            (account("agent"), None, false),
            (account("agent-2"), None, true),
        ] {
            let answer = User { name: user.clone(), group }.tries(way).await?;
            ensure!(answer.is_some() == refused, "{way} as {user} of {group:?}: {answer:?}");
        }
    }
    ensure!(administrator().runs_a_program(&scenario.namespace, &pod.name).await.is_err(), "a program runs in the pod");
    for path in OF_THE_NODE {
        let path = format!("/api/v1/nodes/{node}/proxy/{path}");
        ensure!(administrator().tries(&path).await?.is_none(), "{path} is refused");
    }
    let elsewhere = "/api/v1/namespaces/kube-system/pods/none/exec?command=true";
    ensure!(administrator().tries(elsewhere).await?.is_none(), "pods of other namespaces are closed too");
    Ok(())
}

/// Every way into a pod, as a path of the API.
fn ways(namespace: &str, pod: &str, node: &str) -> Vec<String> {
    let (here, kubelet) = (format!("/api/v1/namespaces/{namespace}"), format!("/api/v1/nodes/{node}/proxy"));
    vec![
        format!("{here}/pods/{pod}/exec?container=client&command=true&stdout=true"),
        format!("{here}/pods/{pod}/attach?container=client&stdout=true"),
        format!("{here}/pods/{pod}/portforward?ports=80"),
        format!("{here}/pods/{pod}:80/proxy/"),
        format!("{here}/pods/{pod}:80/proxy/deep/below"),
        format!("{here}/services/none:80/proxy/"),
        format!("{kubelet}/exec/{namespace}/{pod}/client?command=true"),
        format!("{kubelet}/run/{namespace}/{pod}/client?cmd=true"),
        format!("{kubelet}/attach/{namespace}/{pod}/client"),
        format!("{kubelet}/portForward/{namespace}/{pod}"),
        format!("{kubelet}/metrics/../exec/{namespace}/{pod}/client?command=true"),
        format!("{kubelet}/containerLogs/{namespace}/{pod}/client"),
    ]
}

/// Whoever has every right in the cluster.
fn administrator() -> User {
    User { name: "administrator".to_owned(), group: None }
}

/// Somebody with every right, and perhaps of one group more.
struct User {
    name: String,
    group: Option<&'static str>,
}

impl User {
    /// What the policies of the chart say where they refuse; nothing where it is another who answers.
    async fn tries(&self, path: &str) -> Result<Option<String>> {
        let Err(error) = self.kubectl(&["get", "--raw", path]).await else { return Ok(None) };
        let said = format!("{error:#}");
        match (said.contains("ValidatingAdmissionPolicy 'shekara-"), said.contains("orbidden")) {
            (true, _) => Ok(Some(said)),
            (false, true) => bail!("it is refused for another reason: {said}"),
            (false, false) => Ok(None),
        }
    }

    async fn runs_a_program(&self, namespace: &str, pod: &str) -> Result<()> {
        self.kubectl(&["exec", "-n", namespace, pod, "-c", "client", "--", "true"]).await.map(drop)
    }

    async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut whole = vec!["--as", &self.name, "--as-group", "system:masters"];
        if let Some(group) = self.group {
            whole.extend(["--as-group", group]);
        }
        whole.extend(arguments);
        program("kubectl", &whole).await
    }
}
