//! The world: test hosts outside the cluster, and what arrived there.

pub mod hosts;
pub mod sniffer;

use anyhow::{Context as _, Result};

pub use hosts::{Host, Hosts};
pub use sniffer::{Packet, Query, Sniffer};

use crate::environment::WorldSettings;

/// The test hosts, the certificate of the authority that they trust, and the sniffer among them.
#[derive(Clone, Debug)]
pub struct World {
    /// The hosts.
    pub hosts: Hosts,
    /// Who says what arrived.
    pub sniffer: Sniffer,
    /// The certificate of the test authority, PEM.
    pub authority: String,
}

impl World {
    /// Reads the declaration of the hosts, and asks the sniffer whether it is there.
    ///
    /// # Errors
    /// When a file cannot be read, or the sniffer does not answer.
    pub async fn find(settings: &WorldSettings) -> Result<Self> {
        let read =
            |path: &std::path::Path| std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()));
        let sniffer = Sniffer::new(&settings.sniffer)?;
        sniffer.health().await?;
        Ok(Self { hosts: Hosts::parse(&read(&settings.hosts)?)?, sniffer, authority: read(&settings.authority)? })
    }
}
