//! `shekara-sidecar init`: sets the packet filter of the pod that it runs in.

use jiff::Timestamp;
use shekara_policy::packet_filter::PacketFilter;

use crate::config::ConfigError;
use crate::{carve_out, datagrams, filter, observe};

/// Sets the packet filter.
///
/// # Errors
/// When a variable cannot be used, or the packet filter cannot be set: the pod must not start then.
pub fn run() -> anyhow::Result<()> {
    let now = Timestamp::now();
    let asked = asked(|name| std::env::var(name).ok())?;
    let frames = filter::set(&asked, now)?;
    match asked.observe_until.filter(|until| *until > now) {
        None => println!("the packet filter is set: what leaves this pod and what comes in passes the sidecar, or not at all"),
        Some(until) => println!("the packet filter is set: TCP and DNS pass the sidecar; the rest passes until {until}"),
    }
    if let Some(warning) = frames.warning() {
        eprintln!("{warning}");
    }
    Ok(())
}

fn asked(variable: impl Fn(&str) -> Option<String>) -> Result<PacketFilter, ConfigError> {
    Ok(PacketFilter {
        user: carve_out::user(&variable)?,
        observe_until: observe::until(&variable)?,
        datagrams: datagrams::endpoints(&variable)?,
    })
}
