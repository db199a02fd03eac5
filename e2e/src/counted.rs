//! How many flows the status of a holding counts.

use std::time::Duration;

use anyhow::{Result, ensure};
use shekara_crds::DataHolding;
use shekara_crds::data_holding::status::{DataHoldingStatus, TransferVerdict};
use shekara_policy::Reason;

use crate::holdings::CONDITION;
use crate::scenario::Scenario;
use crate::wait::{Seen, still, until};

/// Longer than an interval of checkpoints with what it may be late.
const INTERVAL: Duration = Duration::from_secs(15);

/// What a status counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Flows to one recipient.
    pub allowed: i64,
    /// Flows to nobody listed.
    pub denied: i64,
}

impl Counts {
    /// What a status says of this recipient, by the name of its object, and of nobody listed.
    #[must_use]
    pub fn of(status: &DataHoldingStatus, recipient: &str) -> Self {
        let allowed = status.transfers.iter();
        let allowed = allowed.filter(|transfer| transfer.verdict == TransferVerdict::Allowed && transfer.recipient == recipient);
        let denied = status.denials.iter().filter(|denial| denial.reason == Reason::UnlistedParty.code());
        Self { allowed: allowed.map(|transfer| transfer.flows).sum(), denied: denied.map(|denial| denial.flows).sum() }
    }

    /// Whether neither count is less than the other's.
    #[must_use]
    pub fn at_least(self, other: Self) -> bool {
        self.allowed >= other.allowed && self.denied >= other.denied
    }
}

impl Scenario {
    /// Waits until the status of the holding `faces` has come to its counts, of a recipient of this scenario, which must be these.
    ///
    /// # Errors
    /// When they are less for long, more, or do not come to an end.
    pub async fn counted(&self, recipient: &str, expected: Counts) -> Result<()> {
        let (api, recipient) = (self.api::<DataHolding>(), self.named(recipient));
        let found = async || Ok(Counts::of(&api.get("faces").await?.status.unwrap_or_default(), &recipient));
        until(&format!("at least {expected:?} in the status"), CONDITION, async || {
            let found = found().await?;
            Ok(Seen::some_or(found.at_least(expected).then_some(()), found))
        })
        .await?;
        still("the counts are the last", INTERVAL, CONDITION, found).await?;
        let found = found().await?;
        ensure!(found == expected, "{found:?} in the status, {expected:?} happened");
        Ok(())
    }
}
