//! What the pods try to reach, and how it is seen.

use anyhow::Result;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::world::Query;

/// The pods, by the names of their StatefulSets: of a pod that came to its node before the node could close it, another one is made.
pub(super) const COVERED: &str = "covered";
pub(super) const FREE: &str = "free";

/// The init container with the program, and the application.
pub(super) const EARLY: &str = "early";
pub(super) const LATE: &str = "late";

/// Where nobody is: addresses that one container alone tries, whatever address its pod has.
pub(super) struct Targets {
    pub(super) v4: &'static str,
    pub(super) v6: &'static str,
    pub(super) pod: &'static str,
    pub(super) container: &'static str,
}

pub(super) const TARGETS: [Targets; 4] = [
    Targets { v4: "198.51.100.201", v6: "2001:db8:adfd::1", pod: COVERED, container: EARLY },
    Targets { v4: "198.51.100.202", v6: "2001:db8:adfd::2", pod: COVERED, container: LATE },
    Targets { v4: "198.51.100.203", v6: "2001:db8:adfd::3", pod: FREE, container: EARLY },
    Targets { v4: "198.51.100.204", v6: "2001:db8:adfd::4", pod: FREE, container: LATE },
];

impl Targets {
    /// The name that is asked for.
    pub(super) fn question(&self, scenario: &Scenario) -> String {
        format!("{}.{}.{}.example.com", self.container, self.pod, scenario.namespace)
    }

    /// What of it is seen, one query for each way.
    pub(super) fn queries(&self, scenario: &Scenario, since: f64) -> Result<Vec<Query>> {
        let since = Query { since: Some(since), ..Query::default() };
        let mut queries = vec![Query { name: Some(self.question(scenario)), ..since.clone() }];
        for (address, protocols) in [(self.v4, ["tcp", "udp", "icmp"]), (self.v6, ["tcp", "udp", "icmpv6"])] {
            let at = Query { destination: Some(address.parse()?), ..since.clone() };
            queries.extend(protocols.map(|protocol| Query { protocol: Some(protocol.to_owned()), ..at.clone() }));
        }
        Ok(queries)
    }
}
