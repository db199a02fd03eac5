//! `kubectl shekara access`: who may come at what is held past the sidecars, by the rights that the cluster gives, and who may change
//! what binds them.

mod powers;
mod view;

use std::process::ExitCode;

use anyhow::Result;

use crate::arguments::Common;
use crate::objects::{self, Need, Needs, Request, read};
use crate::output;
use view::Access;

/// Where to look.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// The cluster's own parts too: groups and users of the system, and service accounts of kube-system
    #[arg(long)]
    system: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let common = &arguments.common;
    let needs = Needs { namespaces: true, rules: Need::Wanted, ..Needs::default() };
    let objects = read(common, &Request { needs, ..Request::default() })?;
    output::notes(&objects.notes);
    let rights = objects::rights(common, &objects)?;
    let access = Access::of(&objects, &rights, arguments.system);
    output::write(common.output, &access, |wide| access.text(wide))?;
    Ok(ExitCode::SUCCESS)
}
