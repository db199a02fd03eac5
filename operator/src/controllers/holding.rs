//! Holdings: what the caches hold of one, its compilation, what its pods and sidecars show, and the status that says so.

pub(super) mod claims;
mod closing;
mod coverage;
mod flows;
mod inbound;
mod missed;
pub(super) mod restart;
mod said;
mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use shekara_crds::compile::{ListedService, Surroundings};
use shekara_crds::data_holding::status::HeldCategory;
use shekara_crds::declaration::{self, missing};
use shekara_crds::{Compiled, DataHolding, DataHoldingSpec, Recipient, SovereigntyStandard, narrowing};
use shekara_policy::document::Cluster;
use shekara_policy::{Category, PolicyDocument};

use super::{ApplyError, Context, Visited, apply};
use crate::caches::Caches;
use crate::config::Config;
use crate::watch::{Key, Kind, NamespaceLabels, PodSummary};
pub(crate) use coverage::{State, state};
use coverage::{Survey, Trust};
use restart::Restarts;
use status::View;

/// How long the sidecars may take to load a new document before the holding counts as not enforced.
pub(crate) const LOADING: Duration = Duration::from_secs(30);
/// How much later than an interval a checkpoint may come.
pub(crate) const LATE: Duration = Duration::from_secs(5);
/// The longest time to the next visit: timers over years are not needed, a visit that changes nothing writes nothing.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// A holding with everything that its compilation depends on.
pub(crate) struct Subject {
    pub(crate) holding: Arc<DataHolding>,
    pub(crate) namespace: Arc<NamespaceLabels>,
    standards: Vec<SovereigntyStandard>,
    recipients: BTreeMap<String, Recipient>,
    services: Vec<ListedService>,
    cluster: Cluster,
}

/// Gathers what a holding depends on. None where it is gone, or where its namespace is not known yet: without its labels a
/// standard could be overlooked.
pub(crate) fn dereference(caches: &Caches, config: &Config, key: &Key) -> Option<Subject> {
    around(caches, config, caches.holdings.get(key)?)
}

/// The same for a holding that is not there yet.
pub(crate) fn around(caches: &Caches, config: &Config, holding: Arc<DataHolding>) -> Option<Subject> {
    let namespace = caches.namespaces.get(&Key::new("", holding.metadata.namespace.as_deref().unwrap_or_default()))?;
    let standards = caches.standards.all().into_iter().map(|(_, standard)| (*standard).clone()).collect();
    let named = |name: &String| Some((name.clone(), (*caches.recipients.get(&Key::new("", name))?).clone()));
    let recipients = holding.spec.transfers.iter().filter_map(|transfer| named(&transfer.recipient)).collect();
    let service = |namespace: &String, name: &String| {
        let found = caches.services.get(&Key::new(namespace, name))?;
        Some(ListedService { namespace: namespace.clone(), name: name.clone(), external_name: found.external_name })
    };
    let listed = holding.spec.in_cluster.iter();
    let services = listed.filter_map(|listed| service(&listed.namespace, &listed.service)).collect();
    let cluster = Cluster {
        networks: config.cluster_networks.clone(),
        domain: config.cluster_domain.clone(),
        resolvers: caches.resolvers(config),
    };
    Some(Subject { holding, namespace, standards, recipients, services, cluster })
}

/// Compiles a holding, with what its status says it counts besides.
pub(crate) fn compile(subject: &Subject, now: Timestamp) -> Compiled {
    shekara_crds::compile(&subject.holding, subject.around(now))
}

impl Subject {
    /// Has its status say what is to be counted, of what its last document counted: also what was taken away since, as long as a
    /// pod lives that was there before.
    pub(crate) fn counting(mut self, documented: &BTreeSet<Category>, caches: &Caches, now: Timestamp) -> Self {
        let held = narrowing::held(&self.holding, documented, || oldest(&self.holding, caches), now);
        if self.held() != held {
            Arc::make_mut(&mut self.holding).status.get_or_insert_default().held = held;
        }
        self
    }

    /// What its status says is counted.
    pub(crate) fn held(&self) -> &[HeldCategory] {
        self.holding.status.as_ref().map(|status| status.held.as_slice()).unwrap_or_default()
    }

    fn around(&self, now: Timestamp) -> Surroundings<'_> {
        Surroundings {
            standards: &self.standards,
            recipients: &self.recipients,
            namespace_labels: &self.namespace.0,
            services: &self.services,
            cluster: &self.cluster,
            now,
        }
    }
}

/// When the oldest live pod of a holding was created.
fn oldest(holding: &DataHolding, caches: &Caches) -> Option<Timestamp> {
    let pods = caches.pods.in_namespace(holding.metadata.namespace.as_deref().unwrap_or_default());
    pods.iter().filter(|(_, pod)| pod.is_of(holding)).map(|(_, pod)| pod.created()).min()
}

pub(super) async fn visit(context: &Context, key: &Key) -> Result<Visited, ApplyError> {
    let caches = &context.caches;
    let Some(holding) = caches.holdings.get(key) else {
        context.pace.forget(key);
        return Ok(closing::visit(context, key, Timestamp::now()));
    };
    if let Some(before) = context.ledger.is_there(&holding, Timestamp::now()) {
        closing::close(context, &before);
    }
    // what is not there yet comes with a change, and then there is another visit
    let Some(subject) = dereference(caches, &context.config, key) else { return Ok(Visited::Done) };
    let Some(published) = context.documents.of(&key.namespace).get(&key.name).cloned() else { return Ok(Visited::Done) };
    let now = Timestamp::now();
    let subject = subject.counting(&published.document.data, caches, now);
    let compiled = compile(&subject, now);
    if compiled.document.data != published.document.data {
        // the last pod has ended that was there before a narrowing
        context.queues.documents.push(key.clone());
    }
    let pods = caches.pods.in_namespace(&key.namespace);
    let trust = Trust { root: context.keys.current().root.to_string(), observe_until: compiled.document.observe_until, now };
    let pods: Vec<&PodSummary> = pods.iter().map(|(_, pod)| &**pod).collect();
    let survey = Survey::of(&holding, &published.digest, pods.iter().copied(), |pod| context.ledger.heard(pod), &trust);

    let settled = Duration::from_secs(context.config.checkpoint_interval.into()) + LATE;
    if let Some(rest) = settled.checked_sub(context.resumed.elapsed())
        && survey.unheard > 0
        && status::is_enforcing(&holding)
    {
        // the operator has just started: sidecars that were enforcing are about to say so again
        return Ok(Visited::Again(rest));
    }
    let loading = LOADING.checked_sub(published.since.elapsed());
    let collectors = context.log_readers.unlisted(&context.client, &compiled.log_collectors).await;
    let status = status::of(&View {
        holding: &holding,
        held: narrowing::written(&holding, subject.held(), &published.document.data),
        compiled: &compiled,
        missing: &missing(&subject.holding, subject.around(now)),
        digest: &published.digest,
        survey: &survey,
        shared: &claims::shared(&holding, &pods),
        collectors: &collectors,
        totals: &context.ledger.totals(key),
        protected: shekara_crds::cover::is_protected(&subject.namespace.0),
        loading: loading.is_some(),
        now,
    });
    if holding.status.as_ref() != Some(&status) {
        apply::status::<DataHolding>(context, Kind::DataHolding, &holding.metadata, &status).await?;
    }
    let loading = loading.filter(|_| survey.outdated() > 0);
    context.marked.mark(&context.client, &holding, &pods).await;
    let restarts =
        Restarts { client: &context.client, admission: &*context.admission, notices: &context.notices, pace: &context.pace };
    let protected = shekara_crds::cover::is_protected(&subject.namespace.0);
    let restarted = match compiled.restarts {
        // elsewhere a new pod would have no sidecar either
        Some(at_once) if protected => restarts.look(&holding, at_once, &survey, &pods, now).await,
        _ => None,
    };
    let of_it: Vec<&PodSummary> = pods.iter().copied().filter(|pod| pod.is_of(&holding)).collect();
    let replaced = missed::replace(&context.client, &of_it, now).await;
    let settled = narrowing::next_change(subject.held(), now).map(|settled| until(settled, now));
    let next =
        [next_change(&compiled.document, &holding.spec, now), settled, loading, restarted, replaced].into_iter().flatten().min();
    Ok(next.map_or(Visited::Done, Visited::Again))
}

/// How long it is until a permit or a declaration begins or ends, or the holding enforces.
fn next_change(document: &PolicyDocument, spec: &DataHoldingSpec, now: Timestamp) -> Option<Duration> {
    let windows = document.routes.iter().flat_map(|route| route.permits.iter().flatten());
    let instants = windows.flat_map(|window| [window.valid_from, window.valid_until]).flatten();
    let declared = declaration::next_change(spec, now);
    let next = instants.chain(document.observe_until).filter(|instant| *instant > now).chain(declared).min()?;
    Some(until(next, now))
}

fn until(instant: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(instant.duration_since(now)).unwrap_or(FAR).min(FAR)
}

#[cfg(test)]
mod tests;
