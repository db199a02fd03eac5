//! `kubectl shekara status`: what the cluster's objects say of each holding, in words.

use anyhow::{Context as _, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt as _};
use shekara_crds::DataHolding;
use shekara_crds::data_holding::status::{DataHoldingStatus, TransferVerdict};

/// Which holdings to show.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The namespace; that of the context when absent
    #[arg(short, long)]
    namespace: Option<String>,
    /// Holdings of every namespace
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// The context of the kubeconfig
    #[arg(long)]
    context: Option<String>,
    /// A holding by name; all when absent
    name: Option<String>,
}

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for holding in holdings(&arguments).await? {
            print!("{}", describe(&holding));
        }
        Ok(())
    })
}

async fn holdings(arguments: &Arguments) -> Result<Vec<DataHolding>> {
    let options = KubeConfigOptions { context: arguments.context.clone(), ..KubeConfigOptions::default() };
    let kubeconfig = Kubeconfig::read().context("no kubeconfig can be read")?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    let namespace = arguments.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config)?;
    let api: Api<DataHolding> = if arguments.all_namespaces { Api::all(client) } else { Api::namespaced(client, &namespace) };
    let mut holdings = api.list(&kube::api::ListParams::default()).await.context("the holdings cannot be listed")?.items;
    holdings.retain(|holding| arguments.name.as_ref().is_none_or(|name| holding.name_any() == *name));
    Ok(holdings)
}

fn describe(holding: &DataHolding) -> String {
    let mut text = format!("{}/{}  {}\n", holding.namespace().unwrap_or_default(), holding.name_any(), holding.spec.title);
    let Some(status) = &holding.status else {
        return text + "  the operator has not seen it yet\n";
    };
    text += &conditions(status);
    if let Some(coverage) = &status.coverage {
        text += &format!("  covered {}\n", coverage.summary);
        for pod in &coverage.uncovered {
            text += &format!("    {} {}\n", pod.state, pod.name);
        }
    }
    for transfer in &status.transfers {
        let verdict = match transfer.verdict {
            TransferVerdict::Allowed => "allowed",
            TransferVerdict::Denied => "denied",
        };
        let country = transfer.country.as_deref().unwrap_or("-");
        let data = if transfer.data.is_empty() { "no data".to_owned() } else { transfer.data.join(", ") };
        let reason = transfer.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        text += &format!(
            "  {verdict} {country} {} [{data}]{reason}: {} flows, {} bytes out, {} bytes in\n",
            transfer.recipient, transfer.flows, transfer.bytes_out, transfer.bytes_in
        );
    }
    for denial in &status.denials {
        let last = denial.last_destination.as_deref().map(|last| format!(", last {last}")).unwrap_or_default();
        text += &format!("  denied {}: {} flows{last}\n", denial.reason, denial.flows);
    }
    text
}

fn conditions(status: &DataHoldingStatus) -> String {
    let line = |condition: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
        format!("  {}={} {}: {}\n", condition.type_, condition.status, condition.reason, condition.message)
    };
    status.conditions.iter().map(line).collect()
}
