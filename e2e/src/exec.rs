//! Commands inside pods, by the API server's exec. Arguments go as a list: no shell reads them unless it is asked to.

pub mod talk;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::future::try_join;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::Api;
use kube::api::{AttachParams, AttachedProcess};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

use crate::wait::Seen;

/// A command that ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The command, as it was given.
    pub command: Vec<String>,
    /// Its exit code.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// How long it took, with the way to the pod and back.
    pub took: Duration,
}

impl Ran {
    /// Whether it ended with exit code 0.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.code == 0
    }

    /// Its success as a condition that is awaited.
    #[must_use]
    pub fn seen(&self) -> Seen<()> {
        if self.succeeded() { Seen::Yes(()) } else { Seen::NotYet(self.to_string()) }
    }

    /// Standard output, where the command succeeded.
    ///
    /// # Errors
    /// When it did not, with all that it said.
    pub fn success(self) -> Result<String> {
        if self.succeeded() { Ok(self.stdout) } else { bail!("{self}") }
    }

    /// The command itself, where it failed as it had to.
    ///
    /// # Errors
    /// When it succeeded, with all that it said.
    pub fn failure(self) -> Result<Self> {
        if self.succeeded() { bail!("it had to fail: {self}") } else { Ok(self) }
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.took.as_secs_f32();
        write!(f, "`{}` ended with {} after {seconds:.1} s", self.command.join(" "), self.code)?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.trim().is_empty() {
                write!(f, "\n  {name}: {}", text.trim().replace('\n', "\n          "))?;
            }
        }
        Ok(())
    }
}

/// Runs a command in a container to its end.
///
/// # Errors
/// When it cannot be started, or has not ended within `limit`. A command that ends with another code than 0 is no error here.
pub async fn run(
    pods: &Api<Pod>,
    pod: &str,
    container: &str,
    command: &[impl AsRef<str> + Sync],
    limit: Duration,
) -> Result<Ran> {
    let begin = Instant::now();
    let mut process = start(pods, pod, container, command).await?;
    let status = process.take_status().context("exec gives no status")?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let reading = try_join(read(process.stdout(), &mut stdout), read(process.stderr(), &mut stderr));
    // The readers are told of no end when the connection breaks, so its error ends them. Nobody joins before there is a status: that tells
    // the API server that there is no more input, which is none of its concern while the command runs.
    let finished = async {
        let status = status.await;
        process.join().await.context("the connection broke").map(|()| status)
    };
    let ended = timeout(limit, try_join(reading, finished)).await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr, took) = (text(&stdout), text(&stderr), begin.elapsed());
    let Ok(ended) = ended else {
        bail!("`{}` in {pod} has not ended within {} s", said(command), limit.as_secs());
    };
    let (_, status) = ended.with_context(|| {
        format!("`{}` in {pod}, after {took:?} and with {stdout:?} and {stderr:?} on stdout and stderr", said(command))
    })?;
    let code = exit_code(status.as_ref()).with_context(|| format!("`{}` in {pod}: {status:?}", said(command)))?;
    Ok(Ran { command: command.iter().map(|argument| argument.as_ref().to_owned()).collect(), code, stdout, stderr, took })
}

/// Starts a command whose output is read while it runs.
///
/// # Errors
/// When it cannot be started.
pub async fn start(pods: &Api<Pod>, pod: &str, container: &str, command: &[impl AsRef<str> + Sync]) -> Result<AttachedProcess> {
    let attach = AttachParams::default().container(container).stdin(false).stdout(true).stderr(true);
    let started = pods.exec(pod, command.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), &attach).await;
    started.with_context(|| format!("`{}` cannot be started in {pod}, container {container}", said(command)))
}

fn said(command: &[impl AsRef<str>]) -> String {
    command.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ")
}

async fn read(stream: Option<impl AsyncRead + Unpin>, bytes: &mut Vec<u8>) -> Result<()> {
    if let Some(mut stream) = stream {
        stream.read_to_end(bytes).await?;
    }
    Ok(())
}

/// The exit code in the status that exec ends with.
fn exit_code(status: Option<&Status>) -> Option<i32> {
    let status = status?;
    if status.status.as_deref() == Some("Success") {
        return Some(0);
    }
    let causes = status.details.as_ref()?.causes.as_ref()?;
    let cause = causes.iter().find(|cause| cause.reason.as_deref() == Some("ExitCode"))?;
    cause.message.as_ref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(json: serde_json::Value) -> Option<i32> {
        exit_code(Some(&serde_json::from_value(json).unwrap()))
    }

    #[test]
    fn the_exit_code_is_among_the_causes() {
        assert_eq!(status(serde_json::json!({"status": "Success"})), Some(0));
        let causes = serde_json::json!([{"reason": "ExitCode", "message": "28"}]);
        assert_eq!(
            status(serde_json::json!({"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": causes}})),
            Some(28)
        );
        assert_eq!(status(serde_json::json!({"status": "Failure", "reason": "InternalError"})), None);
    }
}
