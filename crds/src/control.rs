//! The controls: what a law or a standard asks of a holding, each under a name that reports, conditions and standards share.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A control. What the data owner declares is never reported as measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum ControlId {
    /// What is held, by whom, and who answers for it.
    Inventory,
    /// Legal basis, purpose, notice and consent.
    LegalBasis,
    /// An alternative that needs no biometrics.
    Alternative,
    /// An impact assessment that is newer than the last material change.
    ImpactAssessment,
    /// No prohibited use.
    ProhibitedUse,
    /// A certificate of the system that has not expired and covers what runs.
    SystemCertificate,
    /// Thresholds of people counted.
    Thresholds,
    /// Storage and backups in the country.
    StorageLocation,
    /// Encryption at rest.
    EncryptionAtRest,
    /// Protection of templates (ISO/IEC 24745).
    TemplateProtection,
    /// Samples kept apart from templates (ISO/IEC 24745).
    SampleSeparation,
    /// Every pod in scope behind the sidecar, with the packet filter proven.
    DefaultDenyCoverage,
    /// Destinations in allowed countries alone.
    DestinationCountry,
    /// A transfer mechanism that has not expired.
    TransferGround,
    /// Observed recipients within the declared ones.
    ListedRecipients,
    /// Remote access from abroad.
    RemoteAccess,
    /// Who is authorised to handle the data.
    AuthorisedPersons,
    /// Logging of access.
    AccessLogging,
    /// A limit to retention, kept by a job.
    RetentionLimit,
    /// Acts of destruction.
    ActOfDestruction,
    /// Processing in the vehicle unless more is necessary.
    InVehicleByDefault,
    /// Faces and plates outside the vehicle made anonymous.
    ExteriorAnonymised,
    /// No direct upload from vehicles to abroad.
    NoDirectUpload,
    /// Sharing that the user of a vehicle asked for.
    UserDirectedSharing,
    /// The clock of a breach.
    BreachClock,
    /// A feed to the monitoring centre.
    MonitoringFeed,
    /// Evidence without gaps.
    EvidenceContinuity,
    /// Where the workloads run.
    Placement,
    /// Where the software comes from.
    SoftwareProvenance,
}

impl ControlId {
    /// The name, as `LegalBasis`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inventory => "Inventory",
            Self::LegalBasis => "LegalBasis",
            Self::Alternative => "Alternative",
            Self::ImpactAssessment => "ImpactAssessment",
            Self::ProhibitedUse => "ProhibitedUse",
            Self::SystemCertificate => "SystemCertificate",
            Self::Thresholds => "Thresholds",
            Self::StorageLocation => "StorageLocation",
            Self::EncryptionAtRest => "EncryptionAtRest",
            Self::TemplateProtection => "TemplateProtection",
            Self::SampleSeparation => "SampleSeparation",
            Self::DefaultDenyCoverage => "DefaultDenyCoverage",
            Self::DestinationCountry => "DestinationCountry",
            Self::TransferGround => "TransferGround",
            Self::ListedRecipients => "ListedRecipients",
            Self::RemoteAccess => "RemoteAccess",
            Self::AuthorisedPersons => "AuthorisedPersons",
            Self::AccessLogging => "AccessLogging",
            Self::RetentionLimit => "RetentionLimit",
            Self::ActOfDestruction => "ActOfDestruction",
            Self::InVehicleByDefault => "InVehicleByDefault",
            Self::ExteriorAnonymised => "ExteriorAnonymised",
            Self::NoDirectUpload => "NoDirectUpload",
            Self::UserDirectedSharing => "UserDirectedSharing",
            Self::BreachClock => "BreachClock",
            Self::MonitoringFeed => "MonitoringFeed",
            Self::EvidenceContinuity => "EvidenceContinuity",
            Self::Placement => "Placement",
            Self::SoftwareProvenance => "SoftwareProvenance",
        }
    }
}

impl fmt::Display for ControlId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
