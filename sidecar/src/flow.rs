//! Flows: from the connection that the packet filter redirected to the one that was judged.

pub mod dial;
pub mod registry;

#[cfg(test)]
pub(crate) mod tests;
