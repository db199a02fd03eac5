//! Objects from a cluster: every request has a time limit, and what may not be read says which right is missing.

mod connect;
mod network;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Service};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use shekara_crds::{DataHolding, Recipient, SovereigntyStandard, closed};

use super::answer;
use super::{Answer, Asked, Need, OPERATOR, Objects, Request, Rights};
use crate::arguments::Common;
use crate::network::Network;
use crate::place::Settings;

/// How many objects one request asks for.
const PAGE: u32 = 500;

/// A kind whose objects are read.
trait Kind: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned {}

impl<K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned> Kind for K {}

pub(super) fn read(common: &Common, request: &Request) -> Result<Objects> {
    runtime()?.block_on(async { Reader::connect(common).await?.read(request).await })
}

/// Reads who is where, as far as it matters for what is asked.
pub(super) fn network(common: &Common, asked: &Asked<'_>) -> Result<Network> {
    runtime()?.block_on(async { Ok(Reader::connect(common).await?.network(asked).await) })
}

/// Reads what the owners of these namespaces have answered.
pub(super) fn answers(common: &Common, namespaces: &BTreeSet<String>) -> Result<(BTreeMap<String, Answer>, Vec<String>)> {
    runtime()?.block_on(async { Ok(Reader::connect(common).await?.answers(namespaces).await) })
}

/// Reads who may what.
pub(super) fn rights(common: &Common) -> Result<Rights> {
    runtime()?.block_on(async { Ok(Reader::connect(common).await?.rights().await?) })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime can be started")
}

struct Reader {
    client: Client,
    /// The namespace to look in; none for all.
    namespace: Option<String>,
    operator_namespace: String,
    timeout: Duration,
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("you may not {verb} {kind} {place}: ask for that right; docs/cli.md lists what each command reads")]
    Forbidden { verb: &'static str, kind: &'static str, place: String },
    #[error("the API server does not know who you are, asked for {0}: log in again")]
    Unknown(&'static str),
    #[error("the cluster does not know the kind {0}: install Shekara, or name another cluster with --context")]
    NoKind(&'static str),
    #[error("the API server did not answer a request for {kind} within {seconds} s: --request-timeout allows more")]
    Late { kind: &'static str, seconds: u64 },
    #[error("{kind} {name} cannot be read, and without it the answer could be wrong: {problem}")]
    Unreadable { kind: &'static str, name: String, problem: String },
    #[error("the API server cannot be asked for {kind}; is it the right cluster, and does it run?")]
    Failed { kind: &'static str, source: Box<kube::Error> },
}

impl Reader {
    async fn connect(common: &Common) -> Result<Self> {
        let mut config = connect::config(common).await?;
        config.connect_timeout = Some(common.request_timeout);
        config.read_timeout = Some(common.request_timeout);
        config.write_timeout = Some(common.request_timeout);
        let namespace = common.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).context("the cluster that the kubeconfig names cannot be used")?;
        Ok(Self {
            client,
            namespace: (!common.all_namespaces).then_some(namespace),
            operator_namespace: common.operator_namespace.clone(),
            timeout: common.request_timeout,
        })
    }

    async fn read(&self, request: &Request) -> Result<Objects> {
        let mut objects = Objects::default();
        objects.holdings = self.holdings(&mut objects.notes).await?;
        let needs = request.needs;
        let is_there = |name: &String| objects.holdings.iter().any(|holding| holding.name_any() == *name);
        if needs.closed == Need::Wanted || needs.closed == Need::Needed && !request.holding.as_ref().is_some_and(is_there) {
            self.closed(&mut objects).await;
        }
        if needs.namespaces {
            let found = self.namespaces().await;
            objects.namespaces = wanted(found, &mut objects.notes, "whether namespaces are protected is not known");
        }
        objects.pods = match needs.pods {
            Need::No if needs.every_pod => {
                Some(self.list("pods", &self.within(self.namespace.as_deref()), &ListParams::default()).await?)
            }
            Need::No => None,
            Need::Wanted => self.pods(&mut objects).await,
            Need::Needed => Some(self.named_pods(request.pod.as_deref().unwrap_or_default()).await?),
        };
        if needs.rules != Need::No {
            match self.rules().await {
                Ok((standards, recipients)) => {
                    (objects.standards, objects.recipients, objects.rules_known) = (standards, recipients, true);
                }
                Err(error) if needs.rules == Need::Wanted => objects.notes.push(format!("{error}; routes are not shown")),
                Err(error) => return Err(error.into()),
            }
        } else if needs.recipients {
            let found = self.whole("recipients").await;
            objects.recipients = wanted(found, &mut objects.notes, "recipients that exist already are proposed again");
        }
        if needs.surroundings {
            self.surroundings(&mut objects, request).await;
        }
        Ok(objects)
    }

    async fn rules(&self) -> Result<(Vec<SovereigntyStandard>, Vec<Recipient>), ReadError> {
        Ok((self.whole("sovereigntystandards").await?, self.whole("recipients").await?))
    }

    async fn whole<K>(&self, kind: &'static str) -> Result<Vec<K>, ReadError>
    where
        K: Kind + Resource<Scope = ClusterResourceScope>,
    {
        self.list(kind, &Api::all(self.client.clone()), &ListParams::default()).await
    }

    /// The holdings. One that cannot be read is left out and noted, so that the others are seen.
    async fn holdings(&self, notes: &mut Vec<String>) -> Result<Vec<DataHolding>, ReadError> {
        let mut holdings = Vec::new();
        let api = self.within::<DataHolding>(self.namespace.as_deref());
        for guard in self.pages("dataholdings", &api, &ListParams::default(), |_| true).await? {
            match guard.0 {
                Ok(holding) => holdings.push(holding),
                Err(invalid) => {
                    let (namespace, name) =
                        (invalid.metadata.namespace.unwrap_or_default(), invalid.metadata.name.unwrap_or_default());
                    notes.push(format!("the DataHolding {namespace}/{name} cannot be read and is left out: {}", invalid.error));
                }
            }
        }
        Ok(holdings)
    }

    async fn closed(&self, objects: &mut Objects) {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.operator_namespace);
        let found = wanted(self.get(&api, "configmaps", closed::NAME).await, &mut objects.notes, "closed holdings are not shown");
        if let Some(map) = found {
            objects.take_closed(map, self.namespace.as_deref());
        }
    }

    async fn rights(&self) -> Result<Rights, ReadError> {
        let (all, namespace) = (ListParams::default(), self.namespace.as_deref());
        Ok(Rights {
            cluster_roles: self.whole("clusterroles").await?,
            roles: self.list("roles", &self.within(namespace), &all).await?,
            cluster_bindings: self.whole("clusterrolebindings").await?,
            bindings: self.list("rolebindings", &self.within(namespace), &all).await?,
        })
    }

    async fn answers(&self, namespaces: &BTreeSet<String>) -> (BTreeMap<String, Answer>, Vec<String>) {
        let (mut answers, mut notes) = (BTreeMap::new(), Vec::new());
        for namespace in namespaces {
            let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
            let found = self.get(&api, "configmaps", answer::NAME).await;
            let Some(map) = wanted(found, &mut notes, "what its owner has answered is not shown") else { continue };
            match Answer::of(&map) {
                Ok(answer) => drop(answers.insert(namespace.clone(), answer)),
                Err(problem) => notes.push(format!("the ConfigMap {namespace}/{} is no answer: {problem}", answer::NAME)),
            }
        }
        (answers, notes)
    }

    async fn namespaces(&self) -> Result<Vec<Namespace>, ReadError> {
        match &self.namespace {
            Some(name) => Ok(self.get(&Api::all(self.client.clone()), "namespaces", name).await?.into_iter().collect()),
            None => self.list("namespaces", &Api::all(self.client.clone()), &ListParams::default()).await,
        }
    }

    /// The pods of protected namespaces, the only ones where a pod that no holding claims is worth a word.
    async fn pods(&self, objects: &mut Objects) -> Option<Vec<Pod>> {
        let protected = |namespace: &&Namespace| shekara_crds::cover::is_protected(namespace.labels());
        let names: Vec<String> = objects.namespaces.iter().filter(protected).map(ResourceExt::name_any).collect();
        let mut pods = Vec::new();
        for name in names {
            match self.list("pods", &self.within(Some(&name)), &ListParams::default()).await {
                Ok(found) => pods.extend::<Vec<Pod>>(found),
                Err(error) => {
                    objects.notes.push(format!("{error}; workloads that no holding claims are not shown"));
                    return None;
                }
            }
        }
        Some(pods)
    }

    async fn named_pods(&self, name: &str) -> Result<Vec<Pod>, ReadError> {
        match &self.namespace {
            Some(namespace) => {
                let api = Api::namespaced(self.client.clone(), namespace);
                Ok(self.get(&api, "pods", name).await?.into_iter().collect())
            }
            None => self.list("pods", &self.within(None), &ListParams::default().fields(&format!("metadata.name={name}"))).await,
        }
    }

    /// The Services that holdings and a destination name, and the operator's Deployment.
    async fn surroundings(&self, objects: &mut Objects, request: &Request) {
        let api = Api::namespaced(self.client.clone(), &self.operator_namespace);
        let consequence = "--cluster-network says what is inside the cluster";
        objects.operator = wanted(self.get::<Deployment>(&api, "deployments", OPERATOR).await, &mut objects.notes, consequence);
        let listed = objects.holdings.iter().flat_map(|holding| &holding.spec.in_cluster);
        let mut names: BTreeSet<(String, String)> =
            listed.map(|listed| (listed.namespace.clone(), listed.service.clone())).collect();
        names.extend(request.service.clone());
        names.extend(Settings::of(objects.operator.as_ref()).ok().map(|settings| settings.dns_service));
        for (namespace, name) in names {
            let api: Api<Service> = Api::namespaced(self.client.clone(), &namespace);
            let found = self.get(&api, "services", &name).await;
            let consequence = format!("the addresses of the Service {namespace}/{name} are not known");
            objects.services.extend(wanted(found, &mut objects.notes, &consequence));
        }
    }

    fn within<K>(&self, namespace: Option<&str>) -> Api<DeserializeGuard<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    async fn list<K: Kind>(
        &self,
        kind: &'static str,
        api: &Api<DeserializeGuard<K>>,
        parameters: &ListParams,
    ) -> Result<Vec<K>, ReadError> {
        self.those(kind, api, parameters, |_| true).await
    }

    /// Those of the objects that an API lists that are wanted. One that cannot be read is an error: an answer without it could be a
    /// wrong one.
    async fn those<K: Kind>(
        &self,
        kind: &'static str,
        api: &Api<DeserializeGuard<K>>,
        parameters: &ListParams,
        wanted: impl Fn(&K) -> bool,
    ) -> Result<Vec<K>, ReadError> {
        let whole = |guard: DeserializeGuard<K>| {
            guard.0.map_err(|invalid| {
                let name = invalid.metadata.name.unwrap_or_default();
                ReadError::Unreadable { kind, name, problem: invalid.error }
            })
        };
        self.pages(kind, api, parameters, wanted).await?.into_iter().map(whole).collect()
    }

    async fn pages<K: Kind>(
        &self,
        kind: &'static str,
        api: &Api<DeserializeGuard<K>>,
        parameters: &ListParams,
        wanted: impl Fn(&K) -> bool,
    ) -> Result<Vec<DeserializeGuard<K>>, ReadError> {
        let mut found = Vec::new();
        let mut parameters = parameters.clone().limit(PAGE);
        loop {
            let page = self.limited(kind, "list", api.namespace(), api.list(&parameters)).await?;
            found.extend(page.items.into_iter().filter(|guard| guard.0.as_ref().map_or(true, &wanted)));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(found),
            }
        }
    }

    async fn get<K: Kind>(&self, api: &Api<K>, kind: &'static str, name: &str) -> Result<Option<K>, ReadError> {
        self.limited(kind, "get", api.namespace(), api.get_opt(name)).await
    }

    async fn limited<T>(
        &self,
        kind: &'static str,
        verb: &'static str,
        namespace: Option<&str>,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, ReadError> {
        let answer = tokio::time::timeout(self.timeout, request).await;
        answer.map_err(|_| ReadError::Late { kind, seconds: self.timeout.as_secs() })?.map_err(|error| match error {
            kube::Error::Api(status) if status.code == 403 => {
                let place = namespace.map_or_else(|| "in the whole cluster".into(), |name| format!("in the namespace {name}"));
                ReadError::Forbidden { verb, kind, place }
            }
            kube::Error::Api(status) if status.code == 404 && verb == "list" => ReadError::NoKind(kind),
            kube::Error::Api(status) if status.code == 401 => ReadError::Unknown(kind),
            error => ReadError::Failed { kind, source: Box::new(error) },
        })
    }
}

/// What was found; nothing, and a note with the consequence, where it could not be read.
fn wanted<T: Default>(found: Result<T, ReadError>, notes: &mut Vec<String>, consequence: &str) -> T {
    found.unwrap_or_else(|error| {
        notes.push(format!("{error}; {consequence}"));
        T::default()
    })
}
