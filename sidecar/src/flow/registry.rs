//! The flows that live now.

/// The flows that live now.
#[derive(Debug, Default)]
pub struct Registry {}
