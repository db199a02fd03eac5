//! `kubectl shekara inventory`: what is held where, by whom, and who answers for it.

mod view;

pub(crate) use view::workload;

use std::process::ExitCode;

use anyhow::Result;

use crate::arguments::Common;
use crate::objects::{Need, Needs, Request, read};
use crate::output;
use crate::status::sort;
use view::Inventory;

/// What to list.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let common = &arguments.common;
    let needs = Needs { closed: Need::Wanted, namespaces: true, pods: Need::Wanted, ..Needs::default() };
    let mut objects = read(common, &Request { needs, ..Request::default() })?;
    output::notes(&objects.notes);
    sort(&mut objects.holdings);
    let inventory = Inventory::of(&objects);
    output::write(common.output, &inventory, |wide| inventory.text(wide))?;
    Ok(ExitCode::SUCCESS)
}
