//! What the owner of a namespace answers where signs were seen: that nothing of the kind is held there, who says so and when.

use k8s_openapi::api::core::v1::ConfigMap;
use serde::Serialize;

/// The ConfigMap with the answer.
pub(super) const NAME: &str = "shekara-none-held";

/// Nothing is held, says somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    /// Who says so.
    pub(crate) by: String,
    /// The day, as YYYY-MM-DD.
    pub(crate) date: String,
    /// What else he says.
    pub(crate) note: Option<String>,
}

impl Answer {
    /// Reads it. An answer without a name or a day is none.
    pub(super) fn of(map: &ConfigMap) -> Result<Self, String> {
        let entry = |name: &str| map.data.as_ref()?.get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let by = entry("by").ok_or("it does not say by whom: the entry by is missing")?;
        let date = entry("date").ok_or("it does not say when: the entry date is missing")?;
        date.parse::<jiff::civil::Date>().map_err(|_| format!("the entry date, {date:?}, is no day as YYYY-MM-DD"))?;
        Ok(Self { by, date, note: entry("note") })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case(json!({"by": "A. Person", "date": "2026-11-29", "note": "a shop"}), Ok("A. Person"))]
    #[case(json!({"by": " ", "date": "2026-11-29"}), Err("by whom"))]
    #[case(json!({"by": "A. Person"}), Err("when"))]
    #[case(json!({"by": "A. Person", "date": "yesterday"}), Err("YYYY-MM-DD"))]
    #[case(Value::Null, Err("by whom"))]
    fn an_answer_has_a_name_and_a_day(#[case] data: Value, #[case] expected: Result<&str, &str>) {
        let answer = Answer::of(&serde_json::from_value(json!({"data": data})).unwrap());
        match expected {
            Ok(by) => assert_eq!(answer.unwrap().by, by),
            Err(words) => assert!(answer.unwrap_err().contains(words)),
        }
    }
}
