use serde_json::json;
use shekara_crds::closed::Registered;
use shekara_policy::exchange::Checkpoint;

use super::*;
use crate::fixtures::holding;
use crate::ledger::Totals;

#[test]
fn what_is_kept_says_what_left_by_recipient_and_what_was_denied_by_reason() {
    let mut totals = Totals::default();
    let checkpoint: Checkpoint = serde_json::from_value(json!({
        "instance": "i", "started": "2026-06-01T10:00:00Z", "sequence": 1, "documents": [], "serials": [], "standing": "Confirmed", "refused": null, "geo": null, "datagramsDenied": 0,
        "totals": [
            {"recipients": ["archive", "clinic"], "country": "KZ", "data": ["biometric.face"], "reason": null, "flows": 3, "bytesOut": 30, "bytesIn": 9, "last": "2026-06-01T11:00:00Z", "lastDestination": "a.kz"},
            {"recipients": ["clinic"], "country": "DE", "data": [], "reason": "CrossBorder", "flows": 2, "bytesOut": 0, "bytesIn": 0, "last": "2026-06-01T12:00:00Z", "lastDestination": "a.de"},
            {"recipients": [], "country": null, "data": [], "reason": "UnlistedParty", "flows": 4, "bytesOut": 0, "bytesIn": 0, "last": "2026-06-01T13:00:00Z", "lastDestination": "ads.example"}
        ]
    }))
    .unwrap();
    totals.add_checkpoint(&checkpoint);
    let registered = Registered::of(&serde_json::from_value(holding("faces", "a")).unwrap());
    let at = "2026-06-02T10:00:00.5Z".parse().unwrap();
    let closed = closed(&Gone { registered, at, at_the_latest: false, totals });
    assert_eq!((closed.registered.name.as_str(), closed.closed_at.as_str()), ("faces", "2026-06-02T10:00:00Z"));
    let transfers: Vec<_> = closed.transfers.iter().map(|one| (one.recipient.as_str(), one.flows, one.bytes_out)).collect();
    assert_eq!(transfers, [("clinic", 3, 30)], "a recipient of its own before that of another holding");
    let denials: Vec<_> = closed.denials.iter().map(|denial| (denial.reason.as_str(), denial.flows)).collect();
    assert_eq!((denials, closed.denied), (vec![("CrossBorder", 2), ("UnlistedParty", 4)], 6));
}
