use super::*;

fn document() -> PolicyDocument {
    crate::decide::tests::document("cameras", "street")
}

#[test]
fn a_document_reads_as_it_was_written_and_its_digest_stands() {
    let json = serde_json::to_vec(&document()).unwrap();
    let read = PolicyDocument::from_json(&json).unwrap();
    assert_eq!(read, document());
    assert_eq!(read.digest().unwrap(), document().digest().unwrap());
}

#[test]
fn unknown_fields_are_refused_at_every_depth() {
    let document = PolicyDocument { inbound: Some(crate::decide::tests::inbound()), ..document() };
    let json = serde_json::to_value(document).unwrap();
    for pointer in [
        "",
        "/holding",
        "/cluster",
        "/routes/0",
        "/routes/0/endpoints/0",
        "/routes/0/constraints/0",
        "/routes/0/permits/0",
        "/standards/0",
        "/inbound",
        "/inbound/standards/0",
        "/inbound/standards/0/from/0",
        "/inbound/clients/0",
    ] {
        let mut altered = json.clone();
        altered.pointer_mut(pointer).unwrap().as_object_mut().unwrap().insert("allowAll".into(), true.into());
        let error = PolicyDocument::from_json(altered.to_string().as_bytes()).unwrap_err();
        assert!(error.to_string().contains("allowAll"), "{pointer}: {error}");
    }
}

#[test]
fn another_version_is_refused_by_name() {
    let mut json = serde_json::to_value(document()).unwrap();
    json["version"] = 2.into();
    json["somethingNew"] = true.into();
    assert!(matches!(PolicyDocument::from_json(json.to_string().as_bytes()), Err(DocumentError::Version(2))));
}
