//! The proxy as a running process.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use shekara_policy::record::FlowRecord;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::wait::within;

/// `shekara-sidecar run`, killed when dropped.
pub(crate) struct Sidecar {
    child: Child,
    records: watch::Receiver<Vec<FlowRecord>>,
    said: Arc<Mutex<String>>,
    readers: JoinSet<()>,
}

impl Sidecar {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, records) = watch::channel(Vec::new());
        let said = Arc::new(Mutex::new(String::new()));
        let mut readers = JoinSet::new();
        readers.spawn(each_line(child.stderr.take().unwrap(), said.clone(), |_| {}));
        readers.spawn(each_line(child.stdout.take().unwrap(), said.clone(), move |line| {
            let record = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in the record {line}"));
            sender.send_modify(|records| records.push(record));
        }));
        Self { child, records, said, readers }
    }

    /// Waits for a record like this.
    pub(crate) async fn record(&self, like: impl Fn(&FlowRecord) -> bool) -> FlowRecord {
        let mut records = self.records.clone();
        let found = within("a record", records.wait_for(|records| records.iter().any(&like))).await.unwrap();
        found.iter().find(|record| like(record)).unwrap().clone()
    }

    /// The bytes that left to a port, by the records so far.
    pub(crate) fn carried(&self, port: u16) -> u64 {
        self.records.borrow().iter().filter(|record| record.port == port).map(|record| record.bytes_out).sum()
    }

    /// Everything on its outputs.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&self) -> bool {
        std::path::Path::new(&format!("/proc/{}/fd/0", self.id())).exists()
    }

    /// The process, which `ip` and `setpriv` have become.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Sends SIGTERM, as the kubelet does.
    pub(crate) fn terminate(&self) {
        let id = rustix::process::Pid::from_raw(self.id().try_into().unwrap()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    }

    /// Tells it to stop, and waits for the end.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.ended().await
    }

    /// Kills it, as a kernel without memory does, and waits for the end.
    pub(crate) async fn kill(&mut self) {
        self.child.start_kill().unwrap();
        self.ended().await;
    }

    /// Waits for its end, and until all that it said has been read.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let status = within("the sidecar to end", self.child.wait()).await.unwrap();
        while let Some(read) = within("its outputs to end", self.readers.join_next()).await {
            read.unwrap();
        }
        status
    }
}

async fn each_line(from: impl AsyncRead + Unpin, said: Arc<Mutex<String>>, line: impl Fn(&str)) {
    let mut lines = BufReader::new(from).lines();
    while let Some(text) = lines.next_line().await.unwrap() {
        said.lock().unwrap().push_str(&format!("  {text}\n"));
        line(&text);
    }
}
