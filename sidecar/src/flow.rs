//! Flows: from the connection that the packet filter redirected to the one that was judged.

pub mod answers;
pub mod carry;
pub mod close;
pub mod dial;
pub mod hello;
pub mod inward;
pub mod judge;
pub mod listener;
mod pinned;
pub mod registry;
pub mod relay;
pub mod requests;
pub mod resolve;
pub mod server_hello;
pub mod source_ports;
pub mod story;
pub mod unsent;

#[cfg(test)]
pub(crate) mod tests;
