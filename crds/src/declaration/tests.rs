use std::collections::BTreeMap;

use serde_json::{Value, json};
use shekara_policy::document::Cluster;

use super::*;

/// A holding that has declared everything, with two categories.
fn complete() -> Value {
    json!({
        "metadata": {"name": "h", "namespace": "n"},
        "spec": {
            "title": "t", "controller": {"name": "c", "country": "KZ"}, "workloadSelector": {"matchLabels": {"a": "b"}},
            "system": {"id": "1"}, "responsible": {"name": "n"},
            "data": [
                {"category": "biometric.face", "form": "Template", "use": "Identification", "purpose": "p", "subjects": {"kind": "Residents", "count": 10},
                 "source": {"kind": "OwnDevices"}, "legalBasis": {"kind": "Law", "reference": "r", "validUntil": "2027-01-01T00:00:00Z"},
                 "notice": {"reference": "r"}, "consent": {"kind": "NotRequired", "reference": "r"}, "alternative": {"offered": true, "reference": "keys"},
                 "templateProtection": {"scheme": "s"}},
                {"category": "vehicle.exterior-video", "purpose": "p", "subjects": {"kind": "PublicSpace", "count": 10}, "source": {"kind": "Vehicles"},
                 "legalBasis": {"kind": "Consent", "reference": "r"}, "notice": {"reference": "r"}, "consent": {"kind": "Electronic"},
                 "necessity": {"method": "m"}, "anonymisation": {"method": "m"}}
            ],
            "collection": {"vehicles": {"make": "m", "directUpload": "None"}},
            "storage": [{"name": "s", "kind": "Database", "data": ["biometric.face", "vehicle.exterior-video"], "country": "KZ", "encryption": {"by": "Store"}}],
            "retention": {"periods": [{"data": ["biometric.*", "vehicle.*"], "period": "1095d"}]},
            "destruction": {"method": "Deletion"},
            "software": [{"name": "s", "vendor": "v", "origin": "KZ", "audit": {"by": "b", "reference": "r", "date": "2026-01-01"}}],
            "certificates": [{"scheme": "s", "number": "1", "issuer": "i", "validUntil": "2027-01-01T00:00:00Z"}],
            "impactAssessment": {"reference": "r", "date": "2026-01-01"},
            "processors": [], "remoteAccess": [], "authorisedPersons": {"reference": "r"}
        }
    })
}

fn standard(name: &str, requires: &[&str]) -> SovereigntyStandard {
    serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"title": "t", "authority": {"name": "a", "country": "KZ"}, "appliesTo": {"data": ["biometric.*", "vehicle.*"]},
            "homeCountries": ["KZ"], "transfers": [], "requires": requires,
            "maxRetention": [{"data": ["biometric.*"], "period": "26280h"}]}
    }))
    .unwrap()
}

fn found(holding: Value, standards: &[SovereigntyStandard]) -> Vec<Missing> {
    let holding: DataHolding = serde_json::from_value(holding).unwrap();
    let cluster = Cluster { networks: vec![], domain: "cluster.local".parse().unwrap(), resolvers: vec![] };
    let around = Surroundings {
        standards,
        recipients: &BTreeMap::new(),
        namespace_labels: &BTreeMap::new(),
        services: &[],
        cluster: &cluster,
        now: "2026-06-01T00:00:00Z".parse().unwrap(),
    };
    missing(&holding, around)
}

/// Each requirement, what is taken from a complete holding, and the field and control that are named then.
const EACH: &[(&str, &str, &str, &str)] = &[
    ("System", "/spec/system", "spec.system", "Inventory"),
    ("ResponsiblePerson", "/spec/responsible", "spec.responsible", "Inventory"),
    ("Purpose", "/spec/data/0/purpose", "spec.data[0].purpose", "LegalBasis"),
    ("Source", "/spec/data/1/source", "spec.data[1].source", "Inventory"),
    ("LegalBasis", "/spec/data/0/legalBasis", "spec.data[0].legalBasis", "LegalBasis"),
    ("LegalBasis", "/spec/data/0/legalBasis/reference", "spec.data[0].legalBasis.reference", "LegalBasis"),
    ("Notice", "/spec/data/1/notice", "spec.data[1].notice", "LegalBasis"),
    ("Consent", "/spec/data/1/consent", "spec.data[1].consent", "LegalBasis"),
    ("Consent", "/spec/data/0/consent/reference", "spec.data[0].consent.reference", "LegalBasis"),
    ("Alternative", "/spec/data/0/alternative", "spec.data[0].alternative", "Alternative"),
    ("Use", "/spec/data/0/use", "spec.data[0].use", "ProhibitedUse"),
    ("Subjects", "/spec/data/0/subjects/count", "spec.data[0].subjects.count", "Thresholds"),
    ("TemplateProtection", "/spec/data/0/templateProtection", "spec.data[0].templateProtection", "TemplateProtection"),
    ("Necessity", "/spec/data/1/necessity", "spec.data[1].necessity", "InVehicleByDefault"),
    ("Anonymisation", "/spec/data/1/anonymisation", "spec.data[1].anonymisation", "ExteriorAnonymised"),
    ("ImpactAssessment", "/spec/impactAssessment", "spec.impactAssessment", "ImpactAssessment"),
    ("Certificate", "/spec/certificates", "spec.certificates", "SystemCertificate"),
    ("Storage", "/spec/storage/0/data/1", "spec.storage", "StorageLocation"),
    ("Encryption", "/spec/storage/0/encryption", "spec.storage[0].encryption", "EncryptionAtRest"),
    ("Retention", "/spec/retention/periods/0/data/1", "spec.retention", "RetentionLimit"),
    ("Destruction", "/spec/destruction", "spec.destruction", "ActOfDestruction"),
    ("Software", "/spec/software", "spec.software", "SoftwareProvenance"),
    ("Audit", "/spec/software/0/audit", "spec.software[0].audit", "SoftwareProvenance"),
    ("Processors", "/spec/processors", "spec.processors", "ListedRecipients"),
    ("RemoteAccess", "/spec/remoteAccess", "spec.remoteAccess", "RemoteAccess"),
    ("AuthorisedPersons", "/spec/authorisedPersons", "spec.authorisedPersons", "AuthorisedPersons"),
    ("Collection", "/spec/collection", "spec.collection", "Inventory"),
    ("DirectUpload", "/spec/collection/vehicles/directUpload", "spec.collection.vehicles.directUpload", "NoDirectUpload"),
];

fn remove(object: &mut Value, pointer: &str) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match object.pointer_mut(parent).unwrap() {
        Value::Array(items) => drop(items.remove(key.parse().unwrap())),
        parent => drop(parent.as_object_mut().unwrap().remove(key).unwrap()),
    }
}

#[test]
fn a_complete_holding_misses_nothing_and_each_removal_is_named_with_its_control() {
    let every: BTreeSet<&str> = EACH.iter().map(|(requirement, ..)| *requirement).collect();
    assert_eq!(found(complete(), &[standard("all", &every.into_iter().collect::<Vec<_>>())]), []);
    for (requirement, pointer, field, control) in EACH {
        let mut holding = complete();
        remove(&mut holding, pointer);
        let missing = found(holding.clone(), &[standard("s", &[requirement])]);
        let named: Vec<(&str, &str)> = missing.iter().map(|missing| (missing.field.as_str(), missing.control.as_str())).collect();
        assert_eq!(named, [(*field, *control)], "{requirement}");
        assert_eq!(found(holding, &[standard("s", &[])]), [], "what nobody requires is not missing");
    }
}

#[test]
fn every_requirement_is_tried() {
    let schema = serde_json::to_value(schemars::schema_for!(crate::sovereignty_standard::requirements::Requirement)).unwrap();
    let all: BTreeSet<&str> = schema["oneOf"].as_array().unwrap().iter().map(|value| value["const"].as_str().unwrap()).collect();
    assert_eq!(EACH.iter().map(|(requirement, ..)| *requirement).collect::<BTreeSet<_>>(), all);
}

#[test]
fn what_has_expired_or_is_too_long_is_named() {
    let mut holding = complete();
    holding["spec"]["data"][0]["legalBasis"]["validUntil"] = json!("2026-06-01T00:00:00Z");
    holding["spec"]["certificates"][0]["validUntil"] = json!("2026-05-31T00:00:00Z");
    holding["spec"]["retention"]["periods"][0]["period"] = json!("1096d");
    let missing: Vec<String> = found(holding, &[standard("a", &["LegalBasis", "Certificate"]), standard("b", &["LegalBasis"])])
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        missing,
        [
            "spec.certificates: no certificate is valid now (SystemCertificate; a)",
            "spec.data[0].legalBasis.validUntil: the legal basis of biometric.face has ended (LegalBasis; a, b)",
            "spec.retention.periods[0].period: biometric.face is kept for 1096d, and 26280h at most are allowed (RetentionLimit; a, b)",
        ]
    );
}

#[test]
fn standards_that_do_not_apply_require_nothing() {
    let mut other = standard("s", &["ImpactAssessment", "Purpose"]);
    other.spec.applies_to.data = vec!["biometric.dna".into()];
    let mut holding = complete();
    remove(&mut holding, "/spec/impactAssessment");
    assert_eq!(found(holding.clone(), &[other.clone()]), []);
    // of the categories those alone that the standard binds
    other.spec.applies_to.data = vec!["vehicle.*".into()];
    remove(&mut holding, "/spec/data/0/purpose");
    let fields: Vec<String> = found(holding, &[other]).into_iter().map(|missing| missing.field).collect();
    assert_eq!(fields, ["spec.impactAssessment"]);
}
