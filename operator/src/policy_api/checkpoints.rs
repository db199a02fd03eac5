//! Reading a checkpoint. A sidecar is no more trusted than it needs to be: what it sends ends up in memory and in status, so
//! everything has a bound.

use shekara_policy::exchange::{Checkpoint, FlowTotal};

use super::error::ApiError;

/// How many sums a checkpoint may have: a thousand, and the rest by reason.
const TOTALS: usize = 1100;
/// The longest name of anything, as status takes it.
const NAME: usize = 253;
/// How many recipients, or documents, one pod can have.
const LIST: usize = 64;

/// The checkpoint in a request.
pub(super) fn read(body: &[u8]) -> Result<Checkpoint, ApiError> {
    let checkpoint: Checkpoint = serde_json::from_slice(body).map_err(|problem| ApiError::BadCheckpoint(problem.to_string()))?;
    match excess(&checkpoint) {
        None => Ok(checkpoint),
        Some(what) => Err(ApiError::BadCheckpoint(format!("{what} is out of bounds"))),
    }
}

fn excess(checkpoint: &Checkpoint) -> Option<&'static str> {
    let Checkpoint { instance, documents, serials, geo, totals, .. } = checkpoint;
    let long = |text: &String| text.len() > NAME;
    if long(instance) || instance.is_empty() {
        return Some("instance");
    }
    if documents.len() > LIST || serials.len() > LIST || documents.iter().any(long) {
        return Some("documents");
    }
    if geo.as_ref().is_some_and(long) {
        return Some("geo");
    }
    if totals.len() > TOTALS {
        return Some("totals");
    }
    let wide =
        |total: &FlowTotal| total.recipients.len() > LIST || total.recipients.iter().any(long) || long(&total.last_destination);
    totals.iter().any(wide).then_some("a flow in totals")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn sound() -> Value {
        json!({
            "instance": "i", "started": "2026-06-01T10:00:00Z", "sequence": 1, "documents": ["sha256:1"], "serials": [1], "standing": "Confirmed", "refused": null, "geo": null, "datagramsDenied": 0,
            "totals": [{"recipients": ["clinic"], "country": "KZ", "data": ["biometric.face"], "reason": null, "flows": 1, "bytesOut": 1, "bytesIn": 1, "last": "2026-06-01T10:00:00Z", "lastDestination": "a.kz"}]
        })
    }

    #[test]
    fn a_sound_checkpoint_is_read() {
        assert_eq!(read(sound().to_string().as_bytes()).unwrap().totals.len(), 1);
    }

    #[rstest]
    #[case("/instance", json!(""), "instance is out of bounds")]
    #[case("/documents", json!(vec!["d"; 65]), "documents is out of bounds")]
    #[case("/serials", json!(vec![1; 65]), "documents is out of bounds")]
    #[case("/geo", json!("g".repeat(400)), "geo is out of bounds")]
    #[case("/totals/0/recipients", json!((0..65).map(|n| n.to_string()).collect::<Vec<_>>()), "a flow in totals is out of bounds")]
    #[case("/totals/0/lastDestination", json!("d".repeat(400)), "a flow in totals is out of bounds")]
    #[case("/totals", json!(vec![sound()["totals"][0].clone(); 1101]), "totals is out of bounds")]
    #[case("/sequence", json!(-1), "invalid value")]
    fn each_bound_is_kept(#[case] pointer: &str, #[case] value: Value, #[case] message: &str) {
        let mut checkpoint = sound();
        *checkpoint.pointer_mut(pointer).unwrap() = value;
        let problem = read(checkpoint.to_string().as_bytes()).unwrap_err();
        assert!(problem.to_string().contains(message), "{problem}");
    }
}
