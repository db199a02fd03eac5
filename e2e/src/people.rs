//! Whom a client stands for: people with rights in a scenario's namespace, or the operator.

use anyhow::Result;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;

use crate::cluster::OPERATOR_NAMESPACE;
use crate::scenario::Scenario;

/// A client with the rights of a new service account of this name, to which these ClusterRoles are bound in the scenario's namespace.
///
/// # Errors
/// When the account or a binding is refused.
pub async fn acting_as(scenario: &Scenario, name: &str, roles: &[&str]) -> Result<Client> {
    let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": name}}))?;
    scenario.api::<ServiceAccount>().create(&PostParams::default(), &account).await?;
    for role in roles {
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": {"name": format!("{name}-{role}")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": scenario.namespace}],
        }))?;
        scenario.api::<RoleBinding>().create(&PostParams::default(), &binding).await?;
    }
    standing_for(&format!("system:serviceaccount:{}:{name}", scenario.namespace)).await
}

/// A client with the rights of the operator.
///
/// # Errors
/// When there is no kubeconfig.
pub async fn acting_as_operator() -> Result<Client> {
    standing_for(&format!("system:serviceaccount:{OPERATOR_NAMESPACE}:shekara-operator")).await
}

/// A client that acts as this user, in no group but those of every user and account.
///
/// # Errors
/// When there is no kubeconfig.
pub async fn standing_for(user: &str) -> Result<Client> {
    let mut config = Config::from_custom_kubeconfig(Kubeconfig::read()?, &KubeConfigOptions::default()).await?;
    config.auth_info.impersonate = Some(user.to_owned());
    Ok(Client::try_from(config)?)
}
