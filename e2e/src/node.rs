//! Nodes of the tests' own cluster, which are containers of a Docker engine, and what happens to nodes.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1;
use kube::api::ListParams;
use kube::{Api, Client as Kube, ResourceExt as _};
use serde_json::Value;

use crate::cluster::program;
use crate::environment::source_tree;
use crate::pods::Client;

/// The namespace of containerd that has the pods.
const PODS: &str = "k8s.io";

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name, which is that of the container too.
    pub name: String,
}

/// A way from a node to networks of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    network: String,
    via: IpAddr,
}

impl Node {
    /// That of a pod.
    ///
    /// # Errors
    /// When the pod has none.
    pub async fn of(client: &Client) -> Result<Self> {
        let spec = client.object().await?.spec;
        let name = spec.and_then(|spec| spec.node_name).with_context(|| format!("{} has no node", client.name))?;
        Ok(Self { name })
    }

    /// All of them.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn all(kube: &Kube) -> Result<Vec<Self>> {
        let nodes: Api<v1::Node> = Api::all(kube.clone());
        let nodes = nodes.list(&ListParams::default()).await?.items;
        Ok(nodes.iter().map(|node| Self { name: node.name_any() }).collect())
    }

    /// Runs a command on it, with all rights, and gives what it prints.
    ///
    /// # Errors
    /// When it fails.
    pub async fn run(&self, command: &[&str]) -> Result<String> {
        let docker: Vec<&str> = ["exec", &self.name].into_iter().chain(command.iter().copied()).collect();
        program("docker", &docker).await
    }

    /// Kills the process that holds the namespaces of a pod, so that the kubelet makes a new sandbox for it.
    ///
    /// # Errors
    /// When the pod does not run there.
    pub async fn kill_sandbox(&self, namespace: &str, pod: &str) -> Result<()> {
        let (namespace, name) = (format!("^{namespace}$"), format!("^{pod}$"));
        let list = ["crictl", "pods", "--namespace", &namespace, "--name", &name, "--state", "ready", "--quiet"];
        let list = self.run(&list).await?;
        let sandbox = list.lines().next().with_context(|| format!("{pod} has no sandbox on {}", self.name))?;
        let said: Value = serde_json::from_str(&self.run(&["crictl", "inspectp", "--output", "json", sandbox]).await?)?;
        let process = said.pointer("/info/pid").and_then(Value::as_u64).context("the sandbox has no process")?;
        self.run(&["kill", "-9", &process.to_string()]).await.map(drop)
    }

    /// Has an image of its containerd bear another name too, and waits for nothing: the kubelet is told of it within moments.
    ///
    /// # Errors
    /// When it does not have the image.
    pub async fn name_image(&self, image: &str, another: &str) -> Result<()> {
        self.run(&["ctr", "--namespace", PODS, "images", "tag", "--force", image, another]).await.map(drop)
    }

    /// Whether the kubelet can start containers of an image without pulling it.
    pub async fn has_image(&self, image: &str) -> bool {
        self.run(&["crictl", "inspecti", "--quiet", image]).await.is_ok()
    }

    /// Takes a name of an image away; what runs is not touched.
    ///
    /// # Errors
    /// When it cannot be taken away.
    pub async fn forget_image(&self, image: &str) -> Result<()> {
        self.run(&["ctr", "--namespace", PODS, "images", "remove", image]).await.map(drop)
    }

    /// Its ways to these networks, by gateways.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn routes(&self, networks: &[&str]) -> Result<Vec<Route>> {
        let mut routes = Vec::new();
        for network in networks {
            let family = if network.contains(':') { "-6" } else { "-4" };
            let said = self.run(&["ip", family, "route", "show", network]).await?;
            routes.push(route(network, &said).with_context(|| format!("{} has no way to {network}: {said:?}", self.name))?);
        }
        Ok(routes)
    }

    /// Sets ways that went with the node's network.
    ///
    /// # Errors
    /// When one cannot be set.
    pub async fn set_routes(&self, routes: &[Route]) -> Result<()> {
        let command: Vec<String> =
            routes.iter().map(|route| format!("ip route replace {} via {}", route.network, route.via)).collect();
        self.run(&["sh", "-ec", &command.join("; ")]).await.map(drop)
    }

    /// Stops the node, with everything that runs on it, and starts it again. It is not ready yet then, and has no way to the world.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&self) -> Result<()> {
        program("docker", &["restart", &self.name]).await.map(drop)
    }
}

/// The way to a network, in what `ip route` says of it.
fn route(network: &str, said: &str) -> Option<Route> {
    let mut words = said.split_whitespace().skip_while(|word| *word != "via").skip(1);
    Some(Route { network: network.to_owned(), via: words.next()?.parse().ok()? })
}

/// Sets every way between the cluster and the world again, as `e2e/cluster up` does after a node was restarted.
///
/// # Errors
/// When the cluster has no world.
pub async fn join_world() -> Result<()> {
    let cluster = std::env::var("CLUSTER").context("CLUSTER is not set: scenarios run under `e2e/cluster exec`")?;
    let world: PathBuf = source_tree()?.join("e2e/world/world");
    program(&world.to_string_lossy(), &["up", &cluster]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_read() {
        let (four, six) = ("203.0.113.0/24", "2001:db8::/32");
        let read = route(four, "203.0.113.0/24 via 198.18.224.4 dev eth0 \n").unwrap();
        assert_eq!((read.network.as_str(), read.via.to_string().as_str()), (four, "198.18.224.4"));
        let read = route(six, "2001:db8::/32 via fd00::4 dev eth0 metric 1024 pref medium\n").unwrap();
        assert_eq!(read.via.to_string(), "fd00::4");
        assert_eq!(route(four, ""), None);
        assert_eq!(route(four, "203.0.113.0/24 dev eth0 scope link\n"), None);
    }
}
