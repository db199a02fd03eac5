//! A command whose lines are read while it runs.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::FutureExt as _;
use kube::api::AttachedProcess;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, ReadHalf, SimplexStream};
use tokio::time::timeout;

/// A command that runs, and its lines.
pub struct Talk {
    lines: Lines<BufReader<ReadHalf<SimplexStream>>>,
    said: Vec<String>,
    // dropping it ends the command's connection
    _process: AttachedProcess,
}

/// A line, and when it was read here.
#[derive(Clone, Debug)]
pub struct Line {
    /// The text.
    pub text: String,
    /// When it was read: later than it was written, by the way from the pod.
    pub read: Instant,
}

impl Talk {
    /// Listens to a process.
    ///
    /// # Errors
    /// When its output was not asked for.
    pub fn new(mut process: AttachedProcess) -> Result<Self> {
        let stdout = process.stdout().context("the command's output was not asked for")?;
        Ok(Self { lines: BufReader::new(stdout).lines(), said: vec![], _process: process })
    }

    /// The next line.
    ///
    /// # Errors
    /// When the command has ended, or nothing comes within `limit`.
    pub async fn next(&mut self, limit: Duration) -> Result<Line> {
        let Ok(line) = timeout(limit, self.lines.next_line()).await else {
            bail!("no line within {} s, after {:?}", limit.as_secs(), self.last());
        };
        let text = line?.with_context(|| format!("the command has ended, after {:?}", self.last()))?;
        let read = Instant::now();
        self.said.push(text.clone());
        Ok(Line { text, read })
    }

    /// The next line that begins so.
    ///
    /// # Errors
    /// When there is none within `limit`.
    pub async fn until(&mut self, begin: &str, limit: Duration) -> Result<Line> {
        let search = async {
            loop {
                let line = self.next(limit).await?;
                if line.text.starts_with(begin) {
                    return Ok::<_, anyhow::Error>(line);
                }
            }
        };
        match timeout(limit, search).await {
            Ok(line) => line.with_context(|| format!("waiting for a line {begin:?}")),
            Err(_) => bail!("no line {begin:?} within {} s, after {:?}", limit.as_secs(), self.last()),
        }
    }

    /// The lines that have come and were not read yet.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn pending(&mut self) -> Result<Vec<String>> {
        let mut texts = Vec::new();
        while let Some(line) = self.lines.next_line().now_or_never() {
            let Some(text) = line? else { break };
            texts.push(text);
        }
        self.said.extend(texts.clone());
        Ok(texts)
    }

    fn last(&self) -> &[String] {
        self.said.get(self.said.len().saturating_sub(5)..).unwrap_or_default()
    }
}
