//! The API of Shekara: the kinds of group `shekara.dev`, version `v1alpha1`, one a file, and [`compile`], which makes a policy
//! document of a holding, the standards that apply to it and the recipients that it names.

#![allow(clippy::duplicated_attributes, reason = "the lint takes the columns of a kind for repetitions of each other")]
#![allow(unreachable_pub, reason = "the derived schemas repeat the types inside functions")]

pub mod closed;
pub mod compile;
pub mod control;
pub mod cover;
pub mod data_holding;
pub mod declaration;
pub mod definitions;
pub mod draft;
pub mod duration;
pub mod injection;
pub mod key;
pub mod message;
pub mod narrowing;
pub mod network;
pub mod node_logs;
pub mod pods;
pub mod quantity;
pub mod recipient;
pub mod schema;
pub mod selector;
pub mod services;
pub mod simulate;
pub mod sovereignty_standard;

pub use compile::{Compiled, Problem, ProblemCode, Surroundings, compile};
pub use control::ControlId;
pub use data_holding::{DataHolding, DataHoldingSpec, DataHoldingStatus};
pub use duration::duration;
pub use key::Key;
pub use recipient::{Recipient, RecipientSpec, RecipientStatus};
pub use selector::Selector;
pub use simulate::simulate;
pub use sovereignty_standard::{SovereigntyStandard, SovereigntyStandardSpec, SovereigntyStandardStatus};

/// The label of a namespace whose pods are matched against its holdings: value `true`.
pub const PROTECT_LABEL: &str = "shekara.dev/protect";

/// The annotation of a pod template that puts its pods into a holding by name. It only ever adds a holding.
pub const HOLDING_ANNOTATION: &str = "shekara.dev/holding";

/// The annotation of a workload or its pod template that says which categories of data it holds, joined by commas. It only ever adds
/// protection: where no holding claims the pods, it makes a draft that does.
pub const DATA_ANNOTATION: &str = "shekara.dev/data";

/// The label of a holding that an annotation made and that nobody has taken over yet: value `true`.
pub const DRAFT_LABEL: &str = "shekara.dev/draft";

/// The annotation of a draft that says from which workload it came: its kind and name, as `Deployment/web`.
pub const DRAFT_OF_ANNOTATION: &str = "shekara.dev/draft-of";

/// The annotation that admission writes: the names of the pod's holdings at that time, joined by commas.
pub const HOLDINGS_ANNOTATION: &str = "shekara.dev/holdings";

/// The annotation of a pod template that raises the processor time of each injected container, as `500m`. It never lowers it.
pub const SIDECAR_CPU_ANNOTATION: &str = "shekara.dev/sidecar-cpu";

/// The same for their memory, as `256Mi`.
pub const SIDECAR_MEMORY_ANNOTATION: &str = "shekara.dev/sidecar-memory";

/// The annotation of a pod template that the operator writes to have its pods replaced: when it did so (RFC 3339).
pub const RESTARTED_ANNOTATION: &str = "shekara.dev/restarted-at";

/// The label that admission writes on covered pods: value `true`.
pub const COVERED_LABEL: &str = "shekara.dev/covered";

#[cfg(test)]
mod presets_tests;
#[cfg(test)]
mod promise_tests;
#[cfg(test)]
mod readme_tests;
