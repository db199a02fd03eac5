//! Whom a client names, and which addresses may be dialled for it.

use shekara_policy::verdict::Denial;
use shekara_policy::{Address, Flow, HostName, Reason, Verdict};

use super::{Carrier, Refusal, Said};
use crate::dns::lookup::{Family, LookupError};
use crate::flow::close::Abrupt;
use crate::flow::hello::http::{Authority, Head, Host};
use crate::flow::hello::{Hello, Within, await_hello};
use crate::flow::judge::{dialable, most_telling};
use crate::flow::resolve::resolve;
use crate::flow::story::Story;
impl Carrier<'_> {
    /// Reads whom the client names, and finds the addresses that may be dialled for it.
    pub(super) async fn read(&self, client: &Abrupt, story: &mut Story, as_chosen: bool) -> Result<(Candidates, Said), Refusal> {
        let mut bytes = Vec::new();
        let observes = self.context.observes();
        let hello = match await_hello(client.stream(), &mut bytes, self.within(observes)).await {
            Ok(hello) => hello,
            Err(unread) => {
                story.protocol = unread.protocol;
                return Err(Refusal { denial: Denial::of(unread.reason), told: !unread.gone, said: bytes });
            }
        };
        let protocol = hello.protocol();
        let (tls, ech) = if let Hello::Tls { version, ech, .. } = &hello { (*version, *ech) } else { (None, false) };
        story.protocol = protocol;
        let candidates = match self.named(&hello) {
            Ok(name) => {
                story.name.clone_from(&name);
                self.flows(Flow { protocol, name, address: None, port: self.port, tls, ech, via: None }, as_chosen).await
            }
            Err(reason) => Err(Denial::of(reason)),
        };
        match (candidates, hello) {
            (Err(denial), _) => Err(Refusal { denial, told: true, said: bytes }),
            (Ok(found), Hello::Http(head)) if !observes => Ok((found, Said { bytes, head: Some(head), unread: false })),
            (Ok(found), hello) => Ok((found, Said { bytes, head: None, unread: matches!(hello, Hello::Http(_)) })),
        }
    }

    /// Within what the client must have named its destination.
    pub(super) fn within(&self, observing: bool) -> Within {
        let within = Within::limits(self.context.config.limits);
        if observing { within.observing() } else { within }
    }

    /// The name in a hello. An address in its place must be the one that was chosen, and a port the chosen port.
    pub(super) fn named(&self, hello: &Hello) -> Result<Option<HostName>, Reason> {
        match hello {
            Hello::Tls { name, .. } => Ok(name.clone()),
            Hello::Http(Head { authority: None, .. }) => Ok(None),
            Hello::Http(Head { authority: Some(Authority { port: Some(port), .. }), .. }) if *port != self.port => {
                Err(Reason::AmbiguousAuthority)
            }
            Hello::Http(Head { authority: Some(Authority { host, .. }), .. }) => match host {
                Host::Name(name) => Ok(Some(name.clone())),
                Host::Address(ip) if Address::new(*ip) == self.address => Ok(None),
                Host::Address(_) => Err(Reason::AmbiguousAuthority),
            },
        }
    }

    /// The flows that may be dialled for one of which all is known that the client says.
    async fn flows(&self, said: Flow, as_chosen: bool) -> Result<Candidates, Denial> {
        // A name that the client gave says nothing about an address that was not resolved from it: a listed network is judged
        // without the name.
        let chosen = Flow { name: None, address: Some(self.address), ..said.clone() };
        let unnamed = as_chosen.then(|| self.context.decide(&chosen));
        match (unnamed, said.name.clone()) {
            (Some(Verdict::Allow(_)), _) => Ok(Candidates::of(vec![chosen])),
            (Some(Verdict::Deny(denial)), None) => Err(denial),
            (None, None) => Err(Denial::of(Reason::NoName)),
            (_, Some(name)) => self.resolved(Named { flow: said, name }).await,
        }
    }

    /// The addresses that the name has and that may be dialled: those of the family that the application chose, and those of the
    /// other one where there are none, or where none of them answers.
    async fn resolved(&self, named: Named) -> Result<Candidates, Denial> {
        if let Verdict::Deny(denial) = self.context.decide(&named.flow) {
            return Err(denial);
        }
        self.context.spell(&named.name).map_err(Denial::of)?;
        let family = Family::of(self.address.ip());
        let first = match self.of_family(&named, family).await {
            Ok(flows) => return Ok(Candidates { flows, otherwise: Some((named, family.other())) }),
            // nobody is there who could be asked for the other family
            Err(Unfound { asked: false, denial }) => return Err(denial),
            Err(Unfound { denial, .. }) => denial,
        };
        match self.of_family(&named, family.other()).await {
            Ok(flows) => Ok(Candidates::of(flows)),
            Err(Unfound { asked: false, denial }) => Err(denial),
            Err(Unfound { denial, .. }) => Err(most_telling([first, denial])),
        }
    }

    /// The addresses of one family that the name has and that may be dialled; never none.
    pub(super) async fn of_family(&self, named: &Named, family: Family) -> Result<Vec<Flow>, Unfound> {
        let found = resolve(self.context, &named.name, family).await;
        let asked = !matches!(&found, Err(LookupError::Forward(_)));
        let found = found.map_err(|error| Unfound { denial: lookup_failed(&named.name, &error), asked })?;
        // an address for which there is no room has no answer, and is denied
        let _ = self.context.know(&found, self.port).await;
        let flows = self.context.judge(|judge| dialable(judge, &named.flow, self.address, &found));
        flows.map_err(|denial| Unfound { denial, asked })
    }
}

/// What may be dialled for a client.
pub(super) struct Candidates {
    /// The flows, in order.
    pub(super) flows: Vec<Flow>,
    /// The name and the family whose addresses may be dialled where none of these answers.
    pub(super) otherwise: Option<(Named, Family)>,
}

impl Candidates {
    /// These and no others.
    pub(super) fn of(flows: Vec<Flow>) -> Self {
        Self { flows, otherwise: None }
    }
}

/// A flow to a name, whose address is yet to be found.
pub(super) struct Named {
    flow: Flow,
    name: HostName,
}

/// That a name has no address of a family that may be dialled.
pub(super) struct Unfound {
    denial: Denial,
    /// Whether a resolver answered.
    asked: bool,
}

fn lookup_failed(name: &HostName, error: &LookupError) -> Denial {
    tracing::debug!(%name, %error, "a name could not be resolved");
    Denial::of(Reason::LookupFailed)
}
