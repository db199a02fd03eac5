//! What people read in conditions and events: closed lists of stable codes, each with what it means and what can be done.
//! `docs/reference/messages.md` is made of them.

macro_rules! messages {
    ($(#[$list:meta])* $name:ident { $($code:ident: $meaning:literal, $remedy:literal;)* }) => {
        $(#[$list])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $(#[doc = $meaning] $code,)*
        }

        impl $name {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$code,)*];

            /// The stable code.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$code => stringify!($code),)* }
            }

            /// What it means, in one sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$code => $meaning,)* }
            }

            /// What can be done, in one sentence; empty where nothing needs to be.
            #[must_use]
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$code => $remedy,)* }
            }
        }
    };
}

messages! {
    /// The reason of a condition of a holding, a recipient or a standard; where `Accepted` is False, it is a [`ProblemCode`].
    ConditionReason {
        Accepted: "The declaration is compiled and in force.", "";
        Unreadable: "The object is not of the form that this version knows, so nothing of it is in force.", "Apply it anew by the definition that the cluster has (kubectl explain).";
        AllPods: "Every pod in scope has the sidecar.", "";
        NoPods: "No pod is in scope.", "Label the namespace shekara.dev/protect=true, so that the sidecar is put into new pods.";
        BarePods: "Pods in scope have no sidecar: they were created before the holding or past admission.", "Delete them, and their owners create them again with it; a standard can ask that workloads be restarted.";
        SharedClaims: "Pods without the sidecar mount claims of pods in scope, and what is there leaves by them.", "Let a DataHolding cover them, or give them other claims.";
        LogCollectors: "Pods of the cluster mount what others print on their node, and not every standard lists them with a country that it allows.", "List them under spec.logs of the standard, with the country to which they send it, or do without them.";
        Enforcing: "Every pod in scope is proven to enforce the present document.", "";
        Starting: "Pods are starting, and nothing leaves them before they are proven.", "";
        ProofFailed: "Pods have not started, because shekara-verify saw a way out that is open or could not see it closed.", "Read the log of shekara-verify, which says which way.";
        Loading: "A new document is on its way to the sidecars.", "";
        Outdated: "Sidecars enforce an earlier document than the present one.", "Read the log of shekara-proxy there, and look whether the pod reaches the policy API.";
        Observing: "Pods record verdicts and let flows pass.", "Declare what is to go on (kubectl shekara propose), and set enforcement.mode to Enforce.";
        Stale: "Sidecars go by a document that is not confirmed to be the newest, or refuse what they are given.", "Look whether the operator runs and the pods reach the policy API; the message says what they refuse.";
        RestartNeeded: "Pods obey nothing that is signed now, or were admitted to observe while the holding enforces.", "Replace them: kubectl rollout restart of their workloads.";
        FilterOpen: "The packet filter of a pod was seen to leave a way out: somebody with the rights of its node has changed it.", "Delete the pod, and find out who changed it; the log of shekara-proxy says which way.";
        FilterUnproven: "Sidecars cannot prove their packet filter any more: it was changed, or the pod has no time, open files or ports left.", "Read the log of shekara-proxy, which says which way was not seen closed.";
        Declared: "Everything is declared that the standards require.", "";
        DeclarationMissing: "Something is not declared that a standard requires; it opens and closes nothing.", "Declare what the message lists, each with its field and the standard that asks for it.";
        Ready: "Accepted, Covered and Enforcing hold as far as there are pods.", "";
    }
}

messages! {
    /// What is wrong with a declaration: the reason of `Accepted` where it is False. The message names each field.
    ProblemCode {
        InvalidField: "A value that the schema lets through means nothing.", "Write the field as the message says.";
        RecipientNotFound: "A transfer leads to a recipient that does not exist.", "Have the registrar make the Recipient, or correct the name.";
        NoStandard: "No standard applies, so nothing says in which countries the data may be.", "Have a SovereigntyStandard select the namespace and the data.";
        DataNotHeld: "A transfer carries data that the holding does not hold.", "Add the category to spec.data, or take it from the transfer.";
        NoPermit: "No permit of the recipient covers the data for this holding.", "Have the registrar add a permit for the category.";
        PermitExpired: "The permits of the recipient have expired.", "Have the registrar renew them.";
        PermitNotYetValid: "The permits of the recipient are not valid yet.", "Wait, or have the registrar correct their begin.";
        GroundNotAllowed: "No permit rests on a ground that the standard allows.", "Have the registrar name another ground, or the regulator allow it.";
        EmptyTransferDenied: "A standard does not allow a route that claims to carry none of the data.", "Name the data that the route carries, or take the transfer out.";
        NoApproval: "A route that claims to carry nothing leads abroad and has no approval.", "Name the approval under the transfer.";
        PurposeNotPermitted: "The permits are for other purposes than that of the transfer.", "Declare the purpose that is permitted, or have the registrar permit this one.";
        ObserveNotGranted: "Observe is asked for, and a standard that applies does not grant it, or none does.", "Set enforcement.mode to Enforce, or have the regulator grant Observe.";
        ObserveBounded: "Observe is asked for, and ends earlier than is asked for.", "Set an earlier enforcement.observeUntil.";
        CrossBorder: "The recipient's own country is not allowed for the data.", "Choose another recipient; a standard alone can allow the country.";
        ClusterAPIDenied: "A standard does not leave the Kubernetes API to holdings.", "Take spec.clusterAPI out, or have the regulator allow it.";
        InClusterDenied: "A standard leaves no Service inside the cluster to be listed for the data.", "Take the Service out of spec.inCluster, and cover the pods behind it.";
        ServiceNotFound: "A Service that is listed does not exist.", "Correct its namespace and name, or make it.";
        DocumentTooLong: "What the holding, its recipients and standards say together is longer than a pod reads, so nothing is open.", "Declare fewer transfers in one holding, or recipients with fewer endpoints and networks.";
        ServiceWithoutAddress: "A Service that is listed leads outside the cluster by its name.", "Declare a transfer to a recipient with that name.";
    }
}

messages! {
    /// The reason of an event on the workload that owns pods.
    EventReason {
        Injected: "The sidecar is in a new pod.", "";
        Refused: "A pod was refused; the message names the fields.", "Change the template as the message says.";
        DraftCreated: "The annotation shekara.dev/data made a DataHolding that is a draft.", "Fill in what it leaves open, and take the label shekara.dev/draft away.";
        DraftRefused: "The annotation shekara.dev/data makes no draft, or says something else than the holding that covers the workload.", "Correct the annotation or the holding, as the message says.";
        Restarted: "The workload is restarted, so that its pods get the sidecar.", "";
        RestartFailed: "The workload is not restarted although a standard asks for it, or its restart did not help.", "Do what the message says; it is tried again.";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sentence_ends_and_what_is_wrong_has_a_remedy() {
        let conditions = ConditionReason::ALL.iter().map(|reason| (reason.code(), reason.meaning(), reason.remedy()));
        let problems = ProblemCode::ALL.iter().map(|code| (code.code(), code.meaning(), code.remedy()));
        let events = EventReason::ALL.iter().map(|reason| (reason.code(), reason.meaning(), reason.remedy()));
        for (code, meaning, remedy) in conditions.chain(problems.clone()).chain(events) {
            assert!(meaning.ends_with('.') && (remedy.is_empty() || remedy.ends_with('.')), "{code}");
        }
        assert!(problems.into_iter().all(|(_, _, remedy)| !remedy.is_empty()));
    }
}
