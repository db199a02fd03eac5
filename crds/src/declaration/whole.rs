//! What is to be declared of a holding as a whole.

use jiff::Timestamp;
use shekara_policy::Category;
use shekara_policy::category::CategoryPattern;

use super::{Lack, has_ended};
use crate::control::ControlId;
use crate::data_holding::DataHoldingSpec;
use crate::data_holding::collection::DirectUpload;
use crate::data_holding::keeping::EncryptedBy;
use crate::sovereignty_standard::requirements::Requirement;

/// What a requirement misses of the whole.
pub(super) fn lacks(requirement: Requirement, spec: &DataHoldingSpec, now: Timestamp) -> Vec<Lack> {
    let unless = |declared: bool, field: &str, control, what: &str| {
        if declared { vec![] } else { vec![Lack::new(field, control, format!("{what} not declared"))] }
    };
    match requirement {
        Requirement::System => unless(spec.system.is_some(), "spec.system", ControlId::Inventory, "the registered system is"),
        Requirement::ResponsiblePerson => {
            unless(spec.responsible.is_some(), "spec.responsible", ControlId::Inventory, "who answers for the holding is")
        }
        Requirement::ImpactAssessment => {
            let declared = spec.impact_assessment.is_some();
            unless(declared, "spec.impactAssessment", ControlId::ImpactAssessment, "an impact assessment is")
        }
        Requirement::Certificate => certificate(spec, now),
        Requirement::Encryption => encryption(spec),
        Requirement::Destruction => {
            unless(spec.destruction.is_some(), "spec.destruction", ControlId::ActOfDestruction, "how data are destroyed is")
        }
        Requirement::Software => {
            unless(!spec.software.is_empty(), "spec.software", ControlId::SoftwareProvenance, "the software is")
        }
        Requirement::Audit => {
            let lacks = spec.software.iter().enumerate().filter(|(_, software)| software.audit.is_none());
            let lack = |index| format!("spec.software[{index}].audit");
            let message = "an audit of the software is not declared";
            lacks.map(|(index, _)| Lack::new(lack(index), ControlId::SoftwareProvenance, message)).collect()
        }
        Requirement::Processors => {
            let what = "the processors, or that there are none, are";
            unless(spec.processors.is_some(), "spec.processors", ControlId::ListedRecipients, what)
        }
        Requirement::RemoteAccess => {
            let what = "who has remote access, or that nobody has, is";
            unless(spec.remote_access.is_some(), "spec.remoteAccess", ControlId::RemoteAccess, what)
        }
        Requirement::AuthorisedPersons => {
            let declared = spec.authorised_persons.is_some();
            unless(declared, "spec.authorisedPersons", ControlId::AuthorisedPersons, "who is authorised is")
        }
        Requirement::Collection => {
            let collection = spec.collection.as_ref();
            let declared =
                collection.is_some_and(|all| !all.places.is_empty() || !all.devices.is_empty() || all.vehicles.is_some());
            unless(declared, "spec.collection", ControlId::Inventory, "where and by what data are collected is")
        }
        Requirement::DirectUpload => {
            let vehicles = spec.collection.as_ref().and_then(|collection| collection.vehicles.as_ref());
            let declared = vehicles.is_some_and(|vehicles| vehicles.direct_upload != DirectUpload::Unknown);
            let field = "spec.collection.vehicles.directUpload";
            unless(declared, field, ControlId::NoDirectUpload, "whether vehicles send data by themselves is")
        }
        // these are asked of each category
        Requirement::Purpose
        | Requirement::Source
        | Requirement::LegalBasis
        | Requirement::Notice
        | Requirement::Consent
        | Requirement::Alternative
        | Requirement::Use
        | Requirement::Subjects
        | Requirement::TemplateProtection
        | Requirement::Necessity
        | Requirement::Anonymisation
        | Requirement::Storage
        | Requirement::Retention => vec![],
    }
}

/// What a requirement that is met by a list misses of one category.
pub(super) fn lack_of_category(requirement: Requirement, spec: &DataHoldingSpec, category: Category) -> Option<Lack> {
    match requirement {
        Requirement::Storage => {
            let stored = spec.storage.iter().any(|storage| storage.data.iter().any(|data| data == category.as_str()));
            let message = format!("where {category} is stored is not declared");
            (!stored).then(|| Lack::new("spec.storage", ControlId::StorageLocation, message))
        }
        Requirement::Retention => {
            let matches = |pattern: &String| pattern.parse::<CategoryPattern>().is_ok_and(|pattern| pattern.matches(category));
            let periods = spec.retention.iter().flat_map(|retention| &retention.periods);
            let kept = periods.into_iter().any(|period| period.data.iter().any(matches));
            let message = format!("how long {category} is kept is not declared");
            (!kept).then(|| Lack::new("spec.retention", ControlId::RetentionLimit, message))
        }
        _ => None,
    }
}

/// A certificate that is valid now.
fn certificate(spec: &DataHoldingSpec, now: Timestamp) -> Vec<Lack> {
    let begun =
        |from: &Option<String>| from.as_deref().is_none_or(|from| from.parse::<Timestamp>().is_ok_and(|from| from <= now));
    let valid = spec
        .certificates
        .iter()
        .any(|certificate| begun(&certificate.valid_from) && !has_ended(certificate.valid_until.as_deref(), now));
    let message =
        if spec.certificates.is_empty() { "a certificate of the system is not declared" } else { "no certificate is valid now" };
    if valid { vec![] } else { vec![Lack::new("spec.certificates", ControlId::SystemCertificate, message)] }
}

/// The encryption of each place of storage.
fn encryption(spec: &DataHoldingSpec) -> Vec<Lack> {
    let encrypted = |by: Option<EncryptedBy>| by.is_some_and(|by| by != EncryptedBy::Nothing);
    let open = spec.storage.iter().enumerate().filter(|(_, storage)| !encrypted(storage.encryption.as_ref().map(|all| all.by)));
    let lack = |(index, _)| {
        Lack::new(format!("spec.storage[{index}].encryption"), ControlId::EncryptionAtRest, "encryption at rest is not declared")
    };
    open.map(lack).collect()
}
