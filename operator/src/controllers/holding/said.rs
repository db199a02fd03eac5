//! The conditions of a holding: what they are, and a sentence on which a person can act.

use std::collections::BTreeSet;

use shekara_crds::PROTECT_LABEL;
use shekara_crds::declaration::Missing;
use shekara_crds::message::ConditionReason;
use shekara_policy::Reason;

use super::coverage::{State, Survey, Surveyed, Why};
use crate::controllers::conditions::{Said, Status, listed};

/// The longest list of missing declarations in a sentence, in bytes.
const DECLARATIONS: usize = 2048;
/// The longest list of pods in a sentence, in bytes.
const PODS: usize = 400;
/// The longest list of collectors of logs in a sentence, in bytes.
const COLLECTORS: usize = 1024;

/// `Covered`: whether every pod in scope has the sidecar, nobody else mounts their claims, and nobody collects what they print but who is
/// listed. `shared` are pods that mount them, each with the claim, and `collectors` those who collect and are not listed.
pub(super) fn covered(
    survey: &Survey,
    shared: &BTreeSet<(String, String)>,
    collectors: &BTreeSet<String>,
    protected: bool,
) -> Said {
    let say = |status, reason, message: String| Said::new("Covered", status, reason, message);
    let (all, bare) = (survey.pods.len(), survey.count(State::Bare));
    let label = format!("Label the namespace {PROTECT_LABEL}=true, so that the sidecar is put into new pods");
    if all == 0 && !protected {
        let message = format!("No pod is in scope. {label}; until then only pods that ask for the holding by annotation get it.");
        return say(Status::True, ConditionReason::NoPods, message);
    }
    if all == 0 {
        return say(Status::True, ConditionReason::NoPods, "No pod is in scope.".into());
    }
    let collected = (!collectors.is_empty()).then(|| {
        let workloads = listed(collectors.iter().cloned(), ", ", COLLECTORS);
        format!(
            "What pods print lies on their nodes, and these mount the folder and are not listed by every standard with a country that it allows: {workloads}. List them under spec.logs of the standard, with the country to which they send it, or do without them."
        )
    });
    let also = collected.as_ref().map(|sentence| format!(" {sentence}")).unwrap_or_default();
    if bare == 0 && !shared.is_empty() {
        let pods = listed(shared.iter().map(|(pod, claim)| format!("{pod} ({claim})")), ", ", PODS);
        let message = format!(
            "Pods without the sidecar mount claims of pods in scope, and what is there leaves by them: {pods}. Let a DataHolding cover them, or give them other claims.{also}"
        );
        return say(Status::False, ConditionReason::SharedClaims, message);
    }
    if let (0, Some(collected)) = (bare, collected) {
        return say(Status::False, ConditionReason::LogCollectors, collected);
    }
    if bare == 0 {
        return say(Status::True, ConditionReason::AllPods, format!("All pods in scope ({all}) have the sidecar."));
    }
    let pods = names(survey.in_state(State::Bare));
    let act = if protected {
        "They were created before the holding or past admission; delete them, and their owners create them again with it.".into()
    } else {
        format!("{label}, and then delete them.")
    };
    let message = format!("{bare} of {all} pods in scope have no sidecar: {pods}. {act}{also}");
    say(Status::False, ConditionReason::BarePods, message)
}

/// `Enforcing`: whether every pod in scope is proven to enforce the present document. `loading` says that the document is so new
/// that sidecars may still be about to load it.
pub(super) fn enforcing(survey: &Survey, loading: bool) -> Said {
    let say = |status, reason, message: String| Said::new("Enforcing", status, reason, message);
    let all = survey.pods.len();
    let of = |state| format!("{} of {all} pods in scope", survey.count(state));
    if all == 0 {
        return say(Status::Unknown, ConditionReason::NoPods, "No pod is in scope, so there is nothing to enforce in.".into());
    }
    if survey.count(State::Bare) > 0 {
        let message = format!("{} have no sidecar; the condition Covered says what to do.", of(State::Bare));
        return say(Status::False, ConditionReason::BarePods, message);
    }
    let for_reason = |why| survey.pods.iter().filter(move |pod| pod.why == Some(why));
    let number = |why| for_reason(why).count();
    let observed = number(Why::Observed);
    if number(Why::Open) > 0 {
        let message = format!(
            "{} of {all} pods in scope have a packet filter that was seen to leave a way out: {}. Somebody with the rights of their node has changed it; the log of shekara-proxy says which way. Delete them, and their owners create them again.",
            number(Why::Open),
            names(for_reason(Why::Open))
        );
        return say(Status::False, ConditionReason::FilterOpen, message);
    }
    if survey.count(State::RestartNeeded) > observed {
        let (which, pods) = (of(State::RestartNeeded), names(survey.in_state(State::RestartNeeded)));
        let message = format!(
            "{which} were admitted with another root key, or for a holding of this name that was deleted, so they obey nothing that is signed now and let nothing out once their last document has ended: {pods}. Delete them, and their owners create them again."
        );
        return say(Status::False, ConditionReason::RestartNeeded, message);
    }
    if observed > 0 {
        let (which, pods) = (of(State::RestartNeeded), names(survey.in_state(State::RestartNeeded)));
        let message = format!(
            "{which} were admitted to observe, and the holding enforces now: their sidecars do too, and their packet filter is not proven to: {pods}. Restart their workloads (kubectl rollout restart)."
        );
        return say(Status::False, ConditionReason::RestartNeeded, message);
    }
    if number(Why::Unproven) > 0 {
        let message = format!(
            "{} of {all} pods in scope have a packet filter that their sidecars cannot prove any more: {}. It may have been changed, or the pods have no time, open files or ports left; the log of shekara-proxy says which way was not seen closed.",
            number(Why::Unproven),
            names(for_reason(Why::Unproven))
        );
        return say(Status::False, ConditionReason::FilterUnproven, message);
    }
    if survey.count(State::Stale) > 0 {
        let (which, pods) = (of(State::Stale), names(survey.in_state(State::Stale)));
        let refused = survey
            .in_state(State::Stale)
            .find_map(|pod| if let Some(Why::Refused(reason)) = pod.why { Some(reason) } else { None });
        let why = refused.map_or("They have not reached the policy API since they started.", Reason::sentence);
        return say(
            Status::False,
            ConditionReason::Stale,
            format!("{which} go by a document that is not confirmed to be the newest: {pods}. {why}"),
        );
    }
    if survey.count(State::Observing) > 0 {
        let (which, pods) = (of(State::Observing), names(survey.in_state(State::Observing)));
        let until = survey.observes_until().map(|until| format!(" until {until}")).unwrap_or_default();
        let message = format!(
            "{which} record verdicts and let flows pass{until}: {pods}. What Enforce would stop, `kubectl shekara propose` says."
        );
        return say(Status::False, ConditionReason::Observing, message);
    }
    if survey.outdated() > 0 {
        let (which, pods) = (of(State::Outdated), names(survey.in_state(State::Outdated)));
        return if loading {
            say(
                Status::Unknown,
                ConditionReason::Loading,
                format!("{which} have not said yet that they enforce the new document: {pods}."),
            )
        } else {
            let act = "Look at the log of shekara-proxy there, and whether the pod reaches the policy API.";
            say(Status::False, ConditionReason::Outdated, format!("{which} enforce an earlier document: {pods}. {act}"))
        };
    }
    if survey.count(State::Starting) > 0 {
        let failed: Vec<&Surveyed> = survey.in_state(State::Starting).filter(|pod| pod.failed.is_some()).collect();
        let which = of(State::Starting);
        if !failed.is_empty() {
            let pods = names(failed.into_iter());
            let message = format!(
                "{which} have not started, because shekara-verify saw a way out that is open: {pods}. Nothing leaves them; its log says which way."
            );
            return say(Status::False, ConditionReason::ProofFailed, message);
        }
        let pods = names(survey.in_state(State::Starting));
        let message = format!("{which} are starting, and nothing leaves them before they are proven: {pods}.");
        return say(Status::Unknown, ConditionReason::Starting, message);
    }
    say(
        Status::True,
        ConditionReason::Enforcing,
        format!("All pods in scope ({all}) are proven to enforce the present document."),
    )
}

/// `DeclarationComplete`: whether everything is declared that the standards require. It opens and closes nothing.
pub(super) fn declared(missing: &[Missing]) -> Said {
    let say = |status, reason, message: String| Said::new("DeclarationComplete", status, reason, message);
    if missing.is_empty() {
        let message = "Everything is declared that the standards require. What is declared is not measured by that.";
        return say(Status::True, ConditionReason::Declared, message.into());
    }
    let texts = listed(missing.iter().map(ToString::to_string), "; ", DECLARATIONS);
    say(Status::False, ConditionReason::DeclarationMissing, format!("{} missing: {texts}.", missing.len()))
}

/// `Ready`: whether the others hold. It never reads as a certificate.
pub(super) fn ready(others: &[Said]) -> Said {
    // without pods there is nothing to enforce in, and nothing to wait for
    let holds = |said: &&Said| said.status == Status::True || said.reason == ConditionReason::NoPods.code();
    let worst = others.iter().filter(|said| !holds(said)).min_by_key(|said| said.status == Status::Unknown);
    match worst {
        Some(said) => Said { type_: "Ready", message: format!("{}: {}", said.type_, said.message), ..said.clone() },
        None => Said::new(
            "Ready",
            Status::True,
            ConditionReason::Ready,
            "Accepted, Covered and Enforcing hold as far as there are pods.",
        ),
    }
}

fn names<'a>(pods: impl Iterator<Item = &'a Surveyed>) -> String {
    let name = |pod: &Surveyed| match pod.failed {
        Some(code) => format!("{} (exit code {code})", pod.name),
        None => pod.name.clone(),
    };
    listed(pods.map(name), ", ", PODS)
}
