//! The release of the chart that was found, the same with other images, and back.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use shekara_e2e::cluster::{RELEASE, helm};
use shekara_e2e::node::Node;
use shekara_e2e::release;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, until};

/// How long a kubelet may take to know a name of an image.
const KNOWN: Duration = Duration::from_secs(30);

/// The images of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Images {
    pub(super) operator: String,
    pub(super) sidecar: String,
}

impl Images {
    /// The same images as another release would call them.
    pub(super) fn with_other_names(&self) -> Self {
        let other = |image: &str| format!("{image}-upgraded");
        Self { operator: other(&self.operator), sidecar: other(&self.sidecar) }
    }

    fn both(&self) -> [&str; 2] {
        [&self.operator, &self.sidecar]
    }
}

/// A revision of the release.
pub(super) struct Release {
    revision: u64,
    values: Value,
    pub(super) images: Images,
}

impl Release {
    /// The one that is installed.
    pub(super) async fn found() -> Result<Self> {
        let (revision, status) = last_revision().await?;
        ensure!(status == "deployed", "the release is {status}");
        let values = values().await?;
        let image = |name: &str| {
            let image = values.pointer(&format!("/images/{name}")).and_then(Value::as_str).map(str::to_owned);
            image.with_context(|| format!("the release does not name the image of the {name}"))
        };
        let images = Images { operator: image("operator")?, sidecar: image("sidecar")? };
        Ok(Self { revision, images, values })
    }

    /// Upgrades to these images and another value.
    pub(super) async fn upgrade(&self, images: &Images, value: &str) -> Result<()> {
        let (operator, sidecar) = (format!("images.operator={}", images.operator), format!("images.sidecar={}", images.sidecar));
        release::set_all(&[&operator, &sidecar, value]).await
    }

    /// Goes back to this revision.
    pub(super) async fn roll_back(&self) -> Result<()> {
        release::roll_back(self.revision).await
    }

    /// Goes back to this revision where another one is installed, or one not to its end.
    pub(super) async fn put_back(&self) -> Result<()> {
        let (_, status) = last_revision().await?;
        if status == "deployed" && values().await? == self.values {
            return Ok(());
        }
        self.roll_back().await.context("the release cannot be put back")
    }
}

async fn values() -> Result<Value> {
    Ok(serde_json::from_str(&release::values().await?)?)
}

/// The number of the newest revision, and its status.
async fn last_revision() -> Result<(u64, String)> {
    let said = helm(&["history", RELEASE, "--max", "1", "--output", "json"]).await?;
    let history: Value = serde_json::from_str(&said)?;
    let field = |name: &str| history.pointer(&format!("/0/{name}"));
    let revision = field("revision").and_then(Value::as_u64);
    let status = field("status").and_then(Value::as_str).map(str::to_owned);
    revision.zip(status).with_context(|| format!("no revision: {said}"))
}

/// Has every node know the images by their other names too.
pub(super) async fn bear_other_names(scenario: &Scenario, images: &Images, others: &Images) -> Result<()> {
    for node in Node::all(&scenario.kube).await? {
        for (image, other) in images.both().into_iter().zip(others.both()) {
            node.name_image(image, other).await?;
            until(&format!("{} knows {other}", node.name), KNOWN, async || {
                Ok(Seen::some_or(node.has_image(other).await.then_some(()), "it does not"))
            })
            .await?;
        }
    }
    Ok(())
}

/// Takes the other names away.
pub(super) async fn forget_other_names(scenario: &Scenario, others: &Images) -> Result<()> {
    for node in Node::all(&scenario.kube).await? {
        for other in others.both() {
            node.forget_image(other).await?;
        }
    }
    Ok(())
}
