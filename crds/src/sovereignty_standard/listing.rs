//! Whether a rule of a standard asks for lists.

use serde::{Deserialize, Serialize};

/// Whether a rule asks that whoever or whatever passes be listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Listing {
    /// Nothing has to be listed: everything passes, and flows are recorded.
    #[default]
    Open,
    /// What the rule lists passes, and what its description names besides; nothing else does.
    Listed,
}
