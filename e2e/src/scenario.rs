//! A scenario's own place: a protected namespace, and objects of the cluster that concern this namespace alone.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::try_join;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client as Kube};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shekara_crds::{PROTECT_LABEL, Recipient, SovereigntyStandard};

use crate::attempt::{Arrival, Attempt, all_closed, packets_at};
use crate::clients::{curl, curl_at};
use crate::cluster::{connect, within};
use crate::environment::{self, Images};
use crate::pods::Client;
use crate::pods::workload::{Cover, Workload};
use crate::wait::{Seen, until};
use crate::world::World;
use crate::world::hosts::cast::{ADS, CLINIC};

/// The label of everything that a scenario made, with its namespace as the value.
pub const SCENARIO_LABEL: &str = "shekara.dev/scenario";

/// The folder in which client pods find the certificate of the test authority, as `ca.pem`.
pub const AUTHORITY_FOLDER: &str = "/authority";

/// The certificate of the test authority in client pods.
pub const AUTHORITY: &str = "/authority/ca.pem";

/// How long an API server may take to learn of a change of admission.
const ADMISSION: Duration = Duration::from_secs(15);

/// A scenario's own place in the cluster.
pub struct Scenario {
    /// The API of the cluster.
    pub kube: Kube,
    /// The scenario's namespace; the names of its cluster-scoped objects begin with it.
    pub namespace: String,
    /// The images.
    pub images: Images,
    world: Option<World>,
}

/// A pod that the holding covers, and one that none covers, with the same clients in the same namespace.
pub struct Border {
    /// The covered pod.
    pub covered: Client,
    /// The other one.
    pub free: Client,
}

impl Border {
    /// Asserts that the clinic, which a transfer lists, is reached by the covered pod, and that an unlisted party is not.
    ///
    /// # Errors
    /// When the clinic is not reached or the unlisted party is, at the client or at the receiving end.
    pub async fn stands(&self, world: &World) -> Result<()> {
        let (ads, since) = (world.hosts.get(ADS)?.any_v4()?, world.sniffer.clock().await?);
        let status = self.covered.run(&curl(&format!("https://{CLINIC}/"))).await?.success()?;
        ensure!(status == "200", "the clinic answers {status}");
        let arrived = packets_at(&world.sniffer, &self.covered, world.hosts.get(CLINIC)?, since).await?;
        ensure!(!arrived.is_empty(), "the clinic saw nothing");
        let unlisted = curl_at(&format!("https://{ADS}/"), ADS, 443, ads);
        let attempts = [Attempt::new("an unlisted party", &unlisted, Arrival::Packet(ads, "tcp"))];
        for outcome in all_closed(&world.sniffer, &self.covered, &self.free, &attempts).await? {
            outcome.failure()?;
        }
        Ok(())
    }
}

impl Scenario {
    /// Makes the namespace.
    ///
    /// # Errors
    /// When the cluster or the world cannot be reached.
    pub async fn begin(name: &str) -> Result<Self> {
        let kube = connect().await?;
        let world = match environment::world()? {
            Some(settings) => Some(World::find(&settings).await?),
            None => None,
        };
        let namespaces: Api<Namespace> = Api::all(kube.clone());
        let place: Namespace = serde_json::from_value(json!({
            "metadata": {"generateName": format!("e2e-{}-", name.replace('_', "-")), "labels": {PROTECT_LABEL: "true"}}
        }))?;
        let made = namespaces.create(&PostParams::default(), &place).await.context("no namespace can be made")?;
        let namespace = made.metadata.name.context("the namespace has no name")?;
        let scenario = Self { kube, namespace, images: Images::read()?, world };
        scenario.give_authority().await?;
        Ok(scenario)
    }

    /// Deletes what the scenario made.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn end(&self) -> Result<()> {
        let own = ListParams::default().labels(&format!("{SCENARIO_LABEL}={}", self.namespace));
        let webhooks: Api<MutatingWebhookConfiguration> = Api::all(self.kube.clone());
        webhooks.delete_collection(&DeleteParams::default(), &own).await?;
        let namespaces: Api<Namespace> = Api::all(self.kube.clone());
        namespaces.delete(&self.namespace, &DeleteParams::default()).await?;
        let (recipients, standards): (Api<Recipient>, Api<SovereigntyStandard>) =
            (Api::all(self.kube.clone()), Api::all(self.kube.clone()));
        recipients.delete_collection(&DeleteParams::default(), &own).await?;
        standards.delete_collection(&DeleteParams::default(), &own).await?;
        Ok(())
    }

    /// The world.
    ///
    /// # Errors
    /// Where the cluster has none: such scenarios are not run.
    pub fn world(&self) -> Result<&World> {
        self.world.as_ref().context("needs the world")
    }

    /// The name of a cluster-scoped object of this scenario.
    #[must_use]
    pub fn named(&self, name: &str) -> String {
        format!("{}-{name}", self.namespace)
    }

    /// The API of a kind in the scenario's namespace.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        within(&self.kube, &self.namespace)
    }

    /// Takes the finalizers of an object away, with which neither it nor the namespace would go.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn let_go<K>(&self, name: &str) -> Result<()>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
        K::DynamicType: Default,
    {
        let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        self.api::<K>().patch(name, &PatchParams::default(), &free).await.map(drop).map_err(Into::into)
    }

    /// A manifest of a pod with a client that waits for commands.
    ///
    /// # Errors
    /// When the images do not name the clients.
    pub fn client_manifest(&self, name: &str, cover: Cover) -> Result<Workload> {
        Ok(Workload::new(name, cover).container(self.client_container("client", &["sleep", "infinity"])?))
    }

    /// A container with the clients, running a command.
    ///
    /// # Errors
    /// When the images do not name the clients.
    pub fn client_container(&self, name: &str, command: &[&str]) -> Result<Value> {
        self.container_of("clients", name, command)
    }

    /// A container of an image, as `moreclients`, which trusts the test authority, running a command.
    ///
    /// # Errors
    /// When the images do not name it.
    pub fn container_of(&self, image: &str, name: &str, command: &[&str]) -> Result<Value> {
        Ok(json!({
            "name": name, "image": self.images.get(image)?, "command": command,
            "volumeMounts": [{"name": "authority", "mountPath": AUTHORITY_FOLDER}],
        }))
    }

    /// Starts a pod with clients, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn client(&self, name: &str, cover: Cover) -> Result<Client> {
        self.start(&self.client_manifest(name, cover)?).await
    }

    /// Starts a pod, and waits until it is ready.
    ///
    /// # Errors
    /// When it is refused, or does not become ready.
    pub async fn start(&self, workload: &Workload) -> Result<Client> {
        let pod = self.create(workload).await?;
        Client::ready(&self.api(), pod.metadata.name.as_deref().unwrap_or_default()).await
    }

    /// Starts a pod with clients as soon as the API server lets it be created: it takes moments to learn of an operator that came
    /// or of a policy that went, and refuses covered pods meanwhile. Waits until the pod is ready.
    ///
    /// # Errors
    /// When it is refused for longer, or does not become ready.
    pub async fn client_in_time(&self, name: &str, cover: Cover) -> Result<Client> {
        self.start_in_time(&self.client_manifest(name, cover)?).await
    }

    /// The same with any pod.
    ///
    /// # Errors
    /// As [`Self::client_in_time`].
    pub async fn start_in_time(&self, workload: &Workload) -> Result<Client> {
        let (api, name, pod) = (self.api::<Pod>(), workload.name(), workload.pod()?);
        until(&format!("the pod {name} can be created"), ADMISSION, async || {
            match api.create(&PostParams::default(), &pod).await {
                Ok(_) => Ok(Seen::Yes(())),
                Err(kube::Error::Api(status)) if status.code == 403 => Ok(Seen::NotYet(status.message)),
                Err(error) => Err(error.into()),
            }
        })
        .await?;
        Client::ready(&api, name).await
    }

    /// Creates a pod.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn create(&self, workload: &Workload) -> Result<Pod> {
        let pod = workload.pod()?;
        self.api::<Pod>().create(&PostParams::default(), &pod).await.context("the pod is refused")
    }

    /// What the API server would make of a pod with clients; it creates none.
    ///
    /// # Errors
    /// When it would be refused.
    pub async fn would_be(&self, name: &str, cover: Cover) -> Result<Pod> {
        let pod = self.client_manifest(name, cover)?.pod()?;
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        self.api::<Pod>().create(&dry, &pod).await.context("the pod would be refused")
    }

    /// Asserts that the API server itself refuses a pod that the holding `faces` would cover: admission is not there to cover it.
    ///
    /// # Errors
    /// When it is taken, or refused for another reason.
    pub async fn refuses_covered_pods(&self) -> Result<()> {
        let bare = self.client_manifest("bare", Cover::Covered)?.pod()?;
        match self.api::<Pod>().create(&PostParams::default(), &bare).await {
            Err(kube::Error::Api(status)) if status.message.contains("DataHolding faces") => Ok(()),
            Err(error) => Err(error).context("the pod is refused for another reason"),
            Ok(_) => bail!("a pod that would be covered was created without admission"),
        }
    }

    /// The whole border: the standard, recipients with these endpoints, a holding with a transfer to each, a covered pod in
    /// which it is enforced, and a pod that no holding covers.
    ///
    /// # Errors
    /// When something is refused, or the holding is not enforced in time.
    pub async fn border(&self, recipients: &[(&str, Value)]) -> Result<Border> {
        self.standard().await?;
        for (name, endpoints) in recipients {
            self.recipient(name, endpoints.clone()).await?;
        }
        self.holding(&recipients.iter().map(|(name, _)| *name).collect::<Vec<_>>()).await?;
        let (covered, free) = try_join(self.client_in_time("covered", Cover::Covered), self.client("free", Cover::Free)).await?;
        self.enforcing(1).await?;
        Ok(Border { covered, free })
    }

    /// Waits until a pod of a workload is ready.
    ///
    /// # Errors
    /// When none becomes ready.
    pub async fn client_of(&self, workload: &str) -> Result<Client> {
        let pods = self.api::<Pod>();
        let list = ListParams::default().labels(&format!("workload={workload}"));
        let name = until(&format!("a pod of {workload}"), Duration::from_secs(30), async || {
            let found = pods.list(&list).await?.items.pop().and_then(|pod| pod.metadata.name);
            Ok(Seen::some_or(found, "none"))
        })
        .await?;
        Client::ready(&pods, &name).await
    }

    /// Puts the certificate of the test authority where client pods mount it. Without a world it is empty.
    async fn give_authority(&self) -> Result<()> {
        let certificate = self.world.as_ref().map(|world| world.authority.clone()).unwrap_or_default();
        let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "authority"}, "data": {"ca.pem": certificate}}))?;
        self.api::<ConfigMap>().create(&PostParams::default(), &map).await?;
        Ok(())
    }
}
