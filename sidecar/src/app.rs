//! The proxy as a whole: its tasks, and how it begins and ends.

mod listen;

use std::future::Future;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use rustix::process::{Resource, getrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use self::listen::Bound;
use self::listen::Listeners;
use crate::bound::flows_within;
use crate::config::Config;
use crate::context::Context;
use crate::flow::dial::Dialler;
use crate::flow::listener::{Origin, original_destination};
use crate::policy::Enforced;
use crate::proof::again;
use crate::{admin, datagrams, dns, flow, geo, policy, sink, spending};

/// How long living flows may go on after the sidecar was told to stop. The application has ended before it is told, so what
/// still lives waits for a destination.
const DRAIN: Duration = Duration::from_secs(10);

/// How long the last checkpoint may take, with all that it needs.
const LAST_CHECKPOINT: Duration = Duration::from_secs(5);

/// Between two looks at what still lives.
const LOOK: Duration = Duration::from_millis(20);

/// Runs until it is told to stop.
///
/// # Errors
/// When it cannot begin, or a part of it ends by itself.
pub fn run(mut config: Config) -> anyhow::Result<()> {
    tracing_subscriber::fmt().json().flatten_event(true).with_max_level(config.log).with_writer(std::io::stderr).init();
    config.carve_out.probe()?;
    if let Err(error) = listen::raise_limit(config.limits) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    let flows = flows_within(getrlimit(Resource::Nofile).current, config.limits.flows);
    if flows < config.limits.flows {
        tracing::warn!(flows, "the limit of open files leaves room for fewer flows than are configured");
        config.limits.flows = flows;
    }
    // One thread: what a sidecar needs is little memory, and a core carries gigabytes a second.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = told_to_stop()?;
        let dialler = Dialler::new(config.carve_out);
        let app = App::bind(config, dialler, std::io::stdout(), original_destination).await?;
        let context = app.context();
        tokio::select! {
            ended = app.run(stop) => ended,
            never = again::keep_proving(context) => match never {},
        }
    })
}

fn told_to_stop() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// A proxy whose listeners are bound.
pub struct App {
    context: Arc<Context>,
    documents: watch::Sender<Arc<Enforced>>,
    listeners: Listeners,
    origin: Origin,
}

impl App {
    /// Binds every listener. `output` takes the records, `origin` says where a connection wanted to go.
    ///
    /// # Errors
    /// When a port is taken, or the geo table must not be used.
    pub async fn bind(
        config: Config,
        dialler: Dialler,
        output: impl Write + Send + 'static,
        origin: Origin,
    ) -> anyhow::Result<Self> {
        let (documents, policy) = policy::channel();
        let listeners = Listeners::bind(config.ports, &config.datagrams, &dialler).await?;
        let context = Arc::new(Context::new(config, policy, dialler, output)?);
        context.spending.begin_with(spending::left_before(), Timestamp::now());
        context.readiness.listeners_bound();
        Ok(Self { context, documents, listeners, origin })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn bound(&self) -> std::io::Result<Bound> {
        self.listeners.bound()
    }

    /// What its tasks share.
    #[must_use]
    pub fn context(&self) -> Arc<Context> {
        self.context.clone()
    }

    /// Carries flows until `stop`, then drains.
    ///
    /// # Errors
    /// When a task ends by itself: a proxy that lacks a part must not look alive.
    pub async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Self { context, documents, listeners, origin } = self;
        tracing::info!(
            pod = context.config.pod,
            geo = context.geo.digest(),
            "listening; nothing leaves before the first document"
        );
        let (stop_flows, stop_client) = (CancellationToken::new(), CancellationToken::new());
        let mut client = JoinSet::new();
        client.spawn(policy::client::run(context.clone(), documents, stop_client.clone()));
        let mut tasks = spawn(listeners, origin, &context, &stop_flows);
        tokio::select! {
            () = stop => tracing::info!(flows = context.metrics.live_flows(), "told to stop"),
            Some(ended) = tasks.join_next() => bail!(why(ended)),
            Some(ended) = client.join_next() => bail!(why(ended)),
        }
        tokio::select! {
            () = drained(&context) => {}
            () = sleep(DRAIN) => tracing::warn!(flows = context.metrics.live_flows(), "flows are cut off"),
        }
        stop_flows.cancel();
        // The flows are cut off with their tasks, and each writes its record before the last checkpoint counts it.
        tasks.shutdown().await;
        stop_client.cancel();
        if timeout(LAST_CHECKPOINT, client.join_next()).await.is_err() {
            tracing::warn!("the policy client did not end in time");
        }
        context.records.close();
        Ok(())
    }
}

fn spawn(listeners: Listeners, origin: Origin, context: &Arc<Context>, stop: &CancellationToken) -> JoinSet<anyhow::Result<()>> {
    let mut tasks = JoinSet::new();
    let Listeners { flow, inward, dns_tcp, dns_udp, sink, datagrams, admin } = listeners;
    for listener in flow {
        tasks.spawn(flow::listener::serve(listener, origin, context.clone(), stop.clone()));
    }
    for listener in inward {
        tasks.spawn(flow::inward::serve(listener, origin, context.clone(), stop.clone()));
    }
    for listener in dns_tcp {
        tasks.spawn(dns::tcp::serve(listener, context.clone()));
    }
    for socket in dns_udp {
        tasks.spawn(dns::udp::serve(socket, context.clone()));
    }
    for socket in sink {
        let context = context.clone();
        tasks.spawn(async { sink::serve(socket, context).await.context("the sink") });
    }
    for (socket, endpoint) in datagrams {
        tasks.spawn(datagrams::serve(socket, endpoint, context.clone()));
    }
    let looking = context.clone();
    tasks.spawn(async { match geo::keep_looking(looking).await {} });
    for listener in admin {
        let context = context.clone();
        tasks.spawn(async { admin::serve(listener, context).await.context("the administration port") });
    }
    let context = context.clone();
    tasks.spawn(async { flow::registry::keep_judging(context).await.map(|never| match never {}) });
    tasks
}

async fn drained(context: &Context) {
    while context.metrics.live_flows() > 0 {
        sleep(LOOK).await;
    }
}

fn why(ended: Result<anyhow::Result<()>, JoinError>) -> anyhow::Error {
    match ended {
        Ok(Ok(())) => anyhow::anyhow!("a task ended by itself"),
        Ok(Err(error)) => error.context("a task failed"),
        Err(error) => anyhow::Error::new(error).context("a task failed"),
    }
}
