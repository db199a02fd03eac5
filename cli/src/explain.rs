//! `kubectl shekara explain`: why a pod has the sidecar or not, in which state it is, what a person can do, and what may leave.

mod reasons;
mod text;
mod view;

use std::process::ExitCode;

use anyhow::Result;
use ipnet::IpNet;

use crate::arguments::{Common, pod};
use crate::cover::Covered;
use crate::objects::{Need, Needs, Request, read};
use crate::output;
use crate::place::Place;
use view::Explanation;

/// Which pod.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// The pod: pod/NAME
    #[arg(value_name = "pod/NAME", value_parser = pod)]
    pod: String,
    /// A network of pods, Services or nodes, in place of what the operator was told; may be repeated
    #[arg(long = "cluster-network", value_name = "CIDR")]
    cluster_networks: Vec<IpNet>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let common = &arguments.common;
    let needs = Needs { namespaces: true, pods: Need::Needed, rules: Need::Wanted, surroundings: true, ..Needs::default() };
    let objects = read(common, &Request { needs, pod: Some(arguments.pod.clone()), ..Request::default() })?;
    output::notes(&objects.notes);
    let place = Place::new(&objects, &arguments.cluster_networks, common.now())?;
    let covered = Covered::of(objects.pod(&arguments.pod, common)?, &objects, &place)?;
    let explanation = Explanation::of(&covered, &objects, &place);
    output::write(common.output, &explanation, |wide| explanation.text(wide))?;
    Ok(ExitCode::SUCCESS)
}
