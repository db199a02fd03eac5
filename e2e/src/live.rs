//! A live flow: an opaque connection in a pod over which a byte goes and comes back, for as long as it is let.

use std::net::IpAddr;

use anyhow::{Context as _, Result, bail};

use crate::exec::talk::Talk;
use crate::holdings::CONDITION;
use crate::pods::Client;
use crate::wait::now;

/// The port on which the echo service of the world listens.
pub const ECHO_PORT: u16 = 7;

/// So many exchanges show that a flow goes on.
const EXCHANGES: usize = 20;

/// A live flow to an echo service.
pub struct LiveFlow(Talk);

impl LiveFlow {
    /// Opens one in a pod, and waits until the first byte is back.
    ///
    /// # Errors
    /// When it is not let.
    pub async fn open(client: &Client, echo: IpAddr) -> Result<Self> {
        let mut flow = Self(client.talk(&program(echo)).await?);
        flow.0.until("back", CONDITION).await.with_context(|| format!("a live flow of {} to {echo}", client.name))?;
        Ok(flow)
    }

    /// Waits until it has carried some bytes there and back from now on.
    ///
    /// # Errors
    /// When it was closed, whenever that was.
    pub async fn goes_on(&mut self) -> Result<()> {
        let (begin, mut exchanges) = (now()?, 0);
        while exchanges < EXCHANGES {
            let line = self.0.next(CONDITION).await?.text;
            let time = line.strip_prefix("back ").with_context(|| format!("the live flow ended: {line}"))?;
            // those of before were not read until now
            exchanges += usize::from(time.parse::<f64>()? > begin);
        }
        Ok(())
    }

    /// Waits until it is closed, and gives the time of that by the clock of the pod.
    ///
    /// # Errors
    /// When it goes on.
    pub async fn closed(&mut self, limit: std::time::Duration) -> Result<f64> {
        let line = self.0.until("closed", limit).await?.text;
        let Some(time) = line.split_whitespace().nth(1) else { bail!("no time in {line:?}") };
        time.parse().with_context(|| format!("no time in {line:?}"))
    }
}

/// Sends a byte and waits for it to come back, again and again, until that fails.
fn program(echo: IpAddr) -> String {
    format!(
        "import select, socket, time\n\
         s = socket.create_connection(('{echo}', {ECHO_PORT}), 10)\n\
         s.settimeout(30)\n\
         how = 'end'\n\
         try:\n\
         \x20   s.sendall(b'.')\n\
         \x20   while s.recv(1):\n\
         \x20       print('back', time.time())\n\
         \x20       # what comes in the pause is its end, which is not to be noticed late\n\
         \x20       if not select.select([s], [], [], 0.05)[0]: s.sendall(b'.')\n\
         except OSError as error:\n\
         \x20   how = type(error).__name__\n\
         print('closed', time.time(), how)\n"
    )
}
