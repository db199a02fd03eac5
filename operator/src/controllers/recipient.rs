//! Recipients: whether every field can be used.

use jiff::Timestamp;
use shekara_crds::compile::recipient_problems;
use shekara_crds::{Recipient, RecipientStatus};

use super::conditions::{accepted, conditions};
use super::{ApplyError, Context, Visited, apply};
use crate::watch::{Key, Kind};

pub(super) async fn visit(context: &Context, key: &Key) -> Result<Visited, ApplyError> {
    let Some(recipient) = context.caches.recipients.get(key) else { return Ok(Visited::Gone) };
    let status = status(&recipient, Timestamp::now());
    if recipient.status.as_ref() != Some(&status) {
        apply::status::<Recipient>(context, Kind::Recipient, &recipient.metadata, &status).await?;
    }
    Ok(Visited::Done)
}

fn status(recipient: &Recipient, now: Timestamp) -> RecipientStatus {
    let said = accepted(&recipient_problems(recipient), "Every field can be used.".into());
    let before = recipient.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    RecipientStatus { conditions: conditions(vec![said], before, recipient.metadata.generation, now) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_that_means_nothing_is_named_and_a_status_that_is_right_is_not_another() {
        let mut recipient: Recipient = serde_json::from_value(json!({
            "metadata": {"name": "clinic", "generation": 2},
            "spec": {"legalName": "Clinic", "country": "KZ", "role": "Processor", "endpoints": [{"network": "192.0.2.1/24", "ports": [443], "protocol": "TCP"}]}
        }))
        .unwrap();
        let found = status(&recipient, "2026-06-01T10:00:00Z".parse().unwrap());
        let condition = &found.conditions[0];
        assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", "InvalidField"));
        assert!(condition.message.starts_with("spec.endpoints[0].network: "), "{}", condition.message);
        assert_eq!(condition.observed_generation, Some(2));
        recipient.status = Some(found.clone());
        assert_eq!(status(&recipient, "2026-06-01T11:00:00Z".parse().unwrap()), found);
        recipient.spec.endpoints.clear();
        assert_eq!(status(&recipient, "2026-06-01T11:00:00Z".parse().unwrap()).conditions[0].status, "True");
    }
}
