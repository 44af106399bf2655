//! What goes wrong, and when. Whether a call is faulted is a function of the seed, its path and how often that path was
//! called before, so that a call that is tried again meets a new draw and gets through in the end.

use std::time::Duration;

use super::declaration::{FAULT_KINDS, Fault, Faulty, Latency, micros};
use super::draw::Draw;

impl Fault {
    /// The name it has in the account.
    pub(super) fn name(self) -> String {
        match self {
            Fault::Status(status, _) => status.to_string(),
            Fault::Kind(kind, _) => {
                FAULT_KINDS.iter().find(|(_, of)| *of == kind).map_or("", |(word, _)| *word).to_owned()
            }
        }
    }

    /// Draws the fault of one call from what is declared.
    pub(super) fn draw(faults: &[Faulty], draw: Draw) -> Option<Fault> {
        let mut at = draw.unit();
        for fault in faults {
            if at < fault.rate {
                return Some(fault.fault);
            }
            at -= fault.rate;
        }
        None
    }
}

impl Latency {
    /// How long one answer takes.
    pub(super) fn draw(self, draw: Draw) -> Duration {
        let (mean, jitter) = (micros(self.mean), micros(self.jitter));
        Duration::from_micros(u64::try_from(draw.between(mean - jitter, mean + jitter)).unwrap_or(0))
    }
}
