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
    pub(super) async fn read(&self, client: &Abrupt, story: &mut Story, as_chosen: bool) -> Result<(Vec<Flow>, Said), Refusal> {
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
        let flows = match self.named(&hello) {
            Ok(name) => {
                story.name.clone_from(&name);
                self.flows(Flow { protocol, name, address: None, port: self.port, tls, ech, via: None }, as_chosen).await
            }
            Err(reason) => Err(Denial::of(reason)),
        };
        match (flows, hello) {
            (Err(denial), _) => Err(Refusal { denial, told: true, said: bytes }),
            (Ok(flows), Hello::Http(head)) if !observes => Ok((flows, Said { bytes, head: Some(head), unread: false })),
            (Ok(flows), hello) => Ok((flows, Said { bytes, head: None, unread: matches!(hello, Hello::Http(_)) })),
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

    /// The flows that may be dialled, in order, for one of which all is known that the client says.
    async fn flows(&self, said: Flow, as_chosen: bool) -> Result<Vec<Flow>, Denial> {
        // A name that the client gave says nothing about an address that was not resolved from it: a listed network is judged
        // without the name.
        let chosen = Flow { name: None, address: Some(self.address), ..said.clone() };
        let unnamed = as_chosen.then(|| self.context.decide(&chosen));
        match (unnamed, said.name.clone()) {
            (Some(Verdict::Allow(_)), _) => Ok(vec![chosen]),
            (Some(Verdict::Deny(denial)), None) => Err(denial),
            (None, None) => Err(Denial::of(Reason::NoName)),
            (_, Some(name)) => self.resolved(said, &name).await,
        }
    }

    /// The addresses that the name has and that may be dialled, those of the family that the application chose first.
    async fn resolved(&self, named: Flow, name: &HostName) -> Result<Vec<Flow>, Denial> {
        if let Verdict::Deny(denial) = self.context.decide(&named) {
            return Err(denial);
        }
        self.context.spell(name).map_err(Denial::of)?;
        let family = Family::of(self.address.ip());
        let mut denials = Vec::new();
        for family in [family, family.other()] {
            let found = match resolve(self.context, name, family).await {
                Ok(found) => {
                    // an address for which there is no room has no answer, and is denied
                    let _ = self.context.know(&found, self.port).await;
                    self.context.judge(|judge| dialable(judge, &named, self.address, &found))
                }
                // Nobody is there who could be asked for the other family.
                Err(error @ LookupError::Forward(_)) => return Err(lookup_failed(name, &error)),
                Err(error) => Err(lookup_failed(name, &error)),
            };
            match found {
                Ok(flows) => return Ok(flows),
                Err(denial) => denials.push(denial),
            }
        }
        Err(most_telling(denials))
    }
}

fn lookup_failed(name: &HostName, error: &LookupError) -> Denial {
    tracing::debug!(%name, %error, "a name could not be resolved");
    Denial::of(Reason::LookupFailed)
}
