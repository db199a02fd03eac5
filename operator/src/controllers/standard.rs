//! Standards: whether every field can be used. One that cannot binds all the same, and closes every route that it binds.

use jiff::Timestamp;
use shekara_crds::compile::standard_problems;
use shekara_crds::{SovereigntyStandard, SovereigntyStandardStatus};

use super::conditions::{accepted, conditions};
use super::{ApplyError, Context, Visited, apply};
use crate::watch::{Key, Kind};

pub(super) async fn visit(context: &Context, key: &Key) -> Result<Visited, ApplyError> {
    let Some(standard) = context.caches.standards.get(key) else { return Ok(Visited::Gone) };
    let status = status(&standard, Timestamp::now());
    if standard.status.as_ref() != Some(&status) {
        apply::status::<SovereigntyStandard>(context, Kind::SovereigntyStandard, &standard.metadata, &status).await?;
    }
    Ok(Visited::Done)
}

fn status(standard: &SovereigntyStandard, now: Timestamp) -> SovereigntyStandardStatus {
    let said = accepted(&standard_problems(standard), "Every field can be used.".into());
    let before = standard.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    SovereigntyStandardStatus { conditions: conditions(vec![said], before, standard.metadata.generation, now) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_that_means_nothing_is_named() {
        let standard: SovereigntyStandard = serde_json::from_value(json!({
            "metadata": {"name": "kz"},
            "spec": {
                "title": "t", "authority": {"name": "a", "country": "KZ"}, "appliesTo": {"data": ["biometric.*"]}, "homeCountries": ["ZZ"],
                "transfers": [{"data": ["biometric.*"], "countries": ["KZ"], "grounds": ["Law"]}]
            }
        }))
        .unwrap();
        let found = status(&standard, "2026-06-01T10:00:00Z".parse().unwrap());
        assert_eq!(found.conditions[0].status, "False");
        assert!(found.conditions[0].message.starts_with("spec.homeCountries[0]: "), "{}", found.conditions[0].message);
    }
}
