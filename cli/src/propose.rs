//! `kubectl shekara propose`: recipients and transfers, drafted from what was denied, and what Enforce denies.

mod draft;
mod manifest;
mod records;
mod seen;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::arguments::{Common, Format, holding};
use crate::objects::{Needs, Request, read};
use crate::output;
use crate::status::sort;
use draft::Proposal;

/// What to draft from.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// A holding by name; all when absent
    #[arg(value_parser = holding)]
    holding: Option<String>,
    /// The records of sidecars, as `kubectl logs --container shekara-proxy` prints them; - is standard input
    #[arg(long, value_name = "FILE")]
    records: Vec<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let common = &arguments.common;
    let mut objects = read(common, &Request { needs: Needs { recipients: true, ..Needs::default() }, ..Request::default() })?;
    if let Some(name) = &arguments.holding {
        let one = objects.holding(name, common)?.clone();
        objects.holdings = vec![one];
    }
    sort(&mut objects.holdings);
    let (records, unread) = records::read(&arguments.records)?;
    if unread > 0 {
        objects.notes.push(format!("{unread} lines with a verdict cannot be read and are left out: they are of another version"));
    }
    output::notes(&objects.notes);
    let seen = seen::all(&objects.holdings, &records);
    let proposal = Proposal::of(&seen, &objects.holdings, &objects.recipients);
    match common.output {
        Some(Format::Json | Format::Yaml) => output::write(common.output, &proposal, |_| crate::text::Text::default())?,
        Some(Format::Wide) | None => output::raw(&manifest::write(&proposal))?,
    }
    Ok(ExitCode::SUCCESS)
}
