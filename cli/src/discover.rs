//! `kubectl shekara discover`: signs of systems that may hold biometric or vehicle data and that nobody has declared. A sign is a hint
//! with its reason, and never a finding.

mod signs;
mod view;

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Result;

use crate::arguments::Common;
use crate::objects::{self, Needs, Request, read};
use crate::output;
use view::Discovery;

/// Where to look.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let common = &arguments.common;
    let needs = Needs { every_pod: true, ..Needs::default() };
    let objects = read(common, &Request { needs, ..Request::default() })?;
    output::notes(&objects.notes);
    let mut discovery = Discovery::of(&objects);
    let namespaces: BTreeSet<String> = discovery.namespaces();
    let (answers, notes) = objects::answers(common, &objects, &namespaces)?;
    output::notes(&notes);
    discovery.answer(&answers);
    output::write(common.output, &discovery, |wide| discovery.text(wide))?;
    Ok(ExitCode::SUCCESS)
}
