//! What the echo port of a host gives back.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::place::Place;
use crate::wait::within;
use crate::world::ECHO;

impl Place {
    /// Whether a connection to the echo port of an address gives back what is sent.
    pub(crate) async fn echoes(&self, address: &str) -> bool {
        let Ok(mut stream) = self.dial(address, ECHO).await else { return false };
        let mut back = [0; 4];
        let echo = async {
            stream.write_all(b"face").await?;
            stream.read_exact(&mut back).await
        };
        within("an echo or an end", echo).await.is_ok() && &back == b"face"
    }
}
