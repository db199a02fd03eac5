//! What has left this pod today by routes that are bounded. The count is of a pod, a recipient and a day of UTC.
//!
//! A byte is counted before it is handed to the kernel and given back if the kernel does not take it, so never more leaves than a
//! bound says. Bytes that the kernel took and did not deliver stay counted.
//!
//! The counts are in memory. What an earlier start of the sidecar in this pod has counted is not known any more; an upper bound of
//! it is, since the kernel counts every byte that has left the pod's interfaces, and no application can change that. So a new start
//! begins as if all of it had gone to each recipient today: a bound that was not spent may count as spent until the day turns, and
//! never the other way round, save for the first 64 KiB, which count as nothing since every pod sends a little before its sidecar
//! starts for the first time.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use shekara_policy::Reason;
use shekara_policy::verdict::{Budget, Denial};

/// What a pod may have sent before its sidecar starts for the first time: neighbour discovery and the like.
const FRESH: u64 = 64 * 1024;

/// The length of a day of UTC, in seconds.
const DAY: i64 = 86_400;

/// Every count of this pod.
#[derive(Debug, Default)]
pub struct Spending(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// What may have left before this start, and the day of it.
    before: Option<Spent>,
    spent: BTreeMap<String, Spent>,
}

#[derive(Clone, Copy, Debug)]
struct Spent {
    day: i64,
    bytes: u64,
}

impl Spending {
    /// Takes it that so many bytes have left before this start, by whatever route.
    pub fn begin_with(&self, bytes: u64, now: Timestamp) {
        let before = Spent { day: day(now), bytes };
        self.0.lock().before = (bytes > FRESH).then_some(before);
    }

    /// The denial of a flow one of whose bounds is spent.
    #[must_use]
    pub fn spent(&self, budgets: &[Budget], now: Timestamp) -> Option<Denial> {
        let mut state = self.0.lock();
        let spent = |budget: &&Budget| state.count(&budget.recipient, now).bytes >= budget.max_out_per_day;
        budgets.iter().find(spent).map(|budget| Denial {
            holding: Some(budget.holding.clone()),
            recipient: Some(budget.recipient.clone()),
            ..Denial::of(Reason::BudgetSpent)
        })
    }

    /// Takes at most so many bytes from every bound, as many as the tightest leaves.
    fn take(&self, budgets: &[Budget], wanted: u64, now: Timestamp) -> u64 {
        let mut state = self.0.lock();
        let left = |budget: &Budget| budget.max_out_per_day.saturating_sub(state.count(&budget.recipient, now).bytes);
        let granted = budgets.iter().map(left).fold(wanted, u64::min);
        for recipient in recipients(budgets) {
            let spent = state.count(recipient, now);
            spent.bytes = spent.bytes.saturating_add(granted);
        }
        granted
    }

    /// Gives back what was taken and did not leave.
    fn give_back(&self, budgets: &[Budget], bytes: u64, now: Timestamp) {
        let mut state = self.0.lock();
        for recipient in recipients(budgets) {
            let spent = state.count(recipient, now);
            spent.bytes = spent.bytes.saturating_sub(bytes);
        }
    }
}

impl State {
    /// The count of a recipient today. A clock that is set back begins no new day.
    fn count(&mut self, recipient: &str, now: Timestamp) -> &mut Spent {
        let today = day(now);
        let before = self.before.filter(|before| before.day >= today).map_or(0, |before| before.bytes);
        let spent = self.spent.entry(recipient.to_owned()).or_insert(Spent { day: today, bytes: before });
        if spent.day < today {
            *spent = Spent { day: today, bytes: 0 };
        }
        spent
    }
}

/// The recipients, each once: holdings of one pod share a recipient's count.
fn recipients(budgets: &[Budget]) -> BTreeSet<&str> {
    budgets.iter().map(|budget| budget.recipient.as_str()).collect()
}

fn day(now: Timestamp) -> i64 {
    now.as_second().div_euclid(DAY)
}

/// The bounds of one flow, which may change while it lives.
pub type Bounds = Arc<Mutex<Vec<Budget>>>;

/// What one flow may spend.
#[derive(Clone, Debug)]
pub struct Purse<'a> {
    spending: &'a Spending,
    bounds: Bounds,
}

impl<'a> Purse<'a> {
    /// The purse of a flow with these bounds.
    #[must_use]
    pub fn new(spending: &'a Spending, bounds: Bounds) -> Self {
        Self { spending, bounds }
    }

    /// Takes at most so many bytes: less where a bound leaves less, and nothing where one is spent.
    #[must_use]
    pub fn take(&self, wanted: usize) -> usize {
        let bounds = self.bounds.lock();
        if bounds.is_empty() {
            return wanted;
        }
        let granted = self.spending.take(&bounds, wanted as u64, Timestamp::now());
        usize::try_from(granted).unwrap_or(wanted)
    }

    /// Gives back what was taken and did not leave.
    pub fn give_back(&self, bytes: usize) {
        let bounds = self.bounds.lock();
        if bytes > 0 && !bounds.is_empty() {
            self.spending.give_back(&bounds, bytes as u64, Timestamp::now());
        }
    }

    /// Why nothing can be taken any more.
    #[must_use]
    pub fn denial(&self) -> Denial {
        self.spending.spent(&self.bounds.lock(), Timestamp::now()).unwrap_or_else(|| Denial::of(Reason::BudgetSpent))
    }
}

/// The bytes that have left the interfaces of this network namespace since it was made, loopback apart. What cannot be read
/// counts as more than any bound.
#[must_use]
pub fn left_before() -> u64 {
    let counted =
        std::fs::read_to_string("/proc/self/net/dev").and_then(|table| sent(&table).ok_or(io::ErrorKind::InvalidData.into()));
    counted.unwrap_or_else(|error| {
        tracing::warn!(%error, "what has left the pod before is not known; bounded routes are closed for today");
        u64::MAX
    })
}

/// The sum of the ninth column of `/proc/net/dev`, the bytes that were sent (proc(5)).
fn sent(table: &str) -> Option<u64> {
    let mut sum: u64 = 0;
    for line in table.lines().skip(2) {
        let (name, counts) = line.split_once(':')?;
        if name.trim() != "lo" {
            sum = sum.saturating_add(counts.split_whitespace().nth(8)?.parse().ok()?);
        }
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn budget(recipient: &str, max_out_per_day: u64) -> Budget {
        Budget { holding: "n/h".into(), recipient: recipient.into(), max_out_per_day }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_bound_is_spent_to_the_byte_and_whole_again_the_next_day() {
        let (spending, budgets) = (Spending::default(), [budget("maps", 10)]);
        assert_eq!(spending.take(&budgets, 7, at(0)), 7);
        assert!(spending.spent(&budgets, at(0)).is_none());
        assert_eq!(spending.take(&budgets, 7, at(DAY - 1)), 3);
        let denial = spending.spent(&budgets, at(DAY - 1)).unwrap();
        assert_eq!((denial.reason, denial.recipient.as_deref()), (Reason::BudgetSpent, Some("maps")));
        assert_eq!(spending.take(&budgets, 1, at(DAY - 1)), 0);
        assert_eq!(spending.take(&budgets, 11, at(DAY)), 10);
        assert_eq!(spending.take(&budgets, 1, at(DAY - 1)), 0, "a clock that is set back begins no new day");
    }

    #[test]
    fn the_tightest_bound_counts_and_recipients_have_counts_of_their_own() {
        let spending = Spending::default();
        let two_holdings = [budget("maps", 10), budget("maps", 4)];
        assert_eq!(spending.take(&two_holdings, 9, at(0)), 4);
        assert_eq!(spending.take(&[budget("maps", 10)], 9, at(0)), 6, "one count for both");
        assert_eq!(spending.take(&[budget("push", 4)], 9, at(0)), 4);
    }

    #[test]
    fn what_does_not_leave_is_given_back() {
        let (spending, budgets) = (Spending::default(), [budget("maps", 10)]);
        assert_eq!(spending.take(&budgets, 10, at(0)), 10);
        spending.give_back(&budgets, 4, at(0));
        assert_eq!(spending.take(&budgets, 10, at(0)), 4);
    }

    #[test]
    fn what_left_before_a_start_counts_against_every_bound_of_that_day() {
        let (spending, budgets) = (Spending::default(), [budget("maps", 100_000)]);
        spending.begin_with(FRESH, at(0));
        assert_eq!(spending.take(&budgets, 1, at(0)), 1);
        let spending = Spending::default();
        spending.begin_with(99_999, at(0));
        assert_eq!(spending.take(&budgets, 5, at(0)), 1);
        assert_eq!(spending.take(&budgets, 5, at(DAY)), 5);
        assert_eq!(spending.take(&[budget("push", 5)], 5, at(DAY)), 5);
    }

    #[test]
    fn the_kernels_table_is_read() {
        let table = "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0\n  eth0: 5000 10 0 0 0 0 0 0 1234 9 0 0 0 0 0 0\n  net1:1 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0\n";
        assert_eq!(sent(table), Some(1240));
        assert_eq!(sent("a\nb\neth0: 1 2"), None);
    }

    proptest! {
        #[test]
        fn never_more_than_a_bound_leaves_on_a_day(
            steps in proptest::collection::vec((0usize..3, 0u64..50, 0u64..50, 0i64..3), 0..60),
            bounds in proptest::collection::vec(0u64..200, 3),
        ) {
            let spending = Spending::default();
            let mut left: BTreeMap<(usize, i64), u64> = BTreeMap::new();
            let mut today = 0;
            for (route, wanted, unused, days) in steps {
                // the clock goes forward now and then
                today += days / 2;
                let budgets = [budget(["a", "b", "c"][route], bounds[route])];
                let granted = spending.take(&budgets, wanted, at(today * DAY));
                let unused = unused.min(granted);
                spending.give_back(&budgets, unused, at(today * DAY));
                let sum = left.entry((route, today)).or_default();
                *sum += granted - unused;
                prop_assert!(*sum <= bounds[route]);
                // nothing is held back either
                prop_assert!(granted == wanted || *sum + unused == bounds[route]);
            }
        }
    }
}
