//! Another webhook that changes new pods, in a pod of its own: `e2e/injector/injector.py`. It is asked for the pods of the scenario's
//! namespace alone, and the scenario's end takes it away from the API server.

use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use shekara_e2e::clients::{curl, curl_at, shell};
use shekara_e2e::cluster::apply;
use shekara_e2e::pods::workload::{Cover, Workload};
use shekara_e2e::scenario::{AUTHORITY_FOLDER, SCENARIO_LABEL, Scenario};
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::{ADS, CLINIC};

/// The program.
const PROGRAM: &str = include_str!("../../../injector/injector.py");

/// The name of its pod and of its Service.
const NAME: &str = "injector";

/// Where it listens.
const PORT: u16 = 8443;

/// The annotation by which it says what it was asked for.
const MARK: &str = "injector.example.com/asked-at";

/// How long the API server may take to ask it.
const ASKED: Duration = Duration::from_secs(30);

/// Whether the API server asks it before Shekara or behind it: by the names of their configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Before,
    Behind,
}

impl Place {
    pub(super) const BOTH: [Self; 2] = [Self::Before, Self::Behind];

    /// In a word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Behind => "behind",
        }
    }

    fn configuration(self, scenario: &Scenario) -> String {
        let sorted = match self {
            Self::Before => "aa",
            Self::Behind => "zzz",
        };
        format!("{sorted}-{}", scenario.namespace)
    }
}

/// Whether the API server asks it again for a pod that others have changed after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    IfNeeded,
    Never,
}

/// The webhook.
pub(super) struct Injector<'a> {
    scenario: &'a Scenario,
    certificate: ByteString,
}

impl<'a> Injector<'a> {
    /// Starts it. Nobody asks it yet.
    pub(super) async fn start(scenario: &'a Scenario) -> Result<Self> {
        let data = json!({"data": {"injector.py": PROGRAM}});
        scenario.api::<ConfigMap>().patch("authority", &PatchParams::default(), &Patch::Merge(&data)).await?;
        let host = format!("{NAME}.{}.svc", scenario.namespace);
        let program = format!("{AUTHORITY_FOLDER}/injector.py");
        let command = ["python3", &program, &host, &trying(scenario)?];
        let mut container = scenario.client_container("client", &command)?;
        if let Some(fields) = container.as_object_mut() {
            fields.insert("readinessProbe".into(), json!({"tcpSocket": {"port": PORT}, "periodSeconds": 1}));
        }
        let workload = Workload::new(NAME, Cover::Free).container(container);
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": NAME},
            "spec": {"selector": {"workload": NAME}, "ports": [{"port": 443, "targetPort": PORT}]},
        }))?;
        scenario.api::<Service>().create(&PostParams::default(), &service).await.context("its Service is refused")?;
        let pod = scenario.start(&workload).await.context("the injector does not start")?;
        let certificate = pod.run(&["cat", "/tmp/injector.pem"]).await?.success()?;
        Ok(Self { scenario, certificate: ByteString(certificate.into_bytes()) })
    }

    /// Has the API server ask it for this way of changing pods, at this place and no other, and waits until it does.
    pub(super) async fn asked(&self, place: Place, again: Again, way: &str) -> Result<()> {
        for other in Place::BOTH.into_iter().filter(|other| *other != place) {
            self.forget(other).await?;
        }
        // the API server takes paths of lower case alone
        let path = format!("/{}/{again:?}/{way}", place.word()).to_ascii_lowercase();
        apply(&Api::all(self.scenario.kube.clone()), &self.configuration(place, again, &path)?).await?;
        until(&format!("the API server asks at {path}"), ASKED, async || {
            let mark = match self.scenario.would_be("asked", Cover::Free).await {
                Ok(pod) => pod.metadata.annotations.unwrap_or_default().remove(MARK),
                Err(error) => return Ok(Seen::NotYet(format!("{error:#}"))),
            };
            Ok(Seen::some_or((mark.as_ref() == Some(&path)).then_some(()), mark))
        })
        .await
    }

    async fn forget(&self, place: Place) -> Result<()> {
        let configurations: Api<MutatingWebhookConfiguration> = Api::all(self.scenario.kube.clone());
        match configurations.delete(&place.configuration(self.scenario), &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            answer => answer.map(drop).map_err(Into::into),
        }
    }

    /// Were it for other namespaces too, a failure of the scenario would keep pods from starting there.
    fn configuration(&self, place: Place, again: Again, path: &str) -> Result<MutatingWebhookConfiguration> {
        let (scenario, certificate) = (self.scenario, &self.certificate);
        Ok(serde_json::from_value(json!({
            "metadata": {"name": place.configuration(scenario), "labels": {SCENARIO_LABEL: scenario.namespace}},
            "webhooks": [{
                "name": "injector.example.com",
                "clientConfig": {
                    "caBundle": certificate, "service": {"name": NAME, "namespace": scenario.namespace, "port": 443, "path": path},
                },
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": scenario.namespace}},
                "rules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"], "scope": "Namespaced",
                }],
                "admissionReviewVersions": ["v1"], "sideEffects": "None", "timeoutSeconds": 10,
                // who is not asked shows nothing
                "failurePolicy": "Fail", "reinvocationPolicy": format!("{again:?}"),
            }],
        }))?)
    }
}

/// A container that says whether it has reached the clinic and an unlisted party, and ends.
fn trying(scenario: &Scenario) -> Result<String> {
    let ads = scenario.world()?.hosts.get(ADS)?.any_v4()?;
    let (listed, unlisted) = (curl(&format!("https://{CLINIC}/")), curl_at(&format!("https://{ADS}/"), ADS, 443, ads));
    let quiet = "> /dev/null 2>&1";
    let tries = format!("{} {quiet}; echo clinic=$?; {} {quiet}; echo ads=$?", shell(&listed), shell(&unlisted));
    Ok(scenario.client_container("trying", &["sh", "-c", &tries])?.to_string())
}
