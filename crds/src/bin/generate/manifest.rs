//! The definitions as YAML: plain, and as templates of the chart.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

const HEADER: &str = "# Made from the types in crds/src by `make generate`; not to be edited.\n";

/// What keeps a definition where the release, or the application of Argo CD, no longer has it.
const KEPT: [(&str, &str); 2] = [("argocd.argoproj.io/sync-options", "Prune=false"), ("helm.sh/resource-policy", "keep")];

/// For `kubectl apply`.
pub(crate) fn plain(definition: &CustomResourceDefinition) -> Result<String> {
    Ok(format!("{HEADER}{}", yaml(definition)?))
}

/// For the chart: can be left out, and stays when the chart is uninstalled, since with it every declaration would go.
pub(crate) fn template(definition: &CustomResourceDefinition) -> Result<String> {
    let mut definition = definition.clone();
    definition.metadata.annotations = Some(BTreeMap::from(KEPT.map(|(name, value)| (name.to_owned(), value.to_owned()))));
    definition.metadata.labels = Some(BTreeMap::from([("app.kubernetes.io/part-of".to_owned(), "shekara".to_owned())]));
    let yaml = yaml(&definition)?;
    ensure!(!yaml.contains("{{"), "{:?} would be read as a template", definition.metadata.name);
    Ok(format!("{HEADER}{{{{- if .Values.crds.install }}}}\n{yaml}{{{{- end }}}}\n"))
}

fn yaml(definition: &CustomResourceDefinition) -> Result<String> {
    serde_saphyr::to_string(definition).with_context(|| format!("cannot write {:?}", definition.metadata.name))
}
