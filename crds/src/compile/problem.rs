//! What is wrong with a declaration, by field.

use std::collections::BTreeSet;
use std::fmt;

use shekara_policy::Category;

/// Something wrong with a declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The path of the field, as `spec.transfers[1].recipient`; for a field of another object with its kind and name in front.
    pub field: String,
    /// A stable code, the reason of the `Accepted` condition.
    pub code: ProblemCode,
    /// A sentence without the field's path.
    pub message: String,
}

/// What kind of thing is wrong: a closed list with stable codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemCode {
    /// A value that the schema lets through and that means nothing.
    InvalidField,
    /// A transfer to a recipient that does not exist.
    RecipientNotFound,
    /// No standard applies.
    NoStandard,
    /// A transfer of data that the holding does not hold.
    DataNotHeld,
    /// No permit covers the data for this holding.
    NoPermit,
    /// The permits have expired.
    PermitExpired,
    /// The permits are not valid yet.
    PermitNotYetValid,
    /// No permit rests on a ground that the standard allows.
    GroundNotAllowed,
    /// A standard does not allow a route that carries nothing.
    EmptyTransferDenied,
    /// A route abroad that carries nothing has no approval.
    NoApproval,
    /// The permits are for other purposes.
    PurposeNotPermitted,
    /// Observe is asked for, and a standard that applies does not grant it, or none does.
    ObserveNotGranted,
    /// Observe is asked for, and ends earlier than is asked for.
    ObserveBounded,
    /// The recipient's own country is not allowed for the data.
    CrossBorder,
    /// A standard does not leave the Kubernetes API to holdings.
    ClusterApiDenied,
    /// A standard leaves no inCluster Service to be listed for the data.
    InClusterDenied,
    /// An inCluster Service does not exist.
    ServiceNotFound,
    /// An inCluster Service leads outside the cluster by its name.
    ServiceWithoutAddress,
}

impl ProblemCode {
    /// The stable code.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidField => "InvalidField",
            Self::RecipientNotFound => "RecipientNotFound",
            Self::NoStandard => "NoStandard",
            Self::DataNotHeld => "DataNotHeld",
            Self::NoPermit => "NoPermit",
            Self::PermitExpired => "PermitExpired",
            Self::PermitNotYetValid => "PermitNotYetValid",
            Self::GroundNotAllowed => "GroundNotAllowed",
            Self::EmptyTransferDenied => "EmptyTransferDenied",
            Self::NoApproval => "NoApproval",
            Self::PurposeNotPermitted => "PurposeNotPermitted",
            Self::ObserveNotGranted => "ObserveNotGranted",
            Self::ObserveBounded => "ObserveBounded",
            Self::CrossBorder => "CrossBorder",
            Self::ClusterApiDenied => "ClusterAPIDenied",
            Self::InClusterDenied => "InClusterDenied",
            Self::ServiceNotFound => "ServiceNotFound",
            Self::ServiceWithoutAddress => "ServiceWithoutAddress",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, field: &str, code: ProblemCode, message: impl fmt::Display) {
        self.0.push(Problem { field: field.to_owned(), code, message: message.to_string() });
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn into_vec(self) -> Vec<Problem> {
        self.0
    }

    /// The value, or a problem with the field.
    pub(super) fn check<T, E: fmt::Display>(&mut self, field: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.add(field, ProblemCode::InvalidField, error)).ok()
    }

    /// A problem where the text is no instant.
    pub(super) fn instant(&mut self, field: &str, text: Option<&str>) {
        let _ = text.and_then(|text| self.check(field, text.parse::<jiff::Timestamp>()));
    }

    /// A problem where the text is no day.
    pub(super) fn date(&mut self, field: &str, text: Option<&str>) {
        let _ = text.and_then(|text| self.check(field, text.parse::<jiff::civil::Date>()));
    }

    /// A problem where the text is no duration.
    pub(super) fn duration(&mut self, field: &str, text: Option<&str>) {
        let _ = text.and_then(|text| self.check(field, crate::duration(text)));
    }
}

/// The categories of a list; a name that is none is a problem.
pub(super) fn categories(names: &[String], field: &str, problems: &mut Problems) -> BTreeSet<Category> {
    names.iter().enumerate().filter_map(|(index, name)| problems.check(&format!("{field}[{index}]"), name.parse())).collect()
}
