//! Programs that run in the pod, and what they said.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;

/// The end of a program.
#[derive(Debug)]
pub(crate) struct Said {
    /// Whether it succeeded.
    pub(crate) ok: bool,
    pub(crate) out: String,
    pub(crate) error: String,
    /// How long it ran.
    pub(crate) took: Duration,
}

impl Said {
    /// Both outputs.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.out, self.error)
    }

    /// Fails unless the server of this address answered.
    #[track_caller]
    pub(crate) fn served_by(&self, address: &str) {
        assert!(self.ok && self.out == format!("served by {address}\n"), "{address} did not answer: {self:?}");
    }

    /// Fails unless the program did.
    #[track_caller]
    pub(crate) fn failed(&self) {
        assert!(!self.ok, "it succeeded: {self:?}");
    }
}

/// Runs a program to its end.
pub(crate) async fn run(command: &mut Command) -> Said {
    let start = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let output = tokio::time::timeout(Duration::from_secs(40), child.wait_with_output()).await;
    let output = output.unwrap_or_else(|_| panic!("{command:?} does not end")).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { ok: output.status.success(), out: text(&output.stdout), error: text(&output.stderr), took: start.elapsed() }
}
