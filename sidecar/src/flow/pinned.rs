//! The names of an address that a client chose without saying one: those that this pod was answered it for.
//!
//! Many programs ask for a name once, when they start, and keep the address: proxies with a fixed upstream, pools, virtual machines that
//! cache for ever. So where the answer's time is over, the sidecar asks again itself, and the address counts as long as it is
//! still among the addresses of a name that the pod asked for.

use std::net::IpAddr;

use shekara_policy::HostName;
use shekara_policy::decide::{Question, decide_question};
use tokio::time::Instant;

use super::resolve::resolve;
use crate::context::Context;
use crate::dns::lookup::Family;

/// As many names of one address are asked for again: more is not what one party has.
const NAMES: usize = 4;

/// The names, each of them asked for again where none was answered lately.
pub(super) async fn names(context: &Context, address: IpAddr) -> Vec<HostName> {
    let (lately, before) = context.pins.names(address, Instant::now());
    if !lately.is_empty() {
        return lately;
    }
    let mut again = Vec::new();
    for name in before.into_iter().take(NAMES) {
        if still_leads(context, &name, address).await {
            context.pins.pin(&name, &[address], std::time::Duration::ZERO, Instant::now());
            again.push(name);
        }
    }
    again
}

/// Whether the name may still be asked, and has the address.
async fn still_leads(context: &Context, name: &HostName, address: IpAddr) -> bool {
    let listed = context.judge(|judge| decide_question(judge.documents, name, judge.now)) == Question::Listed;
    listed
        && context.spell(name).is_ok()
        && resolve(context, name, Family::of(address)).await.is_ok_and(|found| found.contains(&address))
}
