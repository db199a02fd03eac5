//! Running scenarios: each in its own place, with an explanation of its failure, and the place removed in any case.

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, anyhow};
use futures::FutureExt as _;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::sync::{Mutex, RwLock};
use tokio::time::{Instant, timeout};

use crate::scenario::Scenario;
use crate::{diagnose, environment, measure};

/// How long a scenario may take that says nothing else.
const LIMIT: Duration = Duration::from_secs(420);

/// What a scenario needs besides a cluster with Shekara.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Cluster,
    /// The test hosts and their sniffer.
    World,
    /// The world, and a cluster that is there for tests alone: the installation itself is disturbed.
    Own,
}

/// Held by the scenario that has its turn, where one runs after the other. Fair: the order is the one in which they are listed.
static TURN: Mutex<()> = Mutex::const_new(());

/// Held, with others, by every scenario that runs, and alone by one that runs by itself.
static BESIDE: RwLock<()> = RwLock::const_new(());

/// A scenario for [`run`].
pub fn scenario<F>(name: &'static str, needs: Needs, body: F) -> Trial
where
    F: AsyncFnOnce(&Scenario) -> Result<()> + Send + 'static,
{
    scenario_within(LIMIT, name, needs, body)
}

/// A scenario that may take so long.
pub fn scenario_within<F>(limit: Duration, name: &'static str, needs: Needs, body: F) -> Trial
where
    F: AsyncFnOnce(&Scenario) -> Result<()> + Send + 'static,
{
    trial(name, needs, move || {
        let _beside = BESIDE.blocking_read();
        conduct(name, limit, body)
    })
}

/// A scenario that runs after the one before it of this kind has ended, however many run at once: others may run beside it, if
/// they leave the processors and the installation alone.
pub fn scenario_in_turn<F>(limit: Duration, name: &'static str, needs: Needs, body: F) -> Trial
where
    F: AsyncFnOnce(&Scenario) -> Result<()> + Send + 'static,
{
    trial(name, needs, move || {
        let _turn = TURN.blocking_lock();
        let _beside = BESIDE.blocking_read();
        conduct(name, limit, body)
    })
}

/// A scenario that runs in its turn too, and while none runs beside it: it counts or times what the whole cluster does, or takes
/// away what others stand on.
pub fn scenario_by_itself<F>(limit: Duration, name: &'static str, needs: Needs, body: F) -> Trial
where
    F: AsyncFnOnce(&Scenario) -> Result<()> + Send + 'static,
{
    trial(name, needs, move || {
        let _turn = TURN.blocking_lock();
        let _alone = BESIDE.blocking_write();
        conduct(name, limit, body)
    })
}

/// Runs the scenarios that the command line asks for, as the standard harness would.
#[must_use]
pub fn run(scenarios: Vec<Trial>) -> ExitCode {
    libtest_mimic::run(&Arguments::from_args(), scenarios).exit_code()
}

fn trial(name: &'static str, needs: Needs, conduct: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    Trial::ignorable_test(name, move || {
        if needs != Needs::Cluster && environment::world()?.is_none() {
            return Ok(Completion::ignored_with("not run: needs the world"));
        }
        if needs == Needs::Own && environment::is_current() {
            return Ok(Completion::ignored_with("not run: it would disturb an installation that is not the tests' own"));
        }
        conduct()?;
        Ok(Completion::Completed)
    })
}

fn conduct(name: &str, limit: Duration, body: impl AsyncFnOnce(&Scenario) -> Result<()>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(conclude(name, limit, body))
}

async fn conclude(name: &str, limit: Duration, body: impl AsyncFnOnce(&Scenario) -> Result<()>) -> Result<(), Failed> {
    let scenario = Scenario::begin(name).await.map_err(explain)?;
    let begin = Instant::now();
    let ended = AssertUnwindSafe(timeout(limit, body(&scenario))).catch_unwind().await;
    measure::print(&format!("the scenario {name}"), format!("{:.0} s", begin.elapsed().as_secs_f64()));
    let outcome = match ended {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(anyhow!("not at its end after {} s", limit.as_secs())),
        Err(panic) => Err(anyhow!("it panicked: {}", message(&*panic))),
    };
    let explained = match outcome {
        Ok(()) => Ok(()),
        Err(error) => {
            let around = diagnose::namespace(&scenario.kube, &scenario.namespace).await;
            // again at the end, for readers who are left with the tail
            Err(Failed::from(format!("{error:#}\n\n{around}\n{name}: {error:#}")))
        }
    };
    // to look at what a failure left, the place can be kept
    if explained.is_ok() || std::env::var_os("SHEKARA_KEEP_FAILED").is_none() {
        scenario.end().await.map_err(explain)?;
    }
    explained
}

fn explain(error: anyhow::Error) -> Failed {
    Failed::from(format!("{error:#}"))
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
