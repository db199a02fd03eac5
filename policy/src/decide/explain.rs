//! The decision with the routes that it came from, for people.

use super::{Judge, country, decide, route};
use crate::flow::Flow;
use crate::verdict::Verdict;

/// A verdict, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The verdict, as [`decide()`] gives it.
    pub verdict: Verdict,
    /// Outside the cluster: for each document, up to the one that denies, the route that takes the flow or came closest to it.
    pub routes: Vec<Considered>,
}

/// A route that was considered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Considered {
    /// The number of the document, from 0.
    pub document: usize,
    /// The number of the route in it, from 0: none where no route lists the party.
    pub route: Option<usize>,
}

/// Decides, and says by which routes. The verdict is that of [`decide()`].
#[must_use]
pub fn explain(judge: Judge<'_>, flow: &Flow) -> Explained {
    let verdict = decide(judge, flow);
    let mut routes = Vec::new();
    if judge.documents.is_empty() || flow.via.is_none() && flow.address.is_some_and(|address| super::is_inside(judge, address)) {
        return Explained { verdict, routes };
    }
    let place = flow.address.map(|address| country::locate(judge, address));
    for (number, document) in judge.documents.iter().enumerate() {
        let found = route::best(document, flow, place, judge.now);
        let denied = found.is_err();
        let route = match found {
            Ok(taken) => Some(taken.number),
            Err(refused) => refused.number,
        };
        routes.push(Considered { document: number, route });
        if denied {
            break;
        }
    }
    Explained { verdict, routes }
}
