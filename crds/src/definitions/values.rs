//! What the values of the API's enums mean, from the comments beside them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSON;
use schemars::JsonSchema;
use serde_json::Value;

use crate::control::ControlId;
use crate::data_holding::collection::{DirectUpload, PlaceKind};
use crate::data_holding::held::{ConsentKind, LegalBasisKind, SourceKind, SubjectKind, Use};
use crate::data_holding::keeping::{DestructionMethod, EncryptedBy, RetainedSince, StorageKind};
use crate::data_holding::status::{Assurance, ControlState, TransferVerdict};
use crate::data_holding::{Form, Mode};
use crate::recipient::{Ground, Role, Tenancy};
use crate::selector::Operator;
use crate::sovereignty_standard::operation::{ClusterApiUse, Kept, Reach};
use crate::sovereignty_standard::requirements::Requirement;
use crate::sovereignty_standard::transfers::InClusterRule;
use crate::sovereignty_standard::{Collecting, EmptyTransfer, EncryptedClientHello, Listing, MinTls, SharedTenancy};

/// The enums, each with its values and what they mean. An enum is known by its values.
pub(super) struct Meanings(Vec<Vec<(String, String)>>);

impl Meanings {
    pub(super) fn of_the_api() -> Self {
        Self(vec![
            of::<Assurance>(),
            of::<ClusterApiUse>(),
            of::<ConsentKind>(),
            of::<ControlId>(),
            of::<ControlState>(),
            of::<DestructionMethod>(),
            of::<DirectUpload>(),
            of::<EmptyTransfer>(),
            of::<EncryptedBy>(),
            of::<EncryptedClientHello>(),
            of::<Form>(),
            of::<Ground>(),
            of::<InClusterRule>(),
            of::<Listing>(),
            of::<Collecting>(),
            of::<Kept>(),
            of::<LegalBasisKind>(),
            of::<MinTls>(),
            of::<Mode>(),
            of::<Operator>(),
            of::<PlaceKind>(),
            of::<Reach>(),
            of::<Requirement>(),
            of::<RetainedSince>(),
            of::<Role>(),
            of::<SharedTenancy>(),
            of::<SourceKind>(),
            of::<StorageKind>(),
            of::<SubjectKind>(),
            of::<Tenancy>(),
            of::<TransferVerdict>(),
            of::<Use>(),
        ])
    }

    /// One line for each value: none for values that explain themselves, such as categories.
    pub(super) fn list(&self, values: &[JSON]) -> Option<String> {
        let values: Vec<&str> = values.iter().filter_map(|value| value.0.as_str()).collect();
        let meanings = self.0.iter().find(|meanings| meanings.iter().map(|(value, _)| value).eq(values.iter()))?;
        Some(meanings.iter().map(|(value, meaning)| format!("\n- `{value}`: {meaning}")).collect())
    }
}

fn of<T: JsonSchema>() -> Vec<(String, String)> {
    let schema = schemars::schema_for!(T);
    let variants = schema.get("oneOf").and_then(Value::as_array);
    let text = |variant: &Value, field: &str| variant.get(field).and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
    variants.into_iter().flatten().map(|variant| (text(variant, "const"), text(variant, "description"))).collect()
}
