//! `kubectl shekara check`: would these manifests be admitted, and what would be changed in their pods? No cluster is asked.

mod judge;
mod view;

use std::process::ExitCode;

use anyhow::{Result, bail};
use serde::de::{DeserializeOwned, IntoDeserializer as _};
use shekara_crds::injection::{Level, Wanted};

use crate::arguments::Common;
use crate::objects::{Needs, Request, read};
use crate::output;
use judge::Platform;
use view::Check;

/// What would be refused.
const REFUSED: u8 = 1;

/// Which manifests to check: workloads, with the namespaces and holdings that are there or come with them. The exit code is 0 where all
/// would be admitted, 1 where one would not.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Who sets packet filters there, as `enforcement.filter` of the chart's values says: Init, Node or Auto
    #[arg(long, value_name = "WHO", default_value = "Init", value_parser = named::<Wanted>)]
    filter: Wanted,
    /// The level of PodSecurity in namespaces whose labels say none, as `enforcement.podSecurity` says: privileged, baseline or restricted
    #[arg(long, value_name = "LEVEL", default_value = "privileged", value_parser = named::<Level>)]
    pod_security: Level,
}

/// A value by its name in the chart's values.
fn named<T: DeserializeOwned>(name: &str) -> Result<T, serde::de::value::Error> {
    T::deserialize(name.into_deserializer())
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let common = &arguments.common;
    if !common.is_offline() {
        bail!("-f names the files with the manifests, and with the holdings that are to cover them; - is standard input");
    }
    let needs = Needs { workloads: true, ..Needs::default() };
    let objects = read(common, &Request { needs, ..Request::default() })?;
    output::notes(&objects.notes);
    let check = Check::of(&objects, common, &Platform { filter: arguments.filter, pod_security: arguments.pod_security })?;
    output::write(common.output, &check, |_| check.text())?;
    Ok(if check.is_admitted() { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}
