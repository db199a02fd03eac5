//! What a holding declares besides its routes: no route hangs on it, but what means nothing is named.

use super::problem::Problems;
use crate::data_holding::DataHoldingSpec;

/// Names the fields that mean nothing.
pub(super) fn check(spec: &DataHoldingSpec, problems: &mut Problems) {
    for (index, held) in spec.data.iter().enumerate() {
        let until = held.legal_basis.as_ref().and_then(|basis| basis.valid_until.as_deref());
        problems.instant(&format!("spec.data[{index}].legalBasis.validUntil"), until);
        let since = held.notice.as_ref().and_then(|notice| notice.since.as_deref());
        problems.instant(&format!("spec.data[{index}].notice.since"), since);
    }
    for (index, period) in spec.retention.iter().flat_map(|retention| &retention.periods).enumerate() {
        problems.check(&format!("spec.retention.periods[{index}].period"), crate::duration(&period.period));
    }
    for (index, software) in spec.software.iter().enumerate() {
        let date = software.audit.as_ref().map(|audit| audit.date.as_str());
        problems.date(&format!("spec.software[{index}].audit.date"), date);
    }
    for (index, certificate) in spec.certificates.iter().enumerate() {
        problems.instant(&format!("spec.certificates[{index}].validFrom"), certificate.valid_from.as_deref());
        problems.instant(&format!("spec.certificates[{index}].validUntil"), certificate.valid_until.as_deref());
    }
    problems.date("spec.impactAssessment.date", spec.impact_assessment.as_ref().map(|assessment| assessment.date.as_str()));
    let authorised = spec.authorised_persons.as_ref().and_then(|persons| persons.date.as_deref());
    problems.date("spec.authorisedPersons.date", authorised);
    problems.instant("spec.enforcement.observeUntil", spec.enforcement.observe_until.as_deref());
}
