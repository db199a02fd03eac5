//! The records of flows: one line of JSON each on standard output.
//!
//! A thread of its own writes them, so that a slow reader of the log holds up no flow. What does not fit the queue is lost and
//! leaves a gap in the sequence numbers, which is seen; it is never smoothed over.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::IntCounter;
use shekara_policy::record::FlowRecord;

/// Lines that wait for standard output.
const QUEUE: usize = 1024;

/// How long the last lines may take when the sidecar ends.
const LAST_LINES: Duration = Duration::from_secs(2);

/// The thread only writes bytes.
const STACK: usize = 64 * 1024;

/// Where records go.
#[derive(Debug)]
pub struct Records {
    state: Mutex<State>,
    done: Mutex<Receiver<()>>,
    lost: IntCounter,
}

#[derive(Debug)]
struct State {
    sequence: u64,
    queue: Option<SyncSender<Vec<u8>>>,
}

impl Records {
    /// Starts the thread that writes; `lost` counts what could not be written.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn new(output: impl Write + Send + 'static, lost: IntCounter) -> io::Result<Self> {
        let (queue, lines) = sync_channel(QUEUE);
        let (done_sender, done) = sync_channel(1);
        let failed = lost.clone();
        std::thread::Builder::new().name("records".into()).stack_size(STACK).spawn(move || {
            write_lines(output, &lines, &failed);
            drop(done_sender);
        })?;
        Ok(Self { state: Mutex::new(State { sequence: 0, queue: Some(queue) }), done: Mutex::new(done), lost })
    }

    /// Numbers a record and queues it.
    pub fn write(&self, record: FlowRecord) {
        let mut state = self.state.lock();
        state.sequence += 1;
        let record = FlowRecord { sequence: state.sequence, ..record };
        let queued = serde_json::to_vec(&record).ok().and_then(|mut line| {
            line.push(b'\n');
            state.queue.as_ref().and_then(|queue| queue.try_send(line).ok())
        });
        if queued.is_none() {
            self.lost.inc();
        }
    }

    /// Writes what waits, within a bound; what comes later is lost.
    pub fn close(&self) {
        self.state.lock().queue = None;
        // either way the thread is not waited for any longer: an error here means that it has ended
        let _ = self.done.lock().recv_timeout(LAST_LINES);
    }
}

/// Writes until the queue ends. A reader that went away is no reason to stop: the flows go on, and the loss is counted.
fn write_lines(mut output: impl Write, lines: &Receiver<Vec<u8>>, failed: &IntCounter) {
    while let Ok(line) = lines.recv() {
        if output.write_all(&line).and_then(|()| output.flush()).is_err() {
            failed.inc();
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Arc, mpsc};

    use shekara_policy::Protocol;
    use shekara_policy::record::{Decision, End};

    use super::*;

    /// Output whose lines a test can await.
    pub(crate) struct Lines(pub(crate) mpsc::Sender<FlowRecord>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(serde_json::from_slice(bytes).unwrap()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn record() -> FlowRecord {
        FlowRecord {
            sequence: 0,
            time: jiff::Timestamp::UNIX_EPOCH,
            duration_ms: 0,
            direction: shekara_policy::record::Direction::Outbound,
            client: None,
            protocol: Protocol::Tcp,
            name: None,
            destination: None,
            port: 1,
            dialled: None,
            via: None,
            country: None,
            verdict: Decision::Allow,
            observed: false,
            reason: None,
            rules: Vec::new(),
            denied_by: None,
            standard: None,
            data: std::collections::BTreeSet::new(),
            serials: vec![],
            bytes_out: 0,
            bytes_in: 0,
            end: End::Completed,
        }
    }

    fn counter() -> IntCounter {
        IntCounter::new("lost", "lost").unwrap()
    }

    #[test]
    fn records_are_numbered_lines() {
        let (sender, lines) = mpsc::channel();
        let records = Records::new(Lines(sender), counter()).unwrap();
        records.write(record());
        records.write(record());
        records.close();
        assert_eq!(lines.iter().map(|record| record.sequence).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_closed_output_is_counted_and_no_panic() {
        let (sender, lines) = mpsc::channel();
        drop(lines);
        let lost = counter();
        let records = Records::new(Lines(sender), lost.clone()).unwrap();
        records.write(record());
        records.close();
        records.write(record());
        assert_eq!(lost.get(), 2);
    }

    #[test]
    fn a_blocked_output_holds_up_nobody_and_leaves_a_gap() {
        struct Blocked(Arc<Mutex<()>>, mpsc::Sender<u64>);
        impl Write for Blocked {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _wait = self.0.lock();
                let record: FlowRecord = serde_json::from_slice(bytes).unwrap();
                self.1.send(record.sequence).map_err(io::Error::other)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock();
        let (sender, written) = mpsc::channel();
        let lost = counter();
        let records = Records::new(Blocked(gate.clone(), sender), lost.clone()).unwrap();
        let many = QUEUE as u64 + 100;
        (0..many).for_each(|_| records.write(record()));
        assert!(lost.get() >= 99, "{}", lost.get());
        drop(closed);
        assert_eq!(written.recv().unwrap(), 1);
        while lost.get() + written.try_iter().count() as u64 + 1 > many {}
        records.write(record());
        records.close();
        assert_eq!(written.iter().last(), Some(many + 1), "the number says how many are missing");
    }
}
