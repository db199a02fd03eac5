//! Putting documents into force, and keeping what is in force when something is refused.

use std::sync::Arc;

use shekara_policy::exchange::Standing;
use shekara_policy::signed::{Accepted, Held, Refusal};
use tokio::sync::watch;

use super::Enforced;
use crate::metrics::Metrics;

/// All documents at once. Living flows are judged again, unless the documents say what they said before.
pub(super) fn accept(documents: &watch::Sender<Arc<Enforced>>, metrics: &Metrics, accepted: Accepted, standing: Standing) {
    let Accepted { documents: new, held } = accepted;
    let standing = if new.is_empty() { Standing::Absent } else { standing };
    metrics.documents(&held, standing);
    documents.send_if_modified(|enforced| {
        let same = enforced.serial > 0 && enforced.documents == new;
        let serial = if same { enforced.serial } else { enforced.serial + 1 };
        if !same || enforced.standing != standing {
            let holdings = new.iter().map(|document| document.holding.to_string()).collect::<Vec<_>>().join(", ");
            tracing::info!(%holdings, documents = told(&held), ?standing, "documents are in force");
        }
        // documents that came back to life after their end are none that stood all the time
        let revived = enforced.refused.is_some();
        let next = Enforced { documents: new, held, serial, standing, refused: None };
        // who waits for the end of the documents has to wait less
        let sooner = next.not_after() < enforced.not_after();
        *enforced = Arc::new(next);
        !same || revived || sooner
    });
}

/// Something was refused: what was in force stays so as long as it may.
pub(super) fn refuse(documents: &watch::Sender<Arc<Enforced>>, metrics: &Metrics, refusal: Refusal) {
    metrics.refused(refusal.reason());
    documents.send_if_modified(|enforced| {
        Arc::make_mut(enforced).refused = Some(refusal.reason());
        false
    });
}

fn told(held: &[Held]) -> String {
    let one = |held: &Held| format!("{} serial {} until {}", held.digest, held.serial, held.not_after);
    held.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(names: &[&str], serial: u64) -> Accepted {
        let documents = names.iter().map(|name| {
            let mut document = crate::flow::tests::document();
            document.holding.name = (*name).to_owned();
            document
        });
        let documents: Vec<_> = documents.collect();
        let held = |document: &shekara_policy::PolicyDocument| Held {
            holding_uid: document.holding.uid.clone(),
            serial,
            digest: document.digest().unwrap(),
            issued_at: jiff::Timestamp::UNIX_EPOCH,
            not_after: jiff::Timestamp::MAX,
        };
        Accepted { held: documents.iter().map(held).collect(), documents }
    }

    #[test]
    fn the_same_documents_again_disturb_nobody_and_fewer_do() {
        let (sender, mut receiver) = crate::policy::channel();
        let metrics = Metrics::new().unwrap();
        accept(&sender, &metrics, accepted(&["a", "b"], 1), Standing::Unconfirmed);
        assert_eq!(receiver.borrow_and_update().documents.len(), 2);
        accept(&sender, &metrics, accepted(&["a", "b"], 2), Standing::Confirmed);
        assert!(!receiver.has_changed().unwrap());
        assert_eq!((receiver.borrow().serials(), receiver.borrow().standing), (vec![2, 2], Standing::Confirmed));
        accept(&sender, &metrics, accepted(&[], 3), Standing::Confirmed);
        let enforced = receiver.borrow_and_update().clone();
        assert_eq!((enforced.documents.len(), enforced.serial, enforced.standing), (0, 2, Standing::Absent));
    }

    #[test]
    fn an_earlier_end_of_the_same_documents_is_news() {
        let (sender, mut receiver) = crate::policy::channel();
        let metrics = Metrics::new().unwrap();
        let until = |second| {
            let mut accepted = accepted(&["a"], 1);
            accepted.held[0].not_after = jiff::Timestamp::from_second(second).unwrap();
            accepted
        };
        accept(&sender, &metrics, until(200), Standing::Confirmed);
        receiver.borrow_and_update();
        accept(&sender, &metrics, until(300), Standing::Confirmed);
        assert!(!receiver.has_changed().unwrap());
        accept(&sender, &metrics, until(100), Standing::Confirmed);
        assert!(receiver.has_changed().unwrap());
    }

    #[test]
    fn an_empty_first_event_is_news_too() {
        let (sender, receiver) = crate::policy::channel();
        accept(&sender, &Metrics::new().unwrap(), accepted(&[], 0), Standing::Confirmed);
        assert_eq!(receiver.borrow().serial, 1);
    }

    #[test]
    fn a_refusal_leaves_what_was_in_force_and_is_told() {
        let (sender, mut receiver) = crate::policy::channel();
        let metrics = Metrics::new().unwrap();
        accept(&sender, &metrics, accepted(&["a"], 1), Standing::Confirmed);
        receiver.borrow_and_update();
        refuse(&sender, &metrics, Refusal::Forged);
        assert!(!receiver.has_changed().unwrap());
        assert_eq!((receiver.borrow().documents.len(), receiver.borrow().refused), (1, Some(Refusal::Forged.reason())));
        accept(&sender, &metrics, accepted(&["a"], 1), Standing::Confirmed);
        assert_eq!(receiver.borrow().refused, None);
    }
}
