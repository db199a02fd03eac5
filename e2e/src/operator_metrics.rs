//! What the operator, the API server and sidecars count, read through the API server.

use anyhow::{Context as _, Result};
use kube::{Client, ResourceExt as _};

use crate::cluster::{OPERATOR_NAMESPACE, operator_pods};

/// The port of the operator's administration endpoints.
const ADMIN_PORT: u16 = 8080;

/// The port of a sidecar's metrics.
const SIDECAR_PORT: u16 = 15_020;

/// The sum of the operator's samples of a metric that have all of these labels, over its replicas.
///
/// # Errors
/// When a replica does not answer.
pub async fn operator_counts(client: &Client, metric: &str, labels: &[(&str, &str)]) -> Result<f64> {
    let mut sum = 0.0;
    for pod in operator_pods(client).await? {
        let path = format!("/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods/{}:{ADMIN_PORT}/proxy/metrics", pod.name_any());
        sum += sum_of(&ask(client, &path).await?, metric, labels);
    }
    Ok(sum)
}

/// The sum of the samples of a metric of a pod's sidecar.
///
/// # Errors
/// When it does not answer.
pub async fn sidecar_counts(client: &Client, namespace: &str, pod: &str, metric: &str) -> Result<f64> {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{SIDECAR_PORT}/proxy/metrics");
    Ok(sum_of(&ask(client, &path).await?, metric, &[]))
}

/// Every sample of a metric of the API server, with its labels as they are written.
///
/// # Errors
/// When it does not answer.
pub async fn api_server_counts(client: &Client, metric: &str) -> Result<Vec<(String, f64)>> {
    let text = ask(client, "/metrics").await?;
    Ok(samples(&text, metric).map(|(labels, value)| (labels.to_owned(), value)).collect())
}

/// The value of a label among labels as they are written.
#[must_use]
pub fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    labels.split(',').find_map(|label| label.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"'))
}

async fn ask(client: &Client, path: &str) -> Result<String> {
    client.request_text(http::Request::get(path).body(vec![])?).await.with_context(|| format!("{path} does not answer"))
}

fn sum_of(text: &str, metric: &str, wanted: &[(&str, &str)]) -> f64 {
    let has = |labels: &str| wanted.iter().all(|(name, value)| label(labels, name) == Some(value));
    samples(text, metric).filter(|(labels, _)| has(labels)).map(|(_, value)| value).sum()
}

/// The samples of a metric in the text format of Prometheus, none of whose labels here has a comma or quotes in its value.
fn samples<'a>(text: &'a str, metric: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
    text.lines().filter_map(move |line| {
        let rest = line.strip_prefix(metric)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.split_once('}')?,
            None => ("", rest),
        };
        Some((labels, value.trim().parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_by_their_labels() {
        let text = "# HELP a b\nwrites{kind=\"A\",outcome=\"done\"} 3\nwrites{kind=\"B\",outcome=\"done\"} 4\nwrites{kind=\"B\",outcome=\"failed\"} 1\nwrites_more 9\nplain 2\n";
        let close = |one: f64, other: f64| (one - other).abs() < f64::EPSILON;
        assert!(close(sum_of(text, "writes", &[("outcome", "done")]), 7.0));
        assert!(close(sum_of(text, "writes", &[("kind", "B"), ("outcome", "failed")]), 1.0));
        assert!(close(sum_of(text, "plain", &[]), 2.0));
        assert_eq!(label("a=\"1\",verb=\"LIST\"", "verb"), Some("LIST"));
    }
}
