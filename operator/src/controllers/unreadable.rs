//! Objects that cannot be decoded, though the API server took them: of a later version of the API, for instance. Their condition
//! says so, and whatever depends on them stays closed.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use shekara_crds::message::ConditionReason;

use super::conditions::{Said, Status, conditions};
use super::{ApplyError, Context, Visited, apply};
use crate::watch::{Cached, Key};

/// The longest text of the decoder in a sentence, in bytes.
const PROBLEM: usize = 512;

/// Says of an object that it cannot be decoded.
pub(super) async fn visit<K>(context: &Context, key: &Key, problem: &str) -> Result<Visited, ApplyError>
where
    K: Resource<DynamicType = ()> + Cached,
{
    let Some(object) = apply::raw::<K>(context, K::KIND, key).await? else { return Ok(Visited::Gone) };
    let Some(status) = status(&object, problem, !key.namespace.is_empty(), Timestamp::now()) else { return Ok(Visited::Done) };
    apply::status::<K>(context, K::KIND, &object.metadata, &status).await?;
    Ok(Visited::Done)
}

/// The status that says so; none where the object's own does already. What else the status says stays as it is.
fn status(object: &DynamicObject, problem: &str, holding: bool, now: Timestamp) -> Option<Value> {
    let before = object.data.get("status").cloned().unwrap_or_else(|| json!({}));
    let known: Vec<Condition> =
        before.get("conditions").and_then(|list| serde_json::from_value(list.clone()).ok()).unwrap_or_default();
    let said = conditions(said(problem, holding), &known, object.metadata.generation, now);
    if said == known {
        return None;
    }
    let mut status = before;
    match status.as_object_mut() {
        Some(fields) => drop(fields.insert("conditions".into(), json!(said))),
        None => status = json!({"conditions": said}),
    }
    Some(status)
}

fn said(problem: &str, holding: bool) -> Vec<Said> {
    let problem = problem.get(..problem.floor_char_boundary(PROBLEM)).unwrap_or_default();
    let message = format!("The operator cannot read this object, and what depends on it stays closed: {problem}.");
    let say = |type_, status| Said::new(type_, status, ConditionReason::Unreadable, message.clone());
    let mut said = vec![say("Accepted", Status::False)];
    if holding {
        said.extend([say("Covered", Status::Unknown), say("Enforcing", Status::Unknown), say("Ready", Status::False)]);
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(status: Value) -> DynamicObject {
        serde_json::from_value(json!({"metadata": {"name": "faces", "namespace": "cameras", "generation": 3}, "status": status}))
            .unwrap()
    }

    #[test]
    fn the_conditions_say_so_once_and_the_rest_of_the_status_stays() {
        let (early, late) = ("2026-06-01T10:00:00Z".parse().unwrap(), "2026-06-01T11:00:00Z".parse().unwrap());
        let ready = json!([{"type": "Ready", "status": "True", "reason": "Ready", "message": "m", "lastTransitionTime": "2026-05-01T10:00:00Z"}]);
        let said = status(&object(json!({"denied": 7, "conditions": ready})), "missing field `title`", true, early).unwrap();
        assert_eq!(said["denied"], 7);
        let of =
            |type_: &str| said["conditions"].as_array().unwrap().iter().find(|condition| condition["type"] == type_).unwrap();
        assert_eq!((&of("Accepted")["status"], &of("Accepted")["observedGeneration"]), (&json!("False"), &json!(3)));
        assert!(of("Accepted")["message"].as_str().unwrap().contains("missing field `title`"));
        assert_eq!((&of("Enforcing")["status"], &of("Ready")["status"]), (&json!("Unknown"), &json!("False")));
        assert_eq!(status(&object(said), "missing field `title`", true, late), None, "nothing is written twice");
    }

    #[test]
    fn a_status_that_means_nothing_is_no_obstacle() {
        let said = status(&object(json!("odd")), "x", false, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(said["conditions"].as_array().unwrap().len(), 1);
    }
}
