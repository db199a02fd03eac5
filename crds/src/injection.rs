//! What admission makes of a covered pod: the sidecar in it, or a refusal that names each field. It is a pure function of the pod, its
//! holdings and what the operator tells its pods, so that whoever asks before a pod is created gets the same answer.

mod cautions;
mod containers;
mod files;
mod forbidden;
mod inject;
mod probes;
mod refusal;
mod resources;
mod restricted;
mod setting;

pub use cautions::cautions;
pub use containers::{DOCUMENTS_VARIABLE, ROOT_VARIABLE, Settings};
pub use files::{ENTRY, file_name};
pub use inject::inject;
pub use refusal::{Fault, Refusal};
pub use resources::Room;
pub use setting::{Level, SIDECAR_USER, Setting, Wanted};
