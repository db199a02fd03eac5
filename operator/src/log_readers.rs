//! Pods of the cluster that mount what others print on their nodes. They are few and concern every holding, so they are kept apart.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kube::Client;
use parking_lot::Mutex;
use shekara_crds::compile::Collectors;

use crate::owners::KnownWorkloads;
use crate::watch::{Key, Owner, PodSummary};

/// Those that there are, and the workloads behind them as far as they were asked for.
#[derive(Default)]
pub(crate) struct LogReaders {
    readers: Mutex<BTreeMap<Key, Reader>>,
    workloads: KnownWorkloads,
}

/// What there is to know of one. One that has ended has read what there was, so it counts until its object is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reader {
    labels: BTreeMap<String, String>,
    owner: Owner,
}

impl LogReaders {
    /// Takes note of a pod as it is now, if it is one. Whether a reader came, went, or is otherwise than before.
    pub(crate) fn note(&self, key: &Key, pod: Option<&PodSummary>) -> bool {
        let reader = pod.filter(|pod| pod.reads_logs).map(|pod| Reader {
            labels: pod.labels.clone(),
            owner: pod.owner.clone().unwrap_or_else(|| Owner::pod(&pod.name, pod.uid.clone())),
        });
        let mut readers = self.readers.lock();
        match reader {
            Some(reader) => readers.insert(key.clone(), reader.clone()) != Some(reader),
            None => readers.remove(key).is_some(),
        }
    }

    /// The workloads of those that not each of these lists allows, in the words of a person.
    pub(crate) async fn unlisted(&self, client: &Client, lists: &[Collectors]) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for (namespace, owner) in self.owners(lists) {
            let workload = self.workloads.behind(client, &namespace, &owner).await;
            let Owner { kind, name, .. } = workload.unwrap_or(owner);
            names.insert(format!("{kind} {name} in {namespace}"));
        }
        names
    }

    /// The owners of those that not each of these lists allows, each once.
    fn owners(&self, lists: &[Collectors]) -> Vec<(String, Owner)> {
        if lists.is_empty() {
            return vec![];
        }
        let readers = self.readers.lock();
        let allowed = |key: &Key, reader: &Reader| lists.iter().all(|list| list.allow(&key.namespace, &reader.labels));
        let unlisted = readers.iter().filter(|(key, reader)| !allowed(key, reader));
        let owners: HashMap<&str, (String, Owner)> =
            unlisted.map(|(key, reader)| (reader.owner.uid.as_str(), (key.namespace.clone(), reader.owner.clone()))).collect();
        owners.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::controllers::holding::{compile, dereference};
    use crate::fixtures::{ApiServer, caches, client, config, holding, namespace};

    const JOBS: &str = "/apis/batch/v1/namespaces/logging/jobs";

    fn reader(job: &str) -> PodSummary {
        let owner = Owner { api_version: "batch/v1".into(), kind: "Job".into(), name: job.into(), uid: format!("uid of {job}") };
        PodSummary { reads_logs: true, ended: true, owner: Some(owner), ..PodSummary::default() }
    }

    fn job(name: &str) -> (String, Value) {
        let owner = json!({"apiVersion": "batch/v1", "kind": "CronJob", "name": "ship-logs", "uid": "c", "controller": true});
        let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "ownerReferences": [owner]}});
        (format!("{JOBS}/{name}"), job)
    }

    fn key(pod: &str) -> Key {
        Key::new("logging", pod)
    }

    #[test]
    fn what_is_otherwise_than_before_is_said() {
        let readers = LogReaders::default();
        assert!(!readers.note(&key("other"), Some(&PodSummary::default())) && !readers.note(&key("other"), None));
        let pod = reader("a");
        assert!(readers.note(&key("a"), Some(&pod)), "it came");
        assert!(!readers.note(&key("a"), Some(&PodSummary { restarts: 1, ended: false, ..pod.clone() })), "it is the same");
        let labels = [("app".to_owned(), "agent".to_owned())].into();
        assert!(readers.note(&key("a"), Some(&PodSummary { labels, ..pod })), "it has other labels");
        assert!(readers.note(&key("a"), None) && !readers.note(&key("a"), None), "it went");
    }

    /// What the standard says of logs, and who is named.
    #[rstest]
    #[case::nothing(Value::Null, &[])]
    #[case::that_nobody_looks(json!({"mode": "Open"}), &[])]
    #[case::nobody(json!({"mode": "Reported"}), &["DaemonSet agent in logging", "Pod hand in logging"])]
    #[case::one_at_home(json!({"mode": "Reported", "collectors": [collector("agent", "KZ")]}), &["Pod hand in logging"])]
    #[case::one_abroad(json!({"mode": "Reported", "collectors": [collector("agent", "DE"), collector("hand", "KZ")]}), &["DaemonSet agent in logging"])]
    #[case::both(json!({"mode": "Reported", "collectors": [collector("agent", "KZ"), collector("hand", "KZ")]}), &[])]
    #[tokio::test]
    async fn who_reads_what_pods_print_and_is_not_listed_is_named(#[case] logs: Value, #[case] expected: &[&str]) {
        let pod = |name: &str, path: &str, owners: Value| {
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": "logging", "uid": name, "labels": {"app": name}, "ownerReferences": owners},
                "spec": {"containers": [], "volumes": [{"name": "logs", "hostPath": {"path": path}}]}
            })
        };
        let owners = json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": "d", "controller": true}]);
        let standard = json!({
            "apiVersion": "shekara.dev/v1alpha1", "kind": "SovereigntyStandard", "metadata": {"name": "kz"},
            "spec": {
                "title": "Home", "authority": {"name": "Ministry", "country": "KZ"}, "appliesTo": {"data": ["biometric.*"]}, "homeCountries": ["KZ"],
                "transfers": [{"data": ["biometric.*"], "countries": ["KZ"], "grounds": ["Law"]}], "logs": logs
            }
        });
        let caches = caches(&[
            namespace("cameras", json!({})),
            holding("faces", "a"),
            standard,
            pod("agent", "/var/log", owners),
            pod("hand", "/", Value::Null),
            pod("other", "/etc/cni", Value::Null),
        ]);
        let readers = LogReaders::default();
        for (key, pod) in caches.pods.all() {
            readers.note(&key, Some(&pod));
        }
        let subject = dereference(&caches, &config(), &Key::new("cameras", "faces")).unwrap();
        let lists = compile(&subject, jiff::Timestamp::now()).log_collectors;
        assert_eq!(readers.unlisted(&client(), &lists).await.iter().collect::<Vec<_>>(), expected);
    }

    fn collector(app: &str, country: &str) -> Value {
        json!({"pods": {"namespace": "logging", "podSelector": {"matchLabels": {"app": app}}}, "country": country})
    }

    #[tokio::test]
    async fn one_workload_has_one_name_however_often_it_runs_and_is_asked_for_once_a_run() {
        let (server, client) = ApiServer::start(vec![job("ship-logs-1"), job("ship-logs-2")]).await;
        let readers = LogReaders::default();
        let lists = [Collectors::default()];
        for run in ["ship-logs-1", "ship-logs-2"] {
            readers.note(&key(run), Some(&reader(run)));
            for _ in 0..2 {
                let named = readers.unlisted(&client, &lists).await;
                assert_eq!(named, ["CronJob ship-logs in logging".to_owned()].into());
            }
        }
        assert_eq!(["ship-logs-1", "ship-logs-2"].map(|run| server.asked(&format!("{JOBS}/{run}"))), [1, 1]);
        assert!(readers.unlisted(&client, &[]).await.is_empty(), "where no standard asks for a list nobody looks");
        readers.note(&key("ship-logs-3"), Some(&reader("ship-logs-3")));
        let named = readers.unlisted(&client, &lists).await;
        assert!(named.contains("Job ship-logs-3 in logging"), "{named:?}");
    }
}
