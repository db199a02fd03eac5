//! Names: the questions of the pod, judged before they are asked, and the sidecar's own look-ups.

pub mod answer;
pub mod forward;
pub mod labels;
pub mod lookup;
pub mod pins;
pub mod question;
pub mod respond;
pub mod services;
pub mod tcp;
pub mod udp;
