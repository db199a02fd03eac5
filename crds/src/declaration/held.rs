//! What is to be declared of each category.

use jiff::Timestamp;
use shekara_policy::Category;

use super::{Lack, has_ended};
use crate::control::ControlId;
use crate::data_holding::held::{ConsentKind, Form, Held};
use crate::sovereignty_standard::requirements::Requirement;

/// What a requirement misses of one category, if anything.
pub(super) fn lack(requirement: Requirement, field: &str, held: &Held, category: Category, now: Timestamp) -> Option<Lack> {
    let biometric = category.as_str().starts_with("biometric.");
    let absent = |name: &str, control, what: &str| {
        Some(Lack::new(format!("{field}.{name}"), control, format!("{what} {category} is not declared")))
    };
    match requirement {
        Requirement::Purpose if held.purpose.is_none() => absent("purpose", ControlId::LegalBasis, "the purpose of"),
        Requirement::Source if held.source.is_none() => absent("source", ControlId::Inventory, "the source of"),
        Requirement::LegalBasis => match &held.legal_basis {
            None => absent("legalBasis", ControlId::LegalBasis, "the legal basis of"),
            Some(basis) if basis.reference.is_none() => {
                absent("legalBasis.reference", ControlId::LegalBasis, "the document of the legal basis of")
            }
            Some(basis) if has_ended(basis.valid_until.as_deref(), now) => {
                let message = format!("the legal basis of {category} has ended");
                Some(Lack::new(format!("{field}.legalBasis.validUntil"), ControlId::LegalBasis, message))
            }
            Some(_) => None,
        },
        Requirement::Notice if held.notice.is_none() => absent("notice", ControlId::LegalBasis, "how people are told of"),
        Requirement::Consent => match &held.consent {
            None => absent("consent", ControlId::LegalBasis, "the consent to"),
            Some(consent) if consent.reference.is_none() && consent.kind == ConsentKind::NotRequired => {
                absent("consent.reference", ControlId::LegalBasis, "the rule by which no consent is needed to")
            }
            Some(_) => None,
        },
        Requirement::Alternative if biometric && !held.alternative.as_ref().is_some_and(|alternative| alternative.offered) => {
            let message = format!("no alternative to {category} is declared as offered");
            Some(Lack::new(format!("{field}.alternative"), ControlId::Alternative, message))
        }
        Requirement::Use if biometric && held.use_.is_none() => absent("use", ControlId::ProhibitedUse, "the use of"),
        Requirement::Subjects if held.subjects.as_ref().and_then(|subjects| subjects.count).is_none() => {
            absent("subjects.count", ControlId::Thresholds, "the number of people of")
        }
        Requirement::TemplateProtection
            // what is not said to be samples may be templates
            if biometric && held.form != Some(Form::Sample) && held.template_protection.is_none() =>
        {
            absent("templateProtection", ControlId::TemplateProtection, "the protection of templates of")
        }
        Requirement::Necessity if !biometric && held.necessity.is_none() => {
            absent("necessity", ControlId::InVehicleByDefault, "the necessity to take out of the vehicle")
        }
        Requirement::Anonymisation if category == Category::VehicleExteriorVideo && held.anonymisation.is_none() => {
            absent("anonymisation", ControlId::ExteriorAnonymised, "how faces and plates are made anonymous in")
        }
        _ => None,
    }
}
