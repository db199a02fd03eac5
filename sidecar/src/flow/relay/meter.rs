//! What may be written in each direction of a flow, and where it is counted.

use crate::flow::story::Story;
use crate::spending::Purse;

/// What may be written in a direction, and where it is counted.
pub(super) trait Meter {
    /// How many of so many bytes may be written.
    fn take(&self, wanted: usize) -> usize;
    /// Of the bytes that were taken, this many were written.
    fn written(&self, taken: usize, written: usize);
}

/// To the destination: within the bounds of the flow.
#[derive(Clone, Copy)]
pub(super) struct Outward<'a> {
    pub(super) purse: &'a Purse<'a>,
    pub(super) story: &'a Story,
}

/// To the application: as much as comes.
#[derive(Clone, Copy)]
pub(super) struct Inward<'a>(pub(super) &'a Story);

/// To the application, of the sidecar's own: it came from nobody, so it is not counted.
pub(super) struct Own;

impl Meter for Own {
    fn take(&self, wanted: usize) -> usize {
        wanted
    }

    fn written(&self, _taken: usize, _written: usize) {}
}

impl Meter for Outward<'_> {
    fn take(&self, wanted: usize) -> usize {
        self.purse.take(wanted)
    }

    fn written(&self, taken: usize, written: usize) {
        self.purse.give_back(taken.saturating_sub(written));
        self.story.carried_out(written);
    }
}

impl Meter for Inward<'_> {
    fn take(&self, wanted: usize) -> usize {
        wanted
    }

    fn written(&self, _taken: usize, written: usize) {
        self.0.carried_in(written);
    }
}
