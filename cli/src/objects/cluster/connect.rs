//! Which cluster is asked, and as whom: what the kubeconfig says, or in a pod its service account.

use anyhow::{Result, anyhow};
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::arguments::Common;

pub(super) async fn config(common: &Common) -> Result<Config> {
    let options = KubeConfigOptions { context: common.context.clone(), ..KubeConfigOptions::default() };
    let kubeconfig = match &common.kubeconfig {
        Some(file) => Kubeconfig::read_from(file).map_err(|error| anyhow!("{error}; --kubeconfig names another file"))?,
        None => match Kubeconfig::read() {
            Ok(kubeconfig) => kubeconfig,
            // in a pod there is no kubeconfig but a service account
            Err(error) => match Config::incluster() {
                Ok(config) if common.context.is_none() => return Ok(config),
                _ => return Err(anyhow!("{error}; set KUBECONFIG, or read files with --from")),
            },
        },
    };
    Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| anyhow!("{error}; --context names another cluster"))
}
